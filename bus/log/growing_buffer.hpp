// Bytes that are kept from use to use and grow without being cleared or copied for nothing.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>

namespace busway::log {

class GrowingBuffer {
 public:
  std::byte* data() noexcept { return bytes_.get(); }
  const std::byte* data() const noexcept { return bytes_.get(); }
  std::size_t size() const noexcept { return size_; }
  std::span<std::byte> span() noexcept { return {bytes_.get(), size_}; }

  /// At least `size` bytes, of which the first `keep` stay as they are. Throws std::bad_alloc.
  void grow(std::size_t size, std::size_t keep = 0) {
    if (size <= size_) return;
    auto bytes = std::make_unique_for_overwrite<std::byte[]>(size);
    if (keep > 0) std::memcpy(bytes.get(), bytes_.get(), keep);
    bytes_ = std::move(bytes);
    size_ = size;
  }

 private:
  std::unique_ptr<std::byte[]> bytes_;
  std::size_t size_ = 0;
};

}  // namespace busway::log
