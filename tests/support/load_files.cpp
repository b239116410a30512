#include "tests/support/load_files.hpp"

#include <cstring>
#include <stdexcept>
#include <string>

#include "tests/support/temp_dir.hpp"

namespace busway::test {
namespace {

template <class T>
std::vector<T> read_array(const std::filesystem::path& file) {
  const std::string bytes = read_file(file);
  if (bytes.size() % sizeof(T) != 0)
    throw std::runtime_error(file.string() + " ends in the middle of an entry");
  std::vector<T> items(bytes.size() / sizeof(T));
  if (!items.empty()) std::memcpy(items.data(), bytes.data(), bytes.size());
  return items;
}

}  // namespace

std::vector<std::int64_t> read_acknowledged(const std::filesystem::path& file) {
  return read_array<std::int64_t>(file);
}

std::vector<SeenRecord> read_seen(const std::filesystem::path& file) { return read_array<SeenRecord>(file); }

}  // namespace busway::test
