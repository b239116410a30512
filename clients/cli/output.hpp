// Standard output through one large buffer, and what happens when nobody reads it any more.
#pragma once

#include <cstddef>
#include <exception>
#include <string>
#include <string_view>

namespace busway::cli {

/// Thrown by Output when the reading end is closed: no failure, just the end.
class OutputClosed : public std::exception {
 public:
  const char* what() const noexcept override { return "standard output was closed"; }
};

/// A buffered writer. What it holds is written by flush() and when it is full, not by the destructor: a write
/// can fail, and a destructor could not say so. One thread at a time.
class Output {
 public:
  static constexpr std::size_t kBufferBytes = 256 * 1024;

  /// Borrows `fd`.
  explicit Output(int fd);

  /// To append to; then call added().
  std::string& buffer() noexcept { return buffer_; }
  /// Writes the buffer out if it is full.
  void added() {
    if (buffer_.size() >= kBufferBytes) flush();
  }
  void write(std::string_view text) {
    buffer_ += text;
    added();
  }
  /// Throws OutputClosed, or errc::io with errno's text.
  void flush();
  /// Has the reader gone, as far as one can know without writing? False for files.
  bool reader_gone() const noexcept;

 private:
  int fd_;
  std::string buffer_;
};

}  // namespace busway::cli
