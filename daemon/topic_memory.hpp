// The shared memory of one topic as the daemon holds it: marks, wait, the rings of every partition, the lanes
// of every publisher. It exists while somebody is attached or something is left to drain.
//
// Rules kept here: memory is live at the keeper before anybody is told of it (H9); a ring is announced only
// when the one before it is fenced and it is open (H33); an id, a ring or a lane goes only when no slot,
// reader or living owner can still refer to it (H6, H7).
//
// Threads: the control thread calls everything. The drain reads rings and lanes through RingSet and LaneSet,
// which lock for the length of a look-up and hand out shared ownership, so that what is retired stays mapped
// while it is looked at.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "bus/ring/fence.hpp"
#include "bus/ring/views.hpp"
#include "daemon/kept_memory.hpp"
#include "daemon/topic_config.hpp"

namespace busway::daemon {

inline constexpr std::uint64_t kNotFenced = ~std::uint64_t{0};

struct HeldRing {
  KeptRegion kept;
  ring::Ring view;                   ///< entered once open
  std::uint64_t fence = kNotFenced;  ///< control thread: where its fence stands
};

/// How far a ring may hold records of a lane whose owner publishes no more.
struct LaneEnd {
  std::uint32_t partition = 0;
  Generation ring{};
  std::uint64_t offset = 0;
};

struct HeldLane {
  KeptRegion kept;
  LaneId id{};
  Generation generation{};
  ring::LaneSpan span;
  std::uint32_t session = 0;
  // Control thread:
  std::uint64_t given_up = 0;  ///< its owner has dropped it or has died; lower ones were given up earlier
  /// Found once after it was given up, when the rings may go on without it; those that may still be read.
  std::optional<std::vector<LaneEnd>> ends;
};

/// The rings of one partition that are not yet retired, oldest first.
class RingSet {
 public:
  std::shared_ptr<HeldRing> newest() const;
  /// How far records go at least in the newest one (ring::known_log_end); nullopt: that cannot be told.
  std::optional<std::uint64_t> known_end() const;
  std::shared_ptr<HeldRing> find(Generation generation) const;
  /// The newest open ring that marks names and whose base is at or below `offset`.
  std::shared_ptr<HeldRing> for_offset(const ring::Partition& partition, std::uint64_t offset) const;
  std::vector<std::shared_ptr<HeldRing>> all() const;
  void add(std::shared_ptr<HeldRing> ring);
  std::shared_ptr<HeldRing> remove(Generation generation);

 private:
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<HeldRing>> rings_;
};

/// The lanes of one topic that are not yet retired, by id.
class LaneSet {
 public:
  std::shared_ptr<HeldLane> find(LaneId id) const;
  std::vector<std::shared_ptr<HeldLane>> all() const;
  void add(std::shared_ptr<HeldLane> lane);
  void remove(LaneId id);

 private:
  mutable std::mutex mutex_;
  std::map<std::uint16_t, std::shared_ptr<HeldLane>> lanes_;
};

/// One partition's shared memory.
struct PartitionMemory {
  ring::Partition view;
  memory::PartitionMarks* marks = nullptr;
  memory::PartitionWait* wait = nullptr;
  RingSet rings;

  /// Control thread: the ring that marks names; the newest one may not be announced yet.
  std::shared_ptr<HeldRing> current_ring() const;
};

/// What a partition starts with when its topic's memory is made.
struct PartitionStart {
  std::uint64_t log_start = 0;
  std::uint64_t log_end = 0;
  std::uint64_t granted = 0;
  std::int32_t epoch = 0;
  std::uint32_t ordinal = 0;
};

class TopicMemory {
 public:
  /// Makes marks, wait and the first ring of every partition. Charged to `uid`, on whose behalf. On an error
  /// nothing is kept.
  TopicMemory(KeptMemory& kept, const Uuid& topic, std::string name, const TopicConfig& config,
              const std::vector<PartitionStart>& starts, uid_t uid);

  /// Takes up what an earlier worker made: `entries` are all live ones of this topic. errc::corrupt when
  /// marks or wait are missing.
  TopicMemory(KeptMemory& kept, const Uuid& topic, std::string name, const std::vector<EntryIndex>& entries);

  TopicMemory(const TopicMemory&) = delete;
  TopicMemory& operator=(const TopicMemory&) = delete;

