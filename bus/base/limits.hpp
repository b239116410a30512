// Every limit of Busway in one place, with the sums that follow from them asserted.
// Limits that a person may set are settings (docs/configuration.md); these here are bounds of formats and
// layouts.
#pragma once

#include <cstddef>
#include <cstdint>

namespace busway::limits {

inline constexpr std::size_t kKiB = 1024;
inline constexpr std::size_t kMiB = 1024 * kKiB;

/// A false sharing guard: what one core writes and another reads lies on lines of its own.
inline constexpr std::size_t kCacheLine = 64;

// Slot word: [lap:32 | lane:12 | unit:20].
inline constexpr unsigned kUnitBits = 21;
inline constexpr unsigned kLaneBits = 11;
inline constexpr unsigned kLapBits = 32;
static_assert(kUnitBits + kLaneBits + kLapBits == 64);

// Rings: slots of one partition and generation.
inline constexpr std::uint64_t kRingSlotsFirst = 4096;
inline constexpr std::uint64_t kRingSlotsMost = 262144;
inline constexpr std::uint64_t kRingGrowth = 4;
/// The daemon fences a ring long before its lap could wrap.
inline constexpr std::uint64_t kLapsMost = (std::uint64_t{1} << kLapBits) - 2;

// Lanes: bytes of one publisher on one topic. A lane's header takes its first units, so no frame starts
// there. Frames begin at units of half a cache line: a record of 64 bytes takes a line and a half, not two.
inline constexpr unsigned kUnitShift = 5;
inline constexpr std::size_t kUnitBytes = std::size_t{1} << kUnitShift;
inline constexpr std::size_t kLaneBytesFirst = 64 * kKiB;
inline constexpr std::size_t kLaneBytesMost = 64 * kMiB;
inline constexpr std::size_t kLaneGrowth = 4;
static_assert(kLaneBytesMost >> kUnitShift <= std::size_t{1} << kUnitBits, "every unit fits a slot word");
/// Lanes of one topic alive at once. Lane ids run from 1 to this. The slot word would allow 2,047.
inline constexpr std::uint32_t kLanesPerTopic = 1023;
static_assert(kLanesPerTopic < (1u << kLaneBits));
/// A lane made for an n-byte record holds this many of it.
inline constexpr std::size_t kRecordsPerLane = 4;
inline constexpr std::size_t kMessageBytesMost = kLaneBytesMost / kRecordsPerLane;
inline constexpr std::size_t kMessageBytesDefault = 1 * kMiB;

// Topics.
inline constexpr std::size_t kTopicNameMost = 249;  // Kafka's own limit
inline constexpr std::uint32_t kPartitionsPerTopic = 1024;
inline constexpr std::uint32_t kPartitionsPerDaemon = 65536;
inline constexpr std::uint32_t kTopicsPerDaemon = 16384;
/// Processes with a sleeper bit on one topic; those beyond rely on the sweep.
inline constexpr std::uint32_t kSleepersPerTopic = 512;
/// Lease cells, and cursors of overflow=block, per partition.
inline constexpr std::uint32_t kSubscribersWithCells = 64;

// Daemon.
inline constexpr std::uint32_t kSessionsMost = 4096;
inline constexpr std::uint32_t kManifestEntries = 16384;

// Control plane.
inline constexpr std::size_t kControlMessageMost = 64 * kKiB;
inline constexpr std::size_t kFdsPerMessage = 64;  // the kernel's own limit is 253
inline constexpr std::size_t kUnreadOffersPerSession = 64;

// Log.
inline constexpr std::size_t kBatchBytesTarget = 256 * kKiB;  // stays in L2 with its checksum pass
inline constexpr std::size_t kHeadersPerRecord = 65535;

}  // namespace busway::limits
