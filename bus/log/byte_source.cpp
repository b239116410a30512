#include "bus/log/byte_source.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <sys/stat.h>
#include <unistd.h>

namespace busway::log {

std::int64_t FdSource::read(std::span<std::byte> into, std::int64_t position) const noexcept {
  std::int64_t done = 0;
  while (done < std::ssize(into)) {
    const auto rest = into.subspan(static_cast<std::size_t>(done));
    const ssize_t bytes = ::pread(fd_, rest.data(), rest.size(), position + done);
    if (bytes == 0) break;
    if (bytes < 0) {
      if (errno == EINTR) continue;
      return -errno;
    }
    done += bytes;
  }
  return done;
}

std::int64_t FdSource::size() const noexcept {
  struct stat status {};
  return ::fstat(fd_, &status) == 0 ? status.st_size : -errno;
}

std::int64_t FdSource::data_from(std::int64_t position) const noexcept {
  const off_t data = ::lseek(fd_, position, SEEK_DATA);
  if (data >= 0) return data;
  // ENXIO: nothing but holes up to the end. Other errors: no support for holes.
  return errno == ENXIO ? std::max(position, size()) : position;
}

std::span<const std::byte> FileWindow::view(const ByteSource& source, std::int64_t position,
                                            std::size_t least) {
  error_ = 0;
  const bool inside = position >= start_ && position - start_ <= static_cast<std::int64_t>(filled_);
  const auto skipped = inside ? static_cast<std::size_t>(position - start_) : filled_;
  std::size_t have = filled_ - skipped;
  if (!inside || have < least) {
    if (have > 0) std::memmove(buffer_.data(), buffer_.data() + skipped, have);
    buffer_.grow(std::max(least, step_), have);
    start_ = position;
    const std::int64_t bytes =
        source.read(buffer_.span().subspan(have), position + static_cast<std::int64_t>(have));
    if (bytes < 0) {
      filled_ = 0;
      error_ = static_cast<int>(-bytes);
      return {};
    }
    have += static_cast<std::size_t>(bytes);
    filled_ = have;
    return {buffer_.data(), have};
  }
  return {buffer_.data() + skipped, have};
}

}  // namespace busway::log
