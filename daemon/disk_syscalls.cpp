#include "daemon/disk_syscalls.hpp"

#include <algorithm>
#include <cerrno>

#include <sys/uio.h>
#include <unistd.h>

namespace busway::daemon {

int write_fully(int fd, std::span<const std::byte> bytes, std::uint64_t offset) noexcept {
  int again = 0;
  while (!bytes.empty()) {
    // iovec knows no const; pwritev2 only reads.
    const iovec part{const_cast<std::byte*>(bytes.data()), std::min(bytes.size(), kWriteMost)};
    const ssize_t written = ::pwritev2(fd, &part, 1, static_cast<off_t>(offset), 0);
    if (written < 0) {
      if (errno == EINTR || (errno == EAGAIN && ++again < kAgainMost)) continue;
      return errno;
    }
    if (written == 0) return EIO;  // a file that takes nothing and names no reason would be asked for ever
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
  }
  return 0;
}

int sync_file(int fd, SyncKind kind) noexcept {
  for (;;) {
    const int result = kind == SyncKind::data ? ::fdatasync(fd) : ::fsync(fd);
    if (result == 0) return 0;
    // An interrupted sync has reported no error of the file yet, so it alone may be repeated.
    if (errno != EINTR) return errno;
  }
}

}  // namespace busway::daemon
