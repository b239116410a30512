#include "daemon/file_system.hpp"

#include <cerrno>

#include <busway/error.hpp>

#include "bus/base/fd.hpp"

namespace busway::daemon {

std::int64_t check_file(std::int64_t result, std::string_view what, const std::string& path) {
  if (result < 0) {
    throw_errno(std::string(what) + " " + path, static_cast<int>(-result));
  }
  return result;
}

File& File::operator=(File&& other) noexcept {
  if (this != &other) {
    close();
    file_system_ = other.file_system_;
    fd_ = std::exchange(other.fd_, -1);
    path_ = std::move(other.path_);
  }
  return *this;
}

File File::open(FileSystem& file_system, const std::string& path, OpenMode mode) {
  const int fd = static_cast<int>(check_file(file_system.open(path, mode), "cannot open", path));
  return {file_system, fd, path};
}

File File::open_if_there(FileSystem& file_system, const std::string& path, OpenMode mode) {
  const int fd = file_system.open(path, mode);
  if (fd == -ENOENT) return {};
  check_file(fd, "cannot open", path);
  return {file_system, fd, path};
}

void File::close() noexcept {
  if (fd_ >= 0) file_system_->close(std::exchange(fd_, -1));
}

std::uint64_t File::size() const {
  return static_cast<std::uint64_t>(check_file(file_system_->size(fd_), "cannot stat", path_));
}

std::size_t File::read(std::span<std::byte> into, std::uint64_t offset) const {
  return static_cast<std::size_t>(check_file(file_system_->read(fd_, into, offset), "cannot read", path_));
}

void File::write(std::span<const std::byte> bytes, std::uint64_t offset) const {
  check_file(file_system_->write(fd_, bytes, offset), "cannot write", path_);
}

void File::truncate(std::uint64_t size) const {
  check_file(file_system_->truncate(fd_, size), "cannot truncate", path_);
}

void File::sync(SyncKind kind) const { check_file(file_system_->sync(fd_, kind), "cannot sync", path_); }

bool remove_if_there(FileSystem& file_system, const std::string& path) {
  const int removed = file_system.unlink(path);
  if (removed == -ENOENT) return false;
  check_file(removed, "cannot remove", path);
  return true;
}

std::vector<std::byte> read_whole(FileSystem& file_system, const std::string& path, std::uint64_t most) {
  const File file = File::open(file_system, path, OpenMode::read);
  const std::uint64_t size = file.size();
  if (size > most) {
    throw Error(errc::limit_reached, path + " has " + std::to_string(size) + " bytes; at most " +
                                         std::to_string(most) + " make sense there");
  }
  std::vector<std::byte> bytes(size);
  bytes.resize(file.read(bytes, 0));
  return bytes;
}

void replace_durably(FileSystem& file_system, const std::string& path, std::span<const std::byte> bytes) {
  const std::string aside = path + ".new";
  try {
    const File file = File::open(file_system, aside, OpenMode::open_always);
    file.truncate(0);  // left behind by a crash
    file.write(bytes, 0);
    file.sync();
    check_file(file_system.rename(aside, path), "cannot rename to", path);
  } catch (const Error&) {
    static_cast<void>(file_system.unlink(aside));  // best effort
    throw;
  }
  sync_directory(file_system, parent_of(path));
}

void sync_directory(FileSystem& file_system, const std::string& path) {
  File::open(file_system, path, OpenMode::directory).sync(SyncKind::full);
}

void make_directory_durably(FileSystem& file_system, const std::string& path) {
  const int made = file_system.make_directory(path);
  if (made != -EEXIST) check_file(made, "cannot create", path);
  sync_directory(file_system, parent_of(path));
}

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace busway::daemon
