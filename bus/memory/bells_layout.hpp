// `bells`: one per daemon, writable by every client: a sleep word for each session, and the daemon's own bell
// with its dirty and sync bitmaps. It outlives the worker. Whoever scribbles here costs others wake-ups,
// never records: every sleep is bounded and the daemon sweeps. Byte table: docs/memory-layout.md.
#pragma once

#include "bus/base/limits.hpp"
#include "bus/memory/atomics.hpp"
#include "bus/memory/identity_layout.hpp"

namespace busway::memory {

/// The futex word that one process sleeps on, whatever it waits for.
struct Bell {
  alignas(limits::kCacheLine) Atomic32 word;
  std::uint8_t reserved[60];
};
static_assert(sizeof(Bell) == limits::kCacheLine);

inline constexpr std::size_t kOrdinalWords = limits::kPartitionsPerDaemon / 64;

struct BellsHeader {
  Identity identity;
  alignas(limits::kCacheLine) Atomic32 daemon_bell;  ///< futex word of the drain thread
  Atomic32 daemon_asleep;                            ///< 1 while it sleeps or is about to
  std::uint8_t reserved[56];
  alignas(limits::kCacheLine) Atomic64 dirty[kOrdinalWords];  ///< partition ordinal: has records to drain
  alignas(
      limits::kCacheLine) Atomic64 sync[kOrdinalWords];  ///< partition ordinal: somebody waits for durability
  // Bells follow: Bell bells[identity.item_count].
};
static_assert(sizeof(BellsHeader) == 128 + 2 * 8192 && std::is_standard_layout_v<BellsHeader>);
static_assert(offsetof(BellsHeader, daemon_bell) == 64);
static_assert(offsetof(BellsHeader, daemon_asleep) == 68);
static_assert(offsetof(BellsHeader, dirty) == 128);
static_assert(offsetof(BellsHeader, sync) == 128 + 8192);

constexpr std::size_t bells_bytes(std::uint32_t sessions) noexcept {
  return sizeof(BellsHeader) + sessions * sizeof(Bell);
}
inline Bell* bells_of(BellsHeader* header) noexcept { return reinterpret_cast<Bell*>(header + 1); }

}  // namespace busway::memory
