#include "daemon/partition_log_files.hpp"

#include <cerrno>

#include <busway/error.hpp>

namespace busway::daemon {

IndexFiles::IndexFiles(FileSystem& file_system, std::string index_path, std::string time_index_path,
                       std::uint64_t index_bytes, std::uint64_t time_index_bytes)
    : file_system_(file_system),
      index_{std::move(index_path), index_bytes, {}},
      time_index_{std::move(time_index_path), time_index_bytes, {}} {}

void IndexFiles::append(const std::vector<std::byte>& index, const std::vector<std::byte>& time_index) {
  time_index_.pending.insert(time_index_.pending.end(), time_index.begin(), time_index.end());
  index_.pending.insert(index_.pending.end(), index.begin(), index.end());
  write(time_index_);
  write(index_);
}

void IndexFiles::write(Part& part) {
  const File file = File::open(file_system_, part.path, OpenMode::open_always);
  file.write(part.pending, part.bytes);
  part.bytes += part.pending.size();
  part.pending.clear();
}

void IndexFiles::finish() {
  try {
    write(time_index_);
    write(index_);
    File::open(file_system_, time_index_.path, OpenMode::write).sync();
    File::open(file_system_, index_.path, OpenMode::write).sync();
  } catch (const Error&) {
    remove();
    throw;
  }
}

void IndexFiles::remove() {
  for (const Part* part : {&index_, &time_index_}) remove_if_there(file_system_, part->path);
}

bool PreparedFile::request() {
  const std::lock_guard lock(mutex_);
  if (state_ != State::none) return false;
  state_ = State::requested;
  return true;
}

void PreparedFile::put(File file, std::uint64_t allocated) {
  const std::lock_guard lock(mutex_);
  state_ = file ? State::ready : State::none;
  ready_ = {std::move(file), allocated};
}

std::optional<PreparedFile::Taken> PreparedFile::take() {
  const std::lock_guard lock(mutex_);
  if (state_ != State::ready) return std::nullopt;
  state_ = State::none;
  return std::move(ready_);
}

}  // namespace busway::daemon
