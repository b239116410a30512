// The shared memory of one scenario: one partition with up to two rings, lanes, marks, leases and bells, as
// words of the checker; and the views of it that bus/ring works on.
#pragma once

#include <array>
#include <cstdint>

#include "bus/ring/publish.hpp"
#include "bus/ring/views.hpp"
#include "tests/interleave/engine/policy.hpp"

namespace busway::interleave {

using ring::Reclaim;

/// How large a scenario is, and which parts of the algorithm it has.
struct Shape {
  Reclaim reclaim = Reclaim::logged;
  std::uint32_t slots = 2;       ///< of the first ring: a power of two
  std::uint32_t next_slots = 0;  ///< of the second; 0 = there is none
  std::uint32_t publishers = 2;
  std::array<std::uint32_t, 2> records{2, 2};  ///< of each publisher
  std::uint32_t rooms = 2;                     ///< for frames in each lane, the header's included
  std::uint32_t leases = 0;                    ///< cells
  std::uint32_t lease_batch = 1;               ///< offsets looked at under one lease, at most 2
  std::uint32_t lease_tries = 0;               ///< then the reader copies; 0 = it never gives up
  std::uint32_t cursors = 0;                   ///< cells: overflow=block
  bool reader_sleeps = false;                  ///< on its bell; otherwise until something changes
  bool publishers_sleep = false;
  bool worker_sleeps = false;
  bool retires =
      false;  ///< publisher 2 gets publisher 1's lane id, once that one has ended and its lane is retired
  bool fences = false;        ///< the worker fences, to grow or for good
  std::uint64_t granted = 0;  ///< so many offsets ahead of what is drained; 0 = all
};

/// What a frame of the cast takes, and the lane's header: two units.
inline constexpr std::size_t kFrameBytes = 2 * limits::kUnitBytes;
inline constexpr std::uint32_t kLanesMost = 2;
inline constexpr std::uint32_t kOffsetsMost = 12;

/// Sleeper bits and bells: publishers 0 and 1, the reader 2.
inline constexpr std::uint32_t kReaderBit = 2;
inline constexpr std::uint32_t kBells = 3;

/// Body of a record: which of which publisher (from 1). Never 0.
constexpr std::uint64_t record_id(std::uint32_t publisher, std::uint32_t number) noexcept {
  return publisher * 16 + number + 1;
}

struct World {
  explicit World(const Shape& shape);
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  Shape shape;
  Locations locations;
  std::array<ring::RingView<Checked>, 2> rings{};
  ring::PartitionView<Checked> partition{};
  std::array<Checked::u32, kBells> bells{};
  Checked::u32 daemon_bell{};
  Checked::u32 daemon_asleep{};
  std::array<Checked::u64, 1> dirty{};
  std::array<Checked::u64, kActorsMost> pidfds{};

  /// Each publisher has memory of its own for its lane; they have a lane id each, or share the first.
  std::uint32_t lane_id(std::uint32_t publisher) const noexcept { return shape.retires ? 1 : publisher; }
  std::uint32_t publisher_of(std::uint32_t lane, std::uint32_t generation) const noexcept {
    return shape.retires ? generation : lane;
  }
  std::byte* lane_data(std::uint32_t publisher) const noexcept {
    return Checked::lane_space + std::size_t{publisher - 1} * lane_bytes();
  }
  std::size_t lane_bytes() const noexcept { return shape.rooms * kFrameBytes; }
  ring::LaneSpan resolve(std::uint32_t lane, std::uint32_t generation) const noexcept;
  /// The location of a unit: one cell.
  std::uint8_t frame_location(std::uint32_t publisher, std::uint32_t unit) const noexcept {
    return Checked::lane_locations[std::size_t{publisher - 1} * shape.rooms * 2 + unit];
  }

 private:
  void add_ring(std::uint32_t which, std::uint32_t slots);
  void add_marks();
  void add_wait();
  void add_lanes();

  struct RingWords {
    Checked::u64 base, tail, reclaimed;
    std::array<Checked::u64, 4> slots;
  };
  std::array<RingWords, 2> ring_words_{};
  Checked::u64 granted_{}, written_{};
  Checked::u32 ring_generation_{};
  std::array<Checked::u32, kLanesMost + 1> lane_generation_{};
  Checked::u64 record_sleepers_{}, space_sleepers_{};
  std::array<Checked::u64, Checked::kLeaseCells> leases_{}, cursors_{};
};

}  // namespace busway::interleave
