// `marks`: what the daemon says about one topic. Writable by the daemon alone, readable by everybody
// attached. Byte table: docs/memory-layout.md.
#pragma once

#include "bus/base/limits.hpp"
#include "bus/memory/atomics.hpp"
#include "bus/memory/identity_layout.hpp"

namespace busway::memory {

enum class TopicState : std::uint32_t { active = 1, deleted = 2, stopped = 3 };
enum class PartitionState : std::uint32_t { active = 1, failed = 2, disk_full = 3 };
enum class Storage : std::uint32_t { logged = 1, memory = 2 };
/// What a memory topic does when its ring is full.
enum class Overflow : std::uint32_t { drop_oldest = 1, block = 2 };

struct MarksHeader {
  Identity identity;
  alignas(limits::kCacheLine) Atomic32 state;  ///< TopicState
  std::uint32_t partitions;
  Storage storage;
  Overflow overflow;
  Atomic64 max_message_bytes;  ///< of key, value and headers together; may be altered while attached
  Atomic64 lease_timeout_ms;
  Atomic32 sleeper_words;  ///< words of each SleepLine that may have a bit set: the first so many; only grows
  Atomic32 lease_cells;    ///< lease cells and cursors that may be in use: the first so many; only grows
  std::uint8_t reserved[24];
};
static_assert(sizeof(MarksHeader) == 128 && std::is_standard_layout_v<MarksHeader>);
static_assert(offsetof(MarksHeader, state) == 64);
static_assert(offsetof(MarksHeader, partitions) == 68);
static_assert(offsetof(MarksHeader, storage) == 72);
static_assert(offsetof(MarksHeader, overflow) == 76);
static_assert(offsetof(MarksHeader, max_message_bytes) == 80);
static_assert(offsetof(MarksHeader, lease_timeout_ms) == 88);
static_assert(offsetof(MarksHeader, sleeper_words) == 96);
static_assert(offsetof(MarksHeader, lease_cells) == 100);

/// One partition. The first line changes rarely and is read by every publish; the second moves with the disk.
struct PartitionMarks {
  alignas(limits::kCacheLine) Atomic64 granted;  ///< no offset at or above this may be published yet
  Atomic64 log_start;                            ///< first offset the log still has
  Atomic32 epoch;
  Atomic32 ring_generation;  ///< the newest ring that may be entered
  Atomic32 state;            ///< PartitionState
  Atomic32 cause;            ///< errno behind `failed` or `disk_full`
  Atomic32 ordinal;  ///< this partition's bit in the daemon's dirty and sync bitmaps (bells_layout.hpp)
  std::uint8_t reserved[28];
  alignas(limits::kCacheLine) Atomic64 written;  ///< every offset below is in the log file
  Atomic64 durable;                              ///< every offset below was fdatasync'ed
  std::uint8_t reserved2[48];
};
static_assert(sizeof(PartitionMarks) == 128 && std::is_standard_layout_v<PartitionMarks>);
static_assert(offsetof(PartitionMarks, log_start) == 8);
static_assert(offsetof(PartitionMarks, epoch) == 16);
static_assert(offsetof(PartitionMarks, ring_generation) == 20);
static_assert(offsetof(PartitionMarks, state) == 24);
static_assert(offsetof(PartitionMarks, cause) == 28);
static_assert(offsetof(PartitionMarks, ordinal) == 32);
static_assert(offsetof(PartitionMarks, written) == 64);
static_assert(offsetof(PartitionMarks, durable) == 72);

/// Fixed tables between the header and the partitions.
struct MarksTables {
  /// Sleeper bit -> session whose bell to ring, plus 1; 0 = bit not given out.
  Atomic32 sleeper_session[limits::kSleepersPerTopic];
  /// Lease cell -> session that holds it, plus 1; 0 = cell not given out.
  Atomic32 lease_session[limits::kSubscribersWithCells];
  /// Lane id -> its current generation; 0 = never used. Index 0 is unused.
  Atomic32 lane_generation[limits::kLanesPerTopic + 1];
};
static_assert(sizeof(MarksTables) == 4 * (512 + 64 + 1024) && std::is_standard_layout_v<MarksTables>);
static_assert(sizeof(MarksTables) % limits::kCacheLine == 0, "partitions start on a line");

constexpr std::size_t marks_bytes(std::uint32_t partitions) noexcept {
  return sizeof(MarksHeader) + sizeof(MarksTables) + partitions * sizeof(PartitionMarks);
}
inline MarksTables* marks_tables(MarksHeader* marks) noexcept {
  return reinterpret_cast<MarksTables*>(marks + 1);
}
inline const MarksTables* marks_tables(const MarksHeader* marks) noexcept {
  return reinterpret_cast<const MarksTables*>(marks + 1);
}
inline PartitionMarks* marks_partitions(MarksHeader* marks) noexcept {
  return reinterpret_cast<PartitionMarks*>(marks_tables(marks) + 1);
}
inline const PartitionMarks* marks_partitions(const MarksHeader* marks) noexcept {
  return reinterpret_cast<const PartitionMarks*>(marks_tables(marks) + 1);
}

}  // namespace busway::memory
