// `ring`: the slot ring of one partition and generation. Writable by the topic's publishers and the daemon,
// readable by its subscribers. Byte table: docs/memory-layout.md; algorithm: docs/ring.md.
//
// slot u64 = [lap:32 | lane:12 | unit:20]; 0 = never set; lane 0 = a fence, unit = its reason.
// For offset o in a ring of base b with N slots: q = o - b, index q mod N, lap q / N + 1.
#pragma once

#include "bus/base/limits.hpp"
#include "bus/memory/atomics.hpp"
#include "bus/memory/identity_layout.hpp"

namespace busway::memory {

/// Offsets are below 2^48 (a lease cell has 48 bits for one), so this never is one.
inline constexpr std::uint64_t kBaseUnset = ~std::uint64_t{0};

struct RingHeader {
  Identity identity;
  // Read by all, written once by the daemon: kBaseUnset until the previous generation's fence stands.
  alignas(limits::kCacheLine) Atomic64 base;
  // A hint that publishers store after each commit: a line of its own, readers do not look at it.
  alignas(limits::kCacheLine) Atomic64 tail;
  // Moved rarely, checked by every reader after its copy: a line of its own, so that `tail` does not evict
  // it.
  alignas(limits::kCacheLine) Atomic64 reclaimed;
  // Slots follow: Atomic64 slots[identity.item_count].
};
static_assert(sizeof(RingHeader) == 256);
static_assert(std::is_standard_layout_v<RingHeader>);
static_assert(offsetof(RingHeader, base) == 64);
static_assert(offsetof(RingHeader, tail) == 128);
static_assert(offsetof(RingHeader, reclaimed) == 192);

constexpr std::size_t ring_bytes(std::uint64_t slots) noexcept {
  return sizeof(RingHeader) + slots * sizeof(Atomic64);
}

inline Atomic64* ring_slots(RingHeader* ring) noexcept { return reinterpret_cast<Atomic64*>(ring + 1); }
inline const Atomic64* ring_slots(const RingHeader* ring) noexcept {
  return reinterpret_cast<const Atomic64*>(ring + 1);
}

}  // namespace busway::memory
