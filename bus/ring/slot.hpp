// The words of the ring: slot words, places of frames, lease cells. Pure functions of integers, nothing
// shared.
//
// slot u64  = [lap:32 | lane:11 | unit:21]   0 = never set; lane 0 = a fence, unit = its reason
// place u32 = [lane:11 | unit:21]            the low half of a slot word; a frame names its own
// lease u64 = [seq:16 | offset + 1:48]       0 = none, all ones = revoked
#pragma once

#include <cstdint>

#include "bus/base/limits.hpp"
#include "bus/memory/wait_layout.hpp"

namespace busway::ring {

/// Why a ring ends. The number is the `unit` of the fence's slot word: append, never renumber.
enum class FenceReason : std::uint32_t {
  unknown = 0,  ///< no daemon writes this: a hostile publisher did
  grown = 1,    ///< the next ring generation starts at this offset
  deleted = 2,  ///< the topic is gone
  failed = 3,   ///< the partition's log cannot be written
  revoked = 4,  ///< the daemon threw the topic's publishers out
  stopped = 5,  ///< the daemon stops; it will be back
};

inline constexpr std::uint32_t kUnitMask = (1U << limits::kUnitBits) - 1;
inline constexpr std::uint32_t kLaneMask = (1U << limits::kLaneBits) - 1;
inline constexpr std::uint32_t kFenceLane = 0;

constexpr std::uint32_t place_word(std::uint32_t lane, std::uint32_t unit) noexcept {
  return ((lane & kLaneMask) << limits::kUnitBits) | (unit & kUnitMask);
}
constexpr std::uint32_t place_lane(std::uint32_t place) noexcept { return place >> limits::kUnitBits; }
constexpr std::uint32_t place_unit(std::uint32_t place) noexcept { return place & kUnitMask; }

constexpr std::uint64_t slot_word(std::uint32_t lap, std::uint32_t place) noexcept {
  return (std::uint64_t{lap} << 32) | place;
}
constexpr std::uint32_t slot_lap(std::uint64_t word) noexcept {
  return static_cast<std::uint32_t>(word >> 32);
}
constexpr std::uint32_t slot_place(std::uint64_t word) noexcept { return static_cast<std::uint32_t>(word); }
constexpr std::uint32_t slot_lane(std::uint64_t word) noexcept { return place_lane(slot_place(word)); }
constexpr bool is_fence(std::uint64_t word) noexcept { return slot_lane(word) == kFenceLane; }

/// How many laps `word` is ahead of `lap`: 0 = set for this lap, -1 = free for it, anything lower = corrupt.
constexpr std::int32_t laps_ahead(std::uint64_t word, std::uint32_t lap) noexcept {
  return static_cast<std::int32_t>(slot_lap(word) - lap);
}

constexpr std::uint64_t fence_word(std::uint32_t lap, FenceReason reason) noexcept {
  return slot_word(lap, place_word(kFenceLane, static_cast<std::uint32_t>(reason)));
}
constexpr FenceReason fence_reason(std::uint64_t word) noexcept {
  const std::uint32_t reason = place_unit(slot_place(word));
  return reason <= static_cast<std::uint32_t>(FenceReason::stopped) ? static_cast<FenceReason>(reason)
                                                                    : FenceReason::unknown;
}

inline constexpr unsigned kLeaseOffsetBits = 48;
inline constexpr std::uint64_t kLeaseOffsetMask = (std::uint64_t{1} << kLeaseOffsetBits) - 1;

/// A lease on everything at or above `offset`. `seq` tells it from the holder's earlier leases.
constexpr std::uint64_t lease_word(std::uint16_t seq, std::uint64_t offset) noexcept {
  return (std::uint64_t{seq} << kLeaseOffsetBits) | ((offset + 1) & kLeaseOffsetMask);
}
/// Does this cell hold anything up?
constexpr bool lease_counts(std::uint64_t cell) noexcept {
  return (cell & kLeaseOffsetMask) != 0 && cell != memory::kLeaseRevoked;
}
/// Of a cell that counts.
constexpr std::uint64_t lease_offset(std::uint64_t cell) noexcept { return (cell & kLeaseOffsetMask) - 1; }

static_assert(slot_word(7, place_word(5, 9)) == 0x0000'0007'00a0'0009U);
static_assert(laps_ahead(0, 1) == -1, "a ring starts with zeros that are right for its first lap");
static_assert(lease_word(0, 0) != memory::kLeaseNone);

}  // namespace busway::ring
