// `wait`: who sleeps on one topic, what is leased, how far `overflow=block` subscribers have read. Writable
// by everybody attached to the topic: nothing in it may harm more than wake-ups, zero-copy reads and
// backpressure of this topic. Byte table: docs/memory-layout.md.
#pragma once

#include "bus/base/limits.hpp"
#include "bus/memory/atomics.hpp"
#include "bus/memory/identity_layout.hpp"

namespace busway::memory {

/// One bit per attached process (MarksTables::sleeper_session says whose). One line, so that a publisher that
/// finds nobody asleep touches one shared line.
struct SleepLine {
  alignas(limits::kCacheLine) Atomic64 words[limits::kSleepersPerTopic / 64];
};
static_assert(sizeof(SleepLine) == limits::kCacheLine);

/// lease cell u64 = [seq:16 | offset+1:48]; 0 = no lease.
inline constexpr std::uint64_t kLeaseNone = 0;
inline constexpr std::uint64_t kLeaseRevoked = ~std::uint64_t{0};
/// cursor of a subscriber that is not there.
inline constexpr std::uint64_t kCursorNone = ~std::uint64_t{0};

struct PartitionWait {
  SleepLine records;  ///< asleep until a record is published
  SleepLine space;    ///< asleep until something is reclaimable
  SleepLine durable;  ///< asleep until `durable` (or `written`) moves
  alignas(limits::kCacheLine) Atomic64 leases[limits::kSubscribersWithCells];
  alignas(limits::kCacheLine)
      Atomic64 cursors[limits::kSubscribersWithCells];  ///< overflow=block; else kCursorNone
};
static_assert(sizeof(PartitionWait) == 3 * 64 + 2 * 512 && std::is_standard_layout_v<PartitionWait>);
static_assert(offsetof(PartitionWait, space) == 64);
static_assert(offsetof(PartitionWait, durable) == 128);
static_assert(offsetof(PartitionWait, leases) == 192);
static_assert(offsetof(PartitionWait, cursors) == 704);

struct WaitHeader {
  Identity identity;
};

constexpr std::size_t wait_bytes(std::uint32_t partitions) noexcept {
  return sizeof(WaitHeader) + partitions * sizeof(PartitionWait);
}
inline PartitionWait* wait_partitions(WaitHeader* wait) noexcept {
  return reinterpret_cast<PartitionWait*>(wait + 1);
}

}  // namespace busway::memory