  /// Gives everything back to the keeper. Nobody is attached and nothing is undrained.
  void drop();

  const KeptRegion& marks_region() const noexcept { return marks_; }
  const KeptRegion& wait_region() const noexcept { return wait_; }
  memory::MarksHeader& marks() const noexcept { return *marks_.region.as<memory::MarksHeader>(); }
  std::uint32_t partitions() const noexcept { return static_cast<std::uint32_t>(partitions_.size()); }
  PartitionMemory& partition(std::uint32_t number) noexcept { return *partitions_[number]; }
  const std::shared_ptr<PartitionMemory>& share_partition(std::uint32_t number) const noexcept {
    return partitions_[number];
  }
  const std::shared_ptr<LaneSet>& lanes() const noexcept { return lanes_; }

  /// Makes a lane that holds limits::kRecordsPerLane records of `record_bytes` bytes, marks its generation.
  /// Offer it to the subscribers before its publisher gets it.
  std::shared_ptr<HeldLane> make_lane(std::uint64_t record_bytes, std::uint32_t session, uid_t uid);

  /// Makes the next ring generation of a partition, kLimits::kRingGrowth times as large (same size when it is
  /// at the most). A partition's first ring begins at `base` and is open before the keeper has it: a topic of
  /// which the keeper has everything is complete. Any other is not yet open: offer it to everybody attached,
  /// then call open_grown().
  std::shared_ptr<HeldRing> make_ring(std::uint32_t partition, std::uint64_t slots,
                                      std::uint64_t base = memory::kBaseUnset);
  /// Fences the newest open ring as grown, opens `next` there and announces it. The caller wakes the
  /// sleepers. False: the ring was already fenced for another reason; `next` has been dropped again.
  bool open_grown(std::uint32_t partition, const std::shared_ptr<HeldRing>& next);

  /// Sets a fence in a partition's newest ring; returns where it stands. nullopt: the ring is corrupt or
  /// contended.
  std::optional<std::uint64_t> fence(std::uint32_t partition, ring::FenceReason reason);
  /// Why a partition's newest open ring has ended; nullopt: it goes on.
  std::optional<ring::FenceReason> ended(std::uint32_t partition) const;

  /// The lane's publisher has dropped it or has died: it goes as soon as nobody can refer to it.
  void give_up(HeldLane& lane);

  /// Are as many lanes alive as there can be? Then retire() may help.
  bool out_of_lanes() const { return !free_lane_id(); }

  /// Retires rings that grew and lanes that were given up, as far as nobody can refer to them any more. If
  /// there are no lanes left then, a topic that drops its oldest records drops those of a lane's worth.
  /// `dropped(lane)` is called for each lane after it is out of the set and before its id can be used again.
  void retire(const std::function<void(const HeldLane&)>& dropped);

  /// Bytes of shared memory.
  std::uint64_t bytes() const;

 private:
  void make_tables(const TopicConfig& config, const std::vector<PartitionStart>& starts, uid_t uid);
  void bind_partitions();
  void take_up_ring(EntryIndex entry);
  void take_up_lane(EntryIndex entry);
  std::optional<LaneId> free_lane_id() const;
  void count_given_up(HeldLane& lane);
  bool find_ends(HeldLane& lane) const;
  bool no_longer_read(const LaneEnd& end, bool drop_oldest);
  bool lane_retirable(HeldLane& lane, bool drop_oldest);
  void retire_rings(PartitionMemory& partition);
  void retire_lane(const std::shared_ptr<HeldLane>& lane,
                   const std::function<void(const HeldLane&)>& dropped);
  void retire_lanes(const std::function<void(const HeldLane&)>& dropped);

  KeptMemory& keeper_;
  Uuid topic_;
  std::string name_;
  uid_t uid_ = 0;
  KeptRegion marks_;
  KeptRegion wait_;
  std::vector<std::shared_ptr<PartitionMemory>> partitions_;
  std::shared_ptr<LaneSet> lanes_ = std::make_shared<LaneSet>();
  std::uint32_t old_rings_ = 0;       ///< that are closed and not yet retired
  std::uint32_t lanes_given_up_ = 0;  ///< and not yet retired
  std::uint64_t last_given_up_ = 0;
};

}  // namespace busway::daemon
