#include "clients/cli/output.hpp"

#include <cerrno>

#include <poll.h>
#include <unistd.h>

#include "bus/base/fd.hpp"

namespace busway::cli {

Output::Output(int fd) : fd_(fd) { buffer_.reserve(2 * kBufferBytes); }

void Output::flush() {
  std::string_view left = buffer_;
  while (!left.empty()) {
    const ssize_t count = ::write(fd_, left.data(), left.size());
    if (count >= 0) {
      left.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno == EPIPE) {
      throw OutputClosed();
    } else if (errno == EAGAIN) {  // somebody made our descriptor non-blocking: it may be theirs too
      pollfd writable{fd_, POLLOUT, 0};
      ::poll(&writable, 1, -1);
    } else if (errno != EINTR) {
      throw_errno("cannot write to standard output");
    }
  }
  // A record of many megabytes must not hold its memory for ever.
  if (buffer_.capacity() > 16 * kBufferBytes) {
    buffer_.clear();
    buffer_.shrink_to_fit();
    buffer_.reserve(2 * kBufferBytes);
  }
  buffer_.clear();
}

bool Output::reader_gone() const noexcept {
  pollfd probe{fd_, 0, 0};
  return ::poll(&probe, 1, 0) == 1 && (probe.revents & POLLERR) != 0;
}

}  // namespace busway::cli
