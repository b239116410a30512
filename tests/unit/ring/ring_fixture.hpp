// A topic of one partition in real shared memory, and the roles that act on it: publisher, reader, daemon.
// Everything a test says about the ring is said through these.
#pragma once

#include <bit>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bus/memory/region.hpp"
#include "bus/ring/fence.hpp"
#include "bus/ring/lane_writer.hpp"
#include "bus/ring/publish.hpp"
#include "bus/ring/read.hpp"
#include "bus/ring/sleep.hpp"

namespace busway::ring::test {

using memory::StdAtomics;
using StdLedger = Ledger<StdAtomics>;
using StdLane = LaneWriter<StdAtomics>;
using StdLease = Lease<StdAtomics>;

inline memory::Identity identity_of(memory::Kind kind, std::uint32_t part, std::uint32_t generation,
                                    std::uint64_t bytes, std::uint64_t item, std::uint64_t items) {
  return {.magic = memory::kMagic,
          .layout_version = memory::kLayoutVersion,
          .kind = kind,
          .owner = {},
          .partition = part,
          .generation = generation,
          .bytes = bytes,
          .item_bytes = item,
          .item_count = items};
}

/// What the frame of a short value takes: two units.
inline constexpr std::size_t kRoomBytes = 2 * limits::kUnitBytes;

/// A ring's memory with its view.
struct RingMemory {
  memory::Region region;
  Ring view;

  RingMemory(std::uint64_t slots, std::uint32_t generation)
      : region(memory::Region::create("ring", memory::ring_bytes(slots))) {
    auto* header = region.as<memory::RingHeader>();
    header->identity = identity_of(memory::Kind::ring, 0, generation, memory::ring_bytes(slots), 8, slots);
    header->base.store(memory::kBaseUnset, std::memory_order_relaxed);
    view = *view_ring(header, region.bytes());
  }
};

/// The topic: marks, wait, rings, lanes; the test plays the daemon.
class Topic {
 public:
  explicit Topic(std::uint64_t slots, Reclaim reclaim = Reclaim::logged, std::uint64_t base = 0)
      : marks_(memory::Region::create("marks", memory::marks_bytes(1))),
        wait_(memory::Region::create("wait", memory::wait_bytes(1))) {
    auto* header = marks_.as<memory::MarksHeader>();
    header->storage = reclaim == Reclaim::logged ? memory::Storage::logged : memory::Storage::memory;
    header->overflow = reclaim == Reclaim::block ? memory::Overflow::block : memory::Overflow::drop_oldest;
    header->lease_cells.store(limits::kSubscribersWithCells);
    partition = *view_partition(header, marks_.bytes(), wait_.as<memory::WaitHeader>(), wait_.bytes(), 0);
    for (std::uint32_t cell = 0; cell < partition.wait.cells; ++cell)
      partition.wait.cursors[cell].store(memory::kCursorNone, std::memory_order_relaxed);
    partition.marks.written->store(base, std::memory_order_relaxed);
    partition.marks.granted->store(~std::uint64_t{0}, std::memory_order_relaxed);
    add_ring(slots);
    open_ring(ring(), base);
    announce_ring(partition.marks, ring().generation);
  }

  Ring& add_ring(std::uint64_t slots) {
    rings_.push_back(std::make_unique<RingMemory>(slots, static_cast<std::uint32_t>(rings_.size()) + 1));
    return rings_.back()->view;
  }
  Ring& ring(std::size_t nth_newest = 0) { return rings_[rings_.size() - 1 - nth_newest]->view; }

  /// A lane of so many rooms, its header's included, known to every reader.
  const LaneSpan& add_lane(std::size_t rooms) {
    const std::size_t bytes = rooms * kRoomBytes;
    lanes_.push_back(memory::Region::create("lane", bytes));
    const auto id = static_cast<std::uint32_t>(lanes_.size());
    lanes_.back().as<memory::LaneHeader>()->identity =
        identity_of(memory::Kind::lane, id, 1, bytes, limits::kUnitBytes, bytes / limits::kUnitBytes);
    partition.marks.lane_generation[id].store(1, std::memory_order_release);
    spans_[id] = {.data = lanes_.back().as<std::byte>(), .bytes = bytes};
    return spans_[id];
  }
  std::uint32_t lanes() const { return static_cast<std::uint32_t>(lanes_.size()); }
  std::byte* lane_data(std::uint32_t lane) { return lanes_[lane - 1].as<std::byte>(); }

  auto resolver() {
    return [this](std::uint32_t lane, std::uint32_t generation) {
      return lane < spans_.size() && generation == 1 ? spans_[lane] : LaneSpan{};
    };
  }

  void write_up_to(std::uint64_t offset) { raise_written(partition.marks, offset); }

