// Writing a frame into a lane. Pure; the lane belongs to one publisher and so to one thread.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "bus/memory/lane_layout.hpp"

namespace busway::ring {

/// Writes `header` word by word. A struct that is filled in and then copied as a whole would be read back in
/// wider pieces than it was written in, and the copy would wait until all of it has left the store buffer: 10
/// ns of a publish.
template <class A>
void put_header(std::byte* to, const memory::FrameHeader& header) noexcept {
  static_assert(std::endian::native == std::endian::little, "two fields make a word, the first one low");
  const auto put = [to](std::size_t at, std::uint64_t word) {
    A::copy_to_shared(to + at, &word, sizeof word);
  };
  const auto pair = [](auto low, auto high) {
    return std::uint64_t{static_cast<std::uint32_t>(low)} | std::uint64_t{static_cast<std::uint32_t>(high)}
                                                                << 32;
  };
  static_assert(sizeof(memory::FrameHeader) == 4 * sizeof(std::uint64_t));
  put(offsetof(memory::FrameHeader, place), pair(header.place, header.partition));
  put(offsetof(memory::FrameHeader, timestamp_ms), static_cast<std::uint64_t>(header.timestamp_ms));
  put(offsetof(memory::FrameHeader, headers_bytes), pair(header.headers_bytes, header.key_bytes));
  put(offsetof(memory::FrameHeader, value_bytes), pair(header.value_bytes, header.reserved));
}

/// Copies a key or value into a frame: short ones without a call, by moves of 16 bytes of which the last two
/// may overlap.
template <class A>
void put_bytes(std::byte* to, const std::byte* from, std::size_t bytes) noexcept {
  constexpr std::size_t kMove = 16;
  constexpr std::size_t kInlineMost = 128;
  if (bytes < kMove || bytes > kInlineMost) return A::copy_to_shared(to, from, bytes);
  for (std::size_t at = 0; at + kMove < bytes; at += kMove) A::copy_to_shared(to + at, from + at, kMove);
  A::copy_to_shared(to + bytes - kMove, from + bytes - kMove, kMove);
}

}  // namespace busway::ring
