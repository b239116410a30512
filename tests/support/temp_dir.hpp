// A directory of a test's own, removed with all it holds. Two runs at once have different ones.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace busway::test {

class TempDir {
 public:
  TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir();

  const std::filesystem::path& path() const noexcept { return path_; }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }
  /// A file in it that holds `text`.
  std::filesystem::path file(std::string_view name, std::string_view text) const;

 private:
  std::filesystem::path path_;
};

/// All bytes of a file; none while there is no such file. Throws when it cannot be read.
std::string read_file(const std::filesystem::path& path);
void write_file(const std::filesystem::path& path, std::string_view text);

}  // namespace busway::test
