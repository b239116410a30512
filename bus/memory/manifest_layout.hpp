// `manifest`: what each descriptor is that the keeper holds, so that the next worker can take everything up.
// Read and written by the daemon alone (worker: entries; keeper: `keeper_fd` and `state`). Byte table:
// docs/memory-layout.md.
//
// An entry's life: empty -> pending (worker filled it in) -> live (keeper has the fd and has acknowledged it)
// -> empty. Only a live entry's memory may be handed to a client. The next worker drops pending ones.
#pragma once

#include "bus/base/limits.hpp"
#include "bus/memory/atomics.hpp"
#include "bus/memory/identity_layout.hpp"

namespace busway::memory {

enum class ManifestKind : std::uint32_t {
  none = 0,
  ring = 1,
  marks = 2,
  wait = 3,
  lane = 4,
  bells = 5,
  session = 7,  ///< fd is the client's pidfd; `index` its session number
  segment = 8,  ///< fd is a separately opened active segment: sync errors are reported through it
};
enum class ManifestState : std::uint32_t { empty = 0, pending = 1, live = 2 };

struct ManifestEntry {
  Atomic32 state;  ///< ManifestState; stored last (release) by whoever moves it on
  ManifestKind kind;
  Uuid id;                   ///< names the entry in messages to the keeper
  Uuid topic;                ///< ring, marks, wait, lane, segment
  std::uint32_t index;       ///< partition, lane id, or session
  std::uint32_t generation;  ///< of a ring or a lane
  std::uint32_t owner_uid;
  std::uint32_t owner_session;  ///< lane: the session of its publisher
  std::int32_t owner_pid;       ///< session: the pid its pidfd was opened for
  std::int32_t keeper_fd;  ///< the descriptor's number in the keeper, inherited under it by the next worker
  std::uint64_t bytes;     ///< charged to the budget
  std::uint64_t aux;       ///< segment: base offset; lane: unit bytes; session: its re-attachment token
  std::uint8_t reserved[16];
};
static_assert(sizeof(ManifestEntry) == 96 + 0 && std::is_standard_layout_v<ManifestEntry>);
static_assert(offsetof(ManifestEntry, kind) == 4);
static_assert(offsetof(ManifestEntry, id) == 8);
static_assert(offsetof(ManifestEntry, topic) == 24);
static_assert(offsetof(ManifestEntry, index) == 40);
static_assert(offsetof(ManifestEntry, owner_uid) == 48);
static_assert(offsetof(ManifestEntry, keeper_fd) == 60);
static_assert(offsetof(ManifestEntry, bytes) == 64);
static_assert(offsetof(ManifestEntry, aux) == 72);

struct ManifestHeader {
  Identity identity;
  std::uint32_t entries;
  std::uint32_t worker_starts;  ///< how many workers there have been, this one included
  std::uint8_t reserved[56];
};
static_assert(sizeof(ManifestHeader) == 128 && std::is_standard_layout_v<ManifestHeader>);

constexpr std::size_t manifest_bytes(std::uint32_t entries) noexcept {
  return sizeof(ManifestHeader) + entries * sizeof(ManifestEntry);
}
inline ManifestEntry* manifest_entries(ManifestHeader* header) noexcept {
  return reinterpret_cast<ManifestEntry*>(header + 1);
}

}  // namespace busway::memory
