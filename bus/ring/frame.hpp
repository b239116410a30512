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

/// Reads a header, each word once, into registers.
template <class A>
[[gnu::always_inline]] inline memory::FrameHeader get_header(const std::byte* from) noexcept {
  const auto [place, timestamp, headers_and_key, value] = A::template load_shared<4>(from);
  const auto low = [](std::uint64_t word) { return static_cast<std::uint32_t>(word); };
  const auto high = [](std::uint64_t word) { return static_cast<std::uint32_t>(word >> 32); };
  return {.place = low(place),
          .partition = high(place),
          .timestamp_ms = static_cast<std::int64_t>(timestamp),
          .headers_bytes = low(headers_and_key),
          .key_bytes = static_cast<std::int32_t>(high(headers_and_key)),
          .value_bytes = static_cast<std::int32_t>(low(value)),
          .reserved = high(value)};
}

/// The longest keys and values that are copied without a call.
inline constexpr std::size_t kShortMost = 128;

/// Copies `bytes` by `move.operator()<n>(at)`, which moves the n bytes at `at`, if they are few: without a
/// call, in ascending order, the last move overlapping the one before. From 16 bytes on all but the last are
/// at places that do not depend on the length, so a reader's misses do not wait for the header's. False: not
/// that few.
template <class Move>
[[gnu::always_inline]] inline bool copy_short(std::size_t bytes, Move&& move) noexcept {
  constexpr std::size_t kMove = 16;
  if (bytes > kShortMost) return false;
  if (bytes >= kMove) {
#pragma GCC unroll 8
    for (std::size_t at = 0; at < kShortMost - kMove; at += kMove) {
      if (at + kMove >= bytes) break;
      move.template operator()<kMove>(at);
    }
    move.template operator()<kMove>(bytes - kMove);
  } else if (bytes >= 8) {
    move.template operator()<8>(0);
    if (bytes != 8) move.template operator()<8>(bytes - 8);
  } else if (bytes >= 4) {
    move.template operator()<4>(0);
    move.template operator()<4>(bytes - 4);
  } else {
    for (std::size_t at = 0; at < bytes; ++at) move.template operator()<1>(at);
  }
  return true;
}

/// Copies a key or value of at most kShortMost bytes into a frame, without a call and with few branches:
/// half from the front, half from the back, overlapping in the middle.
template <class A>
[[gnu::always_inline]] inline void put_short(std::byte* to, const std::byte* from,
                                             std::size_t bytes) noexcept {
  const auto move = [&]<std::size_t n>(std::size_t at) { A::copy_to_shared(to + at, from + at, n); };
  if (bytes < 16) [[unlikely]] {
    copy_short(bytes, move);
    return;
  }
  move.template operator()<16>(0);
  if (bytes > 32) [[likely]] {
    move.template operator()<16>(16);
    if (bytes > 64) {
      move.template operator()<16>(32);
      move.template operator()<16>(48);
      move.template operator()<16>(bytes - 64);
      move.template operator()<16>(bytes - 48);
    }
    move.template operator()<16>(bytes - 32);
  }
  move.template operator()<16>(bytes - 16);
}

/// Copies a key or value into a frame.
template <class A>
[[gnu::always_inline]] inline void put_bytes(std::byte* to, const std::byte* from,
                                             std::size_t bytes) noexcept {
  if (!copy_short(bytes, [&]<std::size_t n>(std::size_t at) { A::copy_to_shared(to + at, from + at, n); }))
    A::copy_to_shared(to, from, bytes);
}

/// Copies a frame's body out.
template <class A>
[[gnu::always_inline]] inline void take_bytes(std::byte* to, const std::byte* from,
                                              std::size_t bytes) noexcept {
  if (!copy_short(bytes, [&]<std::size_t n>(std::size_t at) { A::copy_from_shared(to + at, from + at, n); }))
    A::copy_from_shared(to, from, bytes);
}

}  // namespace busway::ring
