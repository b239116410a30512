// The first 64 bytes of every shared memfd: what it is, of which layout version, and of what it is a part.
// Written by the daemon before the memfd's fd is passed on, never changed. Byte table: docs/memory-layout.md.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "bus/base/ids.hpp"

namespace busway::memory {

inline constexpr std::array<char, 8> kMagic = {'B', 'U', 'S', 'W', 'A', 'Y', 'M', '1'};
inline constexpr std::uint32_t kLayoutVersion = 4;

enum class Kind : std::uint32_t {
  ring = 1,
  marks = 2,
  wait = 3,
  lane = 4,
  bells = 5,
  stats = 6,
  manifest = 7
};

struct Identity {
  std::array<char, 8> magic;
  std::uint32_t layout_version;
  Kind kind;
  Uuid owner;                ///< the topic's uuid; the daemon instance's for bells, stats and manifest
  std::uint32_t partition;   ///< ring: the partition; lane: the lane id; else 0
  std::uint32_t generation;  ///< ring and lane: the generation; else 0
  std::uint64_t bytes;       ///< of the whole memfd
  std::uint64_t item_bytes;  ///< lane: its unit; ring: 8; else 0
  std::uint64_t item_count;  ///< lane: units, the header's included; ring: slots; marks and wait: partitions;
                             ///< bells: sessions
};
static_assert(sizeof(Identity) == 64);
static_assert(std::is_standard_layout_v<Identity> && std::is_trivially_copyable_v<Identity>);
static_assert(offsetof(Identity, layout_version) == 8);
static_assert(offsetof(Identity, kind) == 12);
static_assert(offsetof(Identity, owner) == 16);
static_assert(offsetof(Identity, partition) == 32);
static_assert(offsetof(Identity, generation) == 36);
static_assert(offsetof(Identity, bytes) == 40);
static_assert(offsetof(Identity, item_bytes) == 48);
static_assert(offsetof(Identity, item_count) == 56);

}  // namespace busway::memory