  Partition partition;

 private:
  memory::Region marks_;
  memory::Region wait_;
  std::vector<std::unique_ptr<RingMemory>> rings_;
  std::vector<memory::Region> lanes_;
  std::vector<LaneSpan> spans_ = std::vector<LaneSpan>(64);
};

/// A monotonic clock that the test moves.
struct TestClock {
  const std::int64_t* now;
  std::int64_t operator()() const noexcept { return *now; }
};

/// A publisher with a lane of its own, publishing values without key and headers.
class Publisher {
 public:
  Publisher(Topic& topic, std::size_t lane_rooms)
      : topic_(&topic),
        span_(topic.add_lane(lane_rooms)),
        book_(StdLane::book_size(span_.bytes)),
        lane(topic.lanes(), topic.lane_data(topic.lanes()), span_.bytes, book_) {
    enter_newest_ring();
  }

  void enter_newest_ring() {
    Ring& ring = topic_->ring();
    ring.enter();
    ledgers.push_back(std::make_unique<StdLedger>(StdLedger{.ring = ring, .partition = &topic_->partition}));
    ledgers.back()->enter();
  }

  Reservation<StdAtomics> reserve(std::size_t value_bytes) {
    return lane.reserve(sizeof(memory::FrameHeader) + value_bytes,
                        LeasePatience<TestClock>{.now_ns = {&now_ns}, .timeout_ns = lease_timeout_ns});
  }

  /// Room that is not taken.
  Room<StdAtomics> find_room(std::size_t value_bytes) {
    return lane.find_room(sizeof(memory::FrameHeader) + value_bytes,
                          LeasePatience<TestClock>{.now_ns = {&now_ns}, .timeout_ns = lease_timeout_ns});
  }

  /// Publishes as a client does who has nothing to wait for: takes no more room than for a record that is
  /// out.
  PublishOutcome stream(const std::string& value) {
    const Room<StdAtomics> room = find_room(value.size());
    if (room.status != ReserveStatus::reserved) return {PublishStatus::wait_slots, FenceReason::unknown, 0};
    fill(room, value);
    const PublishOutcome outcome = ring::publish(*ledgers.back(), room.place);
    if (outcome.status == PublishStatus::committed) lane.take(room.units, *ledgers.back(), outcome.offset);
    return outcome;
  }

  template <class At>
  void fill(const At& at, const std::string& value) {
    const memory::FrameHeader header{.place = at.place,
                                     .partition = 0,
                                     .timestamp_ms = 0,
                                     .headers_bytes = 0,
                                     .key_bytes = memory::kNullLength,
                                     .value_bytes = static_cast<std::int32_t>(value.size()),
                                     .reserved = 0};
    StdAtomics::copy_to_shared(at.data, &header, sizeof header);
    StdAtomics::copy_to_shared(at.data + sizeof header, value.data(), value.size());
  }

  PublishOutcome commit(const Reservation<StdAtomics>& at) {
    const PublishOutcome outcome = ring::publish(*ledgers.back(), at.place);
    if (outcome.status == PublishStatus::committed) lane.published(at.frame, *ledgers.back(), outcome.offset);
    return outcome;
  }

  /// Reserves, fills, commits; what does not get through at once is abandoned.
  PublishOutcome publish(const std::string& value) {
    const Reservation<StdAtomics> at = reserve(value.size());
    if (at.status != ReserveStatus::reserved) return {PublishStatus::wait_slots, FenceReason::unknown, 0};
    fill(at, value);
    const PublishOutcome outcome = commit(at);
    if (outcome.status != PublishStatus::committed) lane.abandon(at.frame);
    return outcome;
  }

 private:
  Topic* topic_;
  LaneSpan span_;
  std::vector<Remembered<StdAtomics>> book_;

 public:
  StdLane lane;
  std::vector<std::unique_ptr<StdLedger>> ledgers;  ///< oldest ring first
  std::int64_t now_ns = 1;
  std::int64_t lease_timeout_ns = 1000;
};

/// What a read of one offset gave.
struct Taken {
  ReadStatus status;
  std::string value;
  Found found;
};

inline Taken take(Topic& topic, Ring& ring, std::uint64_t offset) {
  Taken taken{};
  std::vector<std::byte> room(64);
  taken.status = read_copy(topic.partition, ring, offset, topic.resolver(), room, taken.found);
  if (taken.status == ReadStatus::too_small) {
    room.resize(taken.found.body_bytes);
    taken.status = read_copy(topic.partition, ring, offset, topic.resolver(), room, taken.found);
  }
  if (taken.status == ReadStatus::record)
    taken.value.assign(reinterpret_cast<const char*>(room.data()), taken.found.body_bytes);
  return taken;
}

}  // namespace busway::ring::test
