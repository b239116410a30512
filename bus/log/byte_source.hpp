// Where the bytes of a file come from: a descriptor, or whatever a simulated disk has; and a window over
// them. One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "bus/log/growing_buffer.hpp"

namespace busway::log {

class ByteSource {
 public:
  ByteSource() = default;
  virtual ~ByteSource() = default;
  /// Bytes read; fewer than asked for only at the end of the file. -errno when it fails.
  [[nodiscard]] virtual std::int64_t read(std::span<std::byte> into,
                                          std::int64_t position) const noexcept = 0;
  /// Bytes of the file, or -errno.
  [[nodiscard]] virtual std::int64_t size() const noexcept = 0;
  /// The first position >= `position` that may hold something other than zeros, at most size(); `position` is
  /// right, if slow, for a source that knows of no holes.
  [[nodiscard]] virtual std::int64_t data_from(std::int64_t position) const noexcept { return position; }

 protected:
  ByteSource(const ByteSource&) = default;
  ByteSource& operator=(const ByteSource&) = default;
};

/// A descriptor, not owned.
class FdSource final : public ByteSource {
 public:
  explicit FdSource(int fd) noexcept : fd_(fd) {}
  std::int64_t read(std::span<std::byte> into, std::int64_t position) const noexcept override;
  std::int64_t size() const noexcept override;
  std::int64_t data_from(std::int64_t position) const noexcept override;

 private:
  int fd_;
};

/// The part of a file that was read last. What was read stays until it is read again: forget() when the file
/// may have changed under it.
class FileWindow {
 public:
  /// Reads this much at a time. Nothing is allocated before the first view().
  explicit FileWindow(std::size_t bytes) noexcept : step_(bytes) {}

  /// The file's bytes from `position` on: at least `least` of them, or all there are. Valid until the next
  /// call that is not const. Null data and error() != 0 when reading fails. Throws std::bad_alloc.
  std::span<const std::byte> view(const ByteSource& source, std::int64_t position, std::size_t least);

  void forget() noexcept { filled_ = 0; }
  int error() const noexcept { return error_; }

 private:
  GrowingBuffer buffer_;
  std::size_t step_;
  std::size_t filled_ = 0;
  std::int64_t start_ = 0;  // position of the buffer's first byte
  int error_ = 0;
};

}  // namespace busway::log
