// A memcpy for the short keys and values of a record: no call, few branches, nothing read or written out of
// bounds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace busway::log {

/// Copies `bytes` bytes that do not overlap. Short ones by two or more fixed-size moves that meet in the
/// middle.
struct SmallCopy {
  void operator()(std::byte* to, const std::byte* from, std::size_t bytes) const noexcept {
    if (bytes > 128) [[unlikely]] {
      std::memcpy(to, from, bytes);
    } else if (bytes >= 16) {
      for (std::size_t i = 0; i + 16 < bytes; i += 16) std::memcpy(to + i, from + i, 16);
      std::memcpy(to + bytes - 16, from + bytes - 16, 16);
    } else if (bytes >= 8) {
      move_ends<std::uint64_t>(to, from, bytes);
    } else if (bytes >= 4) {
      move_ends<std::uint32_t>(to, from, bytes);
    } else if (bytes > 0) {
      // 1 to 3: first, middle and last byte cover them all
      const std::byte middle = from[bytes / 2];
      const std::byte last = from[bytes - 1];
      to[0] = from[0];
      to[bytes / 2] = middle;
      to[bytes - 1] = last;
    }
  }

 private:
  template <class Word>
  static void move_ends(std::byte* to, const std::byte* from, std::size_t bytes) noexcept {
    Word first;
    Word last;
    std::memcpy(&first, from, sizeof first);
    std::memcpy(&last, from + bytes - sizeof last, sizeof last);
    std::memcpy(to, &first, sizeof first);
    std::memcpy(to + bytes - sizeof last, &last, sizeof last);
  }
};

}  // namespace busway::log
