// Splits a descriptor's bytes into lines that are views of the read buffer: no line is copied.
//
// Every sequence of bytes between newlines is a line, empty ones too; a last line needs no newline. Lines may
// hold any byte but '\n'. One thread at a time.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace busway::cli {

class LineReader {
 public:
  static constexpr std::size_t kChunkBytes = 1024 * 1024;

  /// Borrows `fd`. Lines of more than `longest` bytes are refused: errc::record_too_large. `stop_fd`: waiting
  /// for input ends when it becomes readable; -1: nothing ends it.
  LineReader(int fd, std::size_t longest, int stop_fd = -1, std::size_t chunk = kChunkBytes);

  /// The next lines: all that are complete in what was read, up to `most` of them; waits for input only when
  /// there are none. Valid until the next call. Empty: the end of the input, or stopped(). Throws errc::io,
  /// errc::record_too_large.
  std::span<const std::string_view> next(std::size_t most);

  /// Stopped by `stop_fd` rather than by the end of the input.
  bool stopped() const noexcept { return stopped_; }
  /// There may be more to come without waiting: next() has complete lines in its buffer.
  bool more_at_hand() const noexcept;
  /// Bytes handed out as lines so far, newlines included.
  std::size_t bytes_done() const noexcept { return bytes_done_; }

 private:
  void take_lines(std::size_t most);
  void take_rest();
  bool fill();
  void make_room();
  std::size_t read_some();

  int fd_;
  std::size_t longest_;
  int stop_fd_;
  bool seekable_;  // a regular file: read never waits for anybody
  std::unique_ptr<char[]> buffer_;
  std::size_t capacity_;
  std::size_t begin_ = 0;    // first byte not yet handed out
  std::size_t scanned_ = 0;  // no newline in [begin_, scanned_)
  std::size_t end_ = 0;      // behind the last byte read
  bool at_end_ = false;
  bool stopped_ = false;
  std::size_t bytes_done_ = 0;
  std::vector<std::string_view> lines_;
};

/// Everything up to the end of the input, or to a stop (then `stopped` is set). Throws as LineReader does.
std::vector<char> read_whole(int fd, std::size_t longest, int stop_fd, bool& stopped);

}  // namespace busway::cli
