#include "daemon/lock_file.hpp"

#include <cerrno>
#include <cstdlib>

#include <unistd.h>

#include "bus/base/fd.hpp"

namespace busway::daemon {

pid_t recorded_pid(int fd) noexcept {
  char text[32] = {};
  const ssize_t bytes = ::pread(fd, text, sizeof(text) - 1, 0);
  return bytes > 0 ? static_cast<pid_t>(std::strtol(text, nullptr, 10)) : 0;
}

void record_pid(int fd, const std::string& path) {
  const std::string text = std::to_string(::getpid()) + "\n";
  if (::pwrite(fd, text.data(), text.size(), 0) < 0) {
    if (!is_no_room(errno)) throw_errno("writing " + path);
    return;
  }
  // Cut afterwards, so that the block stays ours.
  if (::ftruncate(fd, static_cast<off_t>(text.size())) != 0) throw_errno("writing " + path);
}

}  // namespace busway::daemon
