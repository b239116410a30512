// Variable-length integers as Kafka's record format has them: base 128, least significant group first, signed
// values in zigzag form (0, -1, 1, -2 become 0, 1, 2, 3). 32-bit values take 1 to 5 bytes, 64-bit values 1
// to 10.
//
// Writers need room for the longest form: they may store past the bytes that they count. Readers take hostile
// bytes.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace busway::varint {

inline constexpr std::size_t kMost32 = 5;
inline constexpr std::size_t kMost64 = 10;
/// What write_* may touch, however few bytes it returns.
inline constexpr std::size_t kRoom = 10;

constexpr std::uint32_t zigzag32(std::int32_t value) noexcept {
  return (static_cast<std::uint32_t>(value) << 1) ^ static_cast<std::uint32_t>(value >> 31);
}
constexpr std::uint64_t zigzag64(std::int64_t value) noexcept {
  return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}
constexpr std::int32_t unzigzag32(std::uint32_t value) noexcept {
  return static_cast<std::int32_t>((value >> 1) ^ (0U - (value & 1U)));
}
constexpr std::int64_t unzigzag64(std::uint64_t value) noexcept {
  return static_cast<std::int64_t>((value >> 1) ^ (std::uint64_t{0} - (value & 1U)));
}

/// Bytes that an unsigned value takes: ceil(significant bits / 7), at least 1.
constexpr std::size_t unsigned_bytes(std::uint64_t value) noexcept {
  return (static_cast<std::size_t>(std::bit_width(value | 1U)) * 9 + 64) /
         64;  // = (bits + 6) / 7 for 1 to 64 bits
}
constexpr std::size_t signed_bytes(std::int64_t value) noexcept { return unsigned_bytes(zigzag64(value)); }

/// Writes `value` and returns the byte after it. `to` needs kRoom bytes.
inline std::byte* write_unsigned(std::byte* to, std::uint64_t value) noexcept {
  while (value >= 0x80) {
    *to++ = static_cast<std::byte>(value | 0x80);
    value >>= 7;
  }
  *to++ = static_cast<std::byte>(value);
  return to;
}
/// Values below this take one or two bytes: nearly all lengths and deltas.
inline constexpr std::uint64_t kShortEnd = 0x4000;

/// The one or two bytes of a value below kShortEnd, the first one lowest.
struct Short {
  std::uint64_t groups;
  unsigned bytes;
};
constexpr Short short_form(std::uint64_t value) noexcept {
  if (value < 0x80) return {value, 1};
  return {(value & 0x7F) | 0x80 | value >> 7 << 8, 2};
}

/// As write_unsigned(), quick for short values.
inline std::byte* write_short(std::byte* to, std::uint64_t value) noexcept {
  if (value >= kShortEnd) [[unlikely]]
    return write_unsigned(to, value);
  const Short form = short_form(value);
  const auto groups = static_cast<std::uint16_t>(form.groups);
  std::memcpy(to, &groups, sizeof groups);
  return to + form.bytes;
}
inline std::byte* write_signed(std::byte* to, std::int64_t value) noexcept {
  return write_unsigned(to, zigzag64(value));
}

/// Reads an unsigned value of at most 32 bits; returns the byte after it, or null: cut short, or more than 32
/// bits.
[[nodiscard]] inline const std::byte* read_unsigned32(const std::byte* from, const std::byte* end,
                                                      std::uint32_t& value) noexcept {
  std::uint64_t sum = 0;
  for (unsigned shift = 0; shift < 35; shift += 7) {
    if (from == end) return nullptr;
    const auto group = std::to_integer<std::uint64_t>(*from++);
    sum |= (group & 0x7F) << shift;
    if (group < 0x80) {
      value = static_cast<std::uint32_t>(sum);
      return sum >> 32 == 0 ? from : nullptr;
    }
  }
  return nullptr;
}

/// Likewise for at most 64 bits.
[[nodiscard]] inline const std::byte* read_unsigned64(const std::byte* from, const std::byte* end,
                                                      std::uint64_t& value) noexcept {
  std::uint64_t sum = 0;
  for (unsigned shift = 0; shift < 70; shift += 7) {
    if (from == end) return nullptr;
    const auto group = std::to_integer<std::uint64_t>(*from++);
    if (shift == 63 && group > 1) return nullptr;
    sum |= (group & 0x7F) << shift;
    if (group < 0x80) {
      value = sum;
      return from;
    }
  }
  return nullptr;
}

[[nodiscard]] inline const std::byte* read_signed32(const std::byte* from, const std::byte* end,
                                                    std::int32_t& value) noexcept {
  std::uint32_t raw = 0;
  const std::byte* next = read_unsigned32(from, end, raw);
  value = unzigzag32(raw);
  return next;
}
[[nodiscard]] inline const std::byte* read_signed64(const std::byte* from, const std::byte* end,
                                                    std::int64_t& value) noexcept {
  std::uint64_t raw = 0;
  const std::byte* next = read_unsigned64(from, end, raw);
  value = unzigzag64(raw);
  return next;
}

}  // namespace busway::varint
