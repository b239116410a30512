// An owned file descriptor, and errors that carry errno's text.
#pragma once

#include <cerrno>
#include <string>
#include <utility>

#include <unistd.h>

#include <busway/error.hpp>

namespace busway {

/// Owns a descriptor; closes it. Movable, not copyable.
class Fd {
 public:
  Fd() noexcept = default;
  explicit Fd(int fd) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  void reset(int fd = -1) noexcept {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

/// Does this errno say that the disk, or a quota on it, is full?
constexpr bool is_no_room(int error) noexcept { return error == ENOSPC || error == EDQUOT; }

/// errc::io (errc::disk_full for ENOSPC and EDQUOT) with "what: errno's text". Default: the current errno.
[[noreturn]] void throw_errno(const std::string& what, int error = errno);

/// Throws through throw_errno if `result` is negative; otherwise hands it on.
inline int check_errno(int result, const char* what) {
  if (result < 0) throw_errno(what);
  return result;
}

}  // namespace busway
