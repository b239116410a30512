#include "clients/cli/lines.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bus/base/fd.hpp"
#include "clients/cli/text.hpp"

namespace busway::cli {
namespace {

bool is_regular_file(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

/// Waits until `fd` is readable. False: `stop_fd` is.
bool wait_for_input(int fd, int stop_fd) {
  pollfd waits[] = {{fd, POLLIN, 0}, {stop_fd, POLLIN, 0}};
  for (;;) {
    const int count = ::poll(waits, 2, -1);
    if (count < 0 && errno != EINTR) throw_errno("cannot wait for input");
    if (count > 0) return waits[1].revents == 0;
  }
}

/// read(2) that starts again after a signal, and waits on descriptors that do not block.
std::size_t read_bytes(int fd, char* to, std::size_t most) {
  for (;;) {
    const ssize_t count = ::read(fd, to, most);
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno == EAGAIN) {
      pollfd readable{fd, POLLIN, 0};
      ::poll(&readable, 1, -1);
    } else if (errno != EINTR) {
      throw_errno("cannot read the input");
    }
  }
}

[[noreturn]] void throw_too_long(const char* what, std::size_t longest) {
  throw Error(errc::record_too_large,
              std::string(what) + " has more than " + human_bytes(longest) +
                  ", which no record can have (max.message.bytes of a topic says how many it takes)");
}

}  // namespace

LineReader::LineReader(int fd, std::size_t longest, int stop_fd, std::size_t chunk)
    : fd_(fd),
      longest_(longest),
      stop_fd_(stop_fd),
      seekable_(is_regular_file(fd)),
      buffer_(new char[chunk]),
      capacity_(chunk) {}

std::span<const std::string_view> LineReader::next(std::size_t most) {
  lines_.clear();
  for (;;) {
    take_lines(most);
    if (!lines_.empty() || stopped_) break;
    if (at_end_ || !fill()) {
      take_rest();
      break;
    }
  }
  return lines_;
}

bool LineReader::more_at_hand() const noexcept {
  return std::memchr(buffer_.get() + scanned_, '\n', end_ - scanned_) != nullptr;
}

void LineReader::take_lines(std::size_t most) {
  while (lines_.size() < most && scanned_ < end_) {
    const void* newline = std::memchr(buffer_.get() + scanned_, '\n', end_ - scanned_);
    if (newline == nullptr) {
      scanned_ = end_;
      return;
    }
    const auto at = static_cast<std::size_t>(static_cast<const char*>(newline) - buffer_.get());
    lines_.emplace_back(buffer_.get() + begin_, at - begin_);
    bytes_done_ += at + 1 - begin_;
    begin_ = scanned_ = at + 1;
  }
}

void LineReader::take_rest() {
  if (stopped_ || begin_ == end_) return;
  lines_.emplace_back(buffer_.get() + begin_, end_ - begin_);
  bytes_done_ += end_ - begin_;
  begin_ = scanned_ = end_;
}

/// False: there is no more.
bool LineReader::fill() {
  make_room();
  if (!seekable_ && !wait_for_input(fd_, stop_fd_)) {
    stopped_ = true;
    return false;
  }
  if (seekable_ && stop_fd_ >= 0) {
    pollfd stop{stop_fd_, POLLIN, 0};
    stopped_ = ::poll(&stop, 1, 0) > 0;
    if (stopped_) return false;
  }
  const std::size_t count = read_bytes(fd_, buffer_.get() + end_, capacity_ - end_);
  end_ += count;
  at_end_ = count == 0;
  return !at_end_;
}

/// Moves the beginning of a line to the front, and makes the buffer larger when it is all one line.
void LineReader::make_room() {
  if (begin_ > 0) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    scanned_ -= begin_;
    begin_ = 0;
  }
  if (end_ < capacity_) return;
  if (end_ > longest_) throw_too_long("a line", longest_);
  const std::size_t larger = std::min(capacity_ * 2, longest_ + 2);
  auto fresh = std::unique_ptr<char[]>(new char[larger]);
  std::memcpy(fresh.get(), buffer_.get(), end_);
  buffer_ = std::move(fresh);
  capacity_ = larger;
}

std::vector<char> read_whole(int fd, std::size_t longest, int stop_fd, bool& stopped) {
  constexpr std::size_t kStep = 1024 * 1024;
  std::vector<char> bytes;
  std::size_t used = 0;
  const bool regular = is_regular_file(fd);
  for (;;) {
    if (used > longest) throw_too_long("the input", longest);
    if (bytes.size() - used < kStep) bytes.resize(std::max(used + kStep, bytes.size() * 2));
    if (!regular && !wait_for_input(fd, stop_fd)) {
      stopped = true;
      break;
    }
    const std::size_t count = read_bytes(fd, bytes.data() + used, bytes.size() - used);
    if (count == 0) break;
    used += count;
  }
  bytes.resize(used);
  return bytes;
}

}  // namespace busway::cli
