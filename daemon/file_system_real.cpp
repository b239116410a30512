#include <algorithm>
#include <cerrno>
#include <cstdio>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/disk_syscalls.hpp"
#include "daemon/file_system.hpp"

namespace busway::daemon {
namespace {

int flags_of(OpenMode mode) noexcept {
  switch (mode) {
    case OpenMode::read:
      return O_RDONLY;
    case OpenMode::write:
      return O_RDWR;
    case OpenMode::create:
      return O_RDWR | O_CREAT | O_EXCL;
    case OpenMode::open_always:
      return O_RDWR | O_CREAT;
    case OpenMode::directory:
      return O_RDONLY | O_DIRECTORY;
  }
  return O_RDONLY;
}

int or_errno(int result) noexcept { return result < 0 ? -errno : result; }

}  // namespace

int RealFileSystem::open(const std::string& path, OpenMode mode) {
  for (;;) {
    const int fd = ::open(path.c_str(), flags_of(mode) | O_CLOEXEC, 0640);
    if (fd >= 0 || errno != EINTR) return or_errno(fd);
  }
}

void RealFileSystem::close(int fd) noexcept { ::close(fd); }

std::int64_t RealFileSystem::read(int fd, std::span<std::byte> into, std::uint64_t offset) {
  std::int64_t total = 0;
  while (!into.empty()) {
    const ssize_t count =
        ::pread(fd, into.data(), std::min(into.size(), kWriteMost), static_cast<off_t>(offset));
    if (count < 0) {
      if (errno == EINTR) continue;
      return -errno;
    }
    if (count == 0) break;
    total += count;
    into = into.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
  return total;
}

int RealFileSystem::write(int fd, std::span<const std::byte> bytes, std::uint64_t offset) {
  return -write_fully(fd, bytes, offset);
}

std::int64_t RealFileSystem::size(int fd) {
  struct stat about {};
  return ::fstat(fd, &about) < 0 ? -errno : about.st_size;
}

int RealFileSystem::truncate(int fd, std::uint64_t size) {
  for (;;) {
    const int result = ::ftruncate(fd, static_cast<off_t>(size));
    if (result == 0 || errno != EINTR) return or_errno(result);
  }
}

int RealFileSystem::allocate(int fd, std::uint64_t size) {
  for (;;) {
    const int result = ::fallocate(fd, 0, 0, static_cast<off_t>(size));
    if (result == 0 || errno != EINTR) return or_errno(result);
  }
}

int RealFileSystem::reserve(int fd, std::uint64_t offset, std::uint64_t bytes) {
  for (;;) {
    const int result =
        ::fallocate(fd, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset), static_cast<off_t>(bytes));
    if (result == 0 || errno != EINTR) return or_errno(result);
  }
}

int RealFileSystem::sync(int fd, SyncKind kind) { return -sync_file(fd, kind); }

int RealFileSystem::rename(const std::string& from, const std::string& to) {
  return or_errno(::rename(from.c_str(), to.c_str()));
}

int RealFileSystem::unlink(const std::string& path) { return or_errno(::unlink(path.c_str())); }

int RealFileSystem::make_directory(const std::string& path) { return or_errno(::mkdir(path.c_str(), 0750)); }

int RealFileSystem::remove_directory(const std::string& path) { return or_errno(::rmdir(path.c_str())); }

int RealFileSystem::list(const std::string& path, std::vector<std::string>& names) {
  names.clear();
  DIR* directory = ::opendir(path.c_str());
  if (directory == nullptr) return -errno;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(directory);
    if (entry == nullptr) break;
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  const int error = errno;
  ::closedir(directory);
  std::sort(names.begin(), names.end());
  return -error;
}

}  // namespace busway::daemon
