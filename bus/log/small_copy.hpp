// A memcpy for the short keys and values of a record: no call, few branches, nothing read or written out of
// bounds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace busway::log {

/// Copies `bytes` bytes that do not overlap. Short ones by fixed-size moves from both ends that meet in the
/// middle.
struct SmallCopy {
  [[gnu::always_inline]] void operator()(std::byte* to, const std::byte* from,
                                         std::size_t bytes) const noexcept {
    std::byte* const to_end = to + bytes;
    const std::byte* const from_end = from + bytes;
    if (bytes > 128) [[unlikely]] {
      std::memcpy(to, from, bytes);
    } else if (bytes > 64) {
      move<64>(to, from);
      move<64>(to_end - 64, from_end - 64);
    } else if (bytes > 32) {
      move<32>(to, from);
      move<32>(to_end - 32, from_end - 32);
    } else if (bytes >= 16) {
      move<16>(to, from);
      move<16>(to_end - 16, from_end - 16);
    } else if (bytes >= 8) {
      move<8>(to, from);
      move<8>(to_end - 8, from_end - 8);
    } else if (bytes >= 4) {
      move<4>(to, from);
      move<4>(to_end - 4, from_end - 4);
    } else if (bytes > 0) {  // 1 to 3: the first, the middle and the last byte cover them all
      move<1>(to, from);
      move<1>(to + bytes / 2, from + bytes / 2);
      move<1>(to_end - 1, from_end - 1);
    }
  }

 private:
  // Through registers of at most 16 bytes, which every x86-64 has.
  template <std::size_t kBytes>
  [[gnu::always_inline]] static void move(std::byte* to, const std::byte* from) noexcept {
    constexpr std::size_t kStep = kBytes < 16 ? kBytes : 16;
#pragma GCC unroll 4
    for (std::size_t at = 0; at < kBytes; at += kStep) std::memcpy(to + at, from + at, kStep);
  }
};

}  // namespace busway::log
