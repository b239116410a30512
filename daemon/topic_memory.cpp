#include "daemon/topic_memory.hpp"

#include <algorithm>
#include <bit>

namespace busway::daemon {
namespace {

constexpr int kFenceAttempts = 100;

/// Owner of a lane whose publisher is gone.
constexpr std::uint32_t kNobody = 0xFFFFFFFF;

void initialise_marks(memory::MarksHeader& marks, const TopicConfig& config, std::uint32_t partitions) {
  marks.partitions = partitions;
  marks.storage = static_cast<memory::Storage>(config.storage);
  marks.overflow = static_cast<memory::Overflow>(config.overflow);
  marks.max_message_bytes.store(static_cast<std::uint64_t>(config.max_message_bytes),
                                std::memory_order_relaxed);
  marks.lease_timeout_ms.store(static_cast<std::uint64_t>(config.lease_timeout_ms),
                               std::memory_order_relaxed);
  marks.state.store(static_cast<std::uint32_t>(memory::TopicState::active), std::memory_order_relaxed);
}

/// Relaxed throughout: nobody else has the memory yet; passing its descriptor on orders everything.
void initialise_partition(memory::PartitionMarks& marks, const PartitionStart& start) {
  marks.granted.store(start.granted, std::memory_order_relaxed);
  marks.log_start.store(start.log_start, std::memory_order_relaxed);
  marks.epoch.store(static_cast<std::uint32_t>(start.epoch), std::memory_order_relaxed);
  marks.ring_generation.store(1, std::memory_order_relaxed);
  marks.state.store(static_cast<std::uint32_t>(memory::PartitionState::active), std::memory_order_relaxed);
  marks.ordinal.store(start.ordinal, std::memory_order_relaxed);
  marks.written.store(start.log_end, std::memory_order_relaxed);
  marks.durable.store(start.log_end, std::memory_order_relaxed);
}

void initialise_wait(memory::WaitHeader* wait, std::uint32_t partitions) {
  for (std::uint32_t p = 0; p < partitions; ++p) {
    for (memory::Atomic64& cursor : memory::wait_partitions(wait)[p].cursors) {
      cursor.store(memory::kCursorNone, std::memory_order_relaxed);
    }
  }
}

/// A lane for records of `record_bytes` bytes: a power of two between the first and the largest size, header
/// included.
std::uint64_t lane_bytes_for(std::uint64_t record_bytes) {
  const std::uint64_t frame = record_bytes + sizeof(memory::FrameHeader) + limits::kUnitBytes;
  const std::uint64_t wanted = limits::kRecordsPerLane * frame;
  return std::clamp<std::uint64_t>(std::bit_ceil(wanted), limits::kLaneBytesFirst, limits::kLaneBytesMost);
}

}  // namespace

std::shared_ptr<HeldRing> RingSet::newest() const {
  const std::lock_guard lock(mutex_);
  return rings_.empty() ? nullptr : rings_.back();
}

std::optional<std::uint64_t> RingSet::known_end() const {
  const auto ring = newest();
  return ring ? ring::known_log_end(ring->view) : std::nullopt;
}

std::shared_ptr<HeldRing> RingSet::find(Generation generation) const {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(rings_.begin(), rings_.end(),
                                  [&](const auto& held) { return held->view.generation == raw(generation); });
  return found == rings_.end() ? nullptr : *found;
}

std::shared_ptr<HeldRing> RingSet::for_offset(const ring::Partition& partition, std::uint64_t offset) const {
  // acquire: pairs with announce_ring(): the ring is open.
  const std::uint32_t newest = partition.marks.ring_generation->load(std::memory_order_acquire);
  const std::lock_guard lock(mutex_);
  for (auto held = rings_.rbegin(); held != rings_.rend(); ++held) {
    ring::Ring& view = (*held)->view;
    if (view.generation <= newest && view.entered() && view.base <= offset) return *held;
  }
  return nullptr;
}

std::vector<std::shared_ptr<HeldRing>> RingSet::all() const {
  const std::lock_guard lock(mutex_);
  return rings_;
}

void RingSet::add(std::shared_ptr<HeldRing> ring) {
  const std::lock_guard lock(mutex_);
  const auto behind = std::find_if(rings_.begin(), rings_.end(), [&](const auto& held) {
    return held->view.generation > ring->view.generation;
  });
  rings_.insert(behind, std::move(ring));
}

std::shared_ptr<HeldRing> RingSet::remove(Generation generation) {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(rings_.begin(), rings_.end(),
                                  [&](const auto& held) { return held->view.generation == raw(generation); });
  if (found == rings_.end()) return nullptr;
  std::shared_ptr<HeldRing> held = std::move(*found);
  rings_.erase(found);
  return held;
}

std::shared_ptr<HeldLane> LaneSet::find(LaneId id) const {
  const std::lock_guard lock(mutex_);
  const auto found = lanes_.find(raw(id));
  return found == lanes_.end() ? nullptr : found->second;
}

std::vector<std::shared_ptr<HeldLane>> LaneSet::all() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<HeldLane>> lanes;
  lanes.reserve(lanes_.size());
  for (const auto& [id, lane] : lanes_) lanes.push_back(lane);
  return lanes;
}

void LaneSet::add(std::shared_ptr<HeldLane> lane) {
  const std::lock_guard lock(mutex_);
  lanes_[raw(lane->id)] = std::move(lane);
}

void LaneSet::remove(LaneId id) {
  const std::lock_guard lock(mutex_);
  lanes_.erase(raw(id));
}

std::shared_ptr<HeldRing> PartitionMemory::current_ring() const {
  return rings.find(
      static_cast<Generation>(view.marks.ring_generation->load(std::memory_order_relaxed)));  // writer: us
}

TopicMemory::TopicMemory(KeptMemory& kept, const Uuid& topic, std::string name, const TopicConfig& config,
                         const std::vector<PartitionStart>& starts, uid_t uid)
    : keeper_(kept), topic_(topic), name_(std::move(name)), uid_(uid) {
  try {
    make_tables(config, starts, uid);
    bind_partitions();
    for (std::uint32_t p = 0; p < partitions(); ++p) {
      make_ring(p, limits::kRingSlotsFirst, starts[p].log_end);
    }
  } catch (...) {
    drop();
    throw;
  }
}

void TopicMemory::make_tables(const TopicConfig& config, const std::vector<PartitionStart>& starts,
                              uid_t uid) {
  const auto count = static_cast<std::uint32_t>(starts.size());
  marks_ = keeper_.make({.kind = memory::Kind::marks,
                         .topic = topic_,
                         .bytes = memory::marks_bytes(count),
                         .item_count = count,
                         .owner_uid = uid},
                        "marks of topic " + name_, [&](memory::Region& region) {
                          auto& header = *region.as<memory::MarksHeader>();
                          initialise_marks(header, config, count);
                          for (std::uint32_t p = 0; p < count; ++p) {
                            initialise_partition(memory::marks_partitions(&header)[p], starts[p]);
                          }
                        });
  wait_ = keeper_.make({.kind = memory::Kind::wait,
                        .topic = topic_,
                        .bytes = memory::wait_bytes(count),
                        .item_count = count,
                        .owner_uid = uid},
                       "wait table of topic " + name_, [&](memory::Region& region) {
                         initialise_wait(region.as<memory::WaitHeader>(), count);
                       });
}

void TopicMemory::bind_partitions() {
  auto* marks = marks_.region.as<memory::MarksHeader>();
  auto* wait = wait_.region.as<memory::WaitHeader>();
  const std::uint32_t count = marks->partitions;
  for (std::uint32_t p = 0; p < count; ++p) {
    const auto view = ring::view_partition(marks, marks_.region.bytes(), wait, wait_.region.bytes(), p);
    if (!view) throw Error(errc::corrupt, "shared memory of topic " + name_ + " is smaller than it says");
    auto partition = std::make_shared<PartitionMemory>();
    partition->view = *view;
    partition->marks = &memory::marks_partitions(marks)[p];
    partition->wait = &memory::wait_partitions(wait)[p];
    partitions_.push_back(std::move(partition));
  }
}

TopicMemory::TopicMemory(KeptMemory& kept, const Uuid& topic, std::string name,
                         const std::vector<EntryIndex>& entries)
    : keeper_(kept), topic_(topic), name_(std::move(name)) {
  for (const EntryIndex entry : entries) {
    const memory::ManifestKind kind = kept.keeper().entry(entry).kind;
    if (kind == memory::ManifestKind::marks) marks_ = kept.take_up(entry);
    if (kind == memory::ManifestKind::wait) wait_ = kept.take_up(entry);
  }
  if (!marks_.region.mapped() || !wait_.region.mapped()) {
    throw Error(errc::corrupt, "the keeper holds no marks or no wait table for topic " + name_);
  }
  uid_ = marks_.uid;
  bind_partitions();
  for (const EntryIndex entry : entries) {
    const memory::ManifestKind kind = kept.keeper().entry(entry).kind;
    if (kind == memory::ManifestKind::ring) take_up_ring(entry);
    if (kind == memory::ManifestKind::lane) take_up_lane(entry);
  }
  for (const auto& lane : lanes_->all())
    if (lane->given_up != 0) static_cast<void>(find_ends(*lane));  // now that all rings are here
}

void TopicMemory::take_up_ring(EntryIndex entry) {
  auto held = std::make_shared<HeldRing>();
  held->kept = keeper_.take_up(entry);
  const auto view = ring::view_ring(held->kept.region.as<memory::RingHeader>(), held->kept.region.bytes());
  const std::uint32_t partition = keeper_.keeper().entry(entry).index;
  if (!view || partition >= partitions())
    throw Error(errc::corrupt, "a ring of topic " + name_ + " does not check out");
  held->view = *view;
  held->view.generation =
      keeper_.keeper().entry(entry).generation;  // publishers can write to the ring's own header
  held->view.enter();
  if (partitions_[partition]->rings.newest()) ++old_rings_;
  partitions_[partition]->rings.add(std::move(held));
}

void TopicMemory::take_up_lane(EntryIndex entry) {
  const memory::ManifestEntry& about = keeper_.keeper().entry(entry);
  auto held = std::make_shared<HeldLane>();
  held->kept = keeper_.take_up(entry);
  held->id = static_cast<LaneId>(about.index);
  held->generation = static_cast<Generation>(about.generation);
  held->session = about.owner_session;
  held->span = {held->kept.region.as<const std::byte>(), about.bytes};
  if (held->session == kNobody) count_given_up(*held);
  lanes_->add(std::move(held));
}

void TopicMemory::drop() {
  // First: without marks a topic is not whole, and a worker that finds the rest drops it, too.
  if (marks_.region.mapped()) keeper_.drop(marks_);
  for (const auto& partition : partitions_) {
    for (const auto& held : partition->rings.all()) {
      partition->rings.remove(static_cast<Generation>(held->view.generation));
      keeper_.drop(held->kept);
    }
  }
  for (const auto& lane : lanes_->all()) {
    lanes_->remove(lane->id);
    keeper_.drop(lane->kept);
  }
  if (wait_.region.mapped()) keeper_.drop(wait_);
}

std::optional<LaneId> TopicMemory::free_lane_id() const {
  std::uint16_t next = 1;
  for (const auto& lane : lanes_->all()) {  // ascending by id
    if (raw(lane->id) != next) break;
    ++next;
  }
  if (next > limits::kLanesPerTopic) return std::nullopt;
  return static_cast<LaneId>(next);
}

std::shared_ptr<HeldLane> TopicMemory::make_lane(std::uint64_t record_bytes, std::uint32_t session,
                                                 uid_t uid) {
  const auto id = free_lane_id();
  if (!id) {
    throw Error(errc::limit_reached,
                "topic " + name_ + " has " + std::to_string(limits::kLanesPerTopic) +
                    " lanes, the most there can be: close publishers; the lane of one that is gone "
                    "goes when its records are written");
  }
  memory::Atomic32& generation = memory::marks_tables(&marks())->lane_generation[raw(*id)];
  auto held = std::make_shared<HeldLane>();
  held->id = *id;
  held->generation =
      static_cast<Generation>(generation.load(std::memory_order_relaxed) + 1);  // single writer: us
  held->session = session;
  const std::uint64_t bytes = lane_bytes_for(record_bytes);
  held->kept = keeper_.make({.kind = memory::Kind::lane,
                             .topic = topic_,
                             .index = raw(*id),
                             .generation = held->generation,
                             .bytes = bytes,
                             .item_bytes = limits::kUnitBytes,
                             .item_count = bytes / limits::kUnitBytes,
                             .owner_uid = uid,
                             .owner_session = session},
                            "lane of topic " + name_, [](memory::Region&) {});
  held->span = {held->kept.region.as<const std::byte>(), bytes};
  lanes_->add(held);
  // release: pairs with locate(): whoever sees this generation finds no slot of the one before (H6).
  generation.store(raw(held->generation), std::memory_order_release);
  return held;
}

std::shared_ptr<HeldRing> TopicMemory::make_ring(std::uint32_t partition, std::uint64_t slots,
                                                 std::uint64_t base) {
  const auto newest = partitions_[partition]->rings.newest();
  const auto generation = static_cast<Generation>(newest ? newest->view.generation + 1 : 1);
  auto held = std::make_shared<HeldRing>();
  held->kept = keeper_.make({.kind = memory::Kind::ring,
                             .topic = topic_,
                             .index = partition,
                             .generation = generation,
                             .bytes = memory::ring_bytes(slots),
                             .item_bytes = sizeof(memory::Atomic64),
                             .item_count = slots,
                             .owner_uid = uid_},
                            "ring of topic " + name_, [&](memory::Region& region) {
                              auto* header = region.as<memory::RingHeader>();
                              header->base.store(memory::kBaseUnset, std::memory_order_relaxed);
                              held->view = *ring::view_ring(header, region.bytes());
                              if (base != memory::kBaseUnset) ring::open_ring(held->view, base);
                            });
  partitions_[partition]->rings.add(held);
  return held;
}

bool TopicMemory::open_grown(std::uint32_t partition, const std::shared_ptr<HeldRing>& next) {
  PartitionMemory& memory = *partitions_[partition];
  const auto current = memory.current_ring();
  const ring::LogEnd end =
      current ? ring::set_fence(current->view, ring::FenceReason::grown) : ring::LogEnd{};
  if (end.status != ring::EndStatus::fenced || end.reason != ring::FenceReason::grown) {
    // A ring that was offered under its generation is never replaced by another: it stays for the next
    // attempt unless nobody can want one.
    return false;
  }
  current->fence = end.offset;
  ring::open_ring(next->view, end.offset);
  ring::announce_ring(memory.view.marks, next->view.generation);
  ++old_rings_;
  return true;
}

std::optional<std::uint64_t> TopicMemory::fence(std::uint32_t partition, ring::FenceReason reason) {
  PartitionMemory& memory = *partitions_[partition];
  const auto current = memory.current_ring();
  if (!current) return std::nullopt;
  ring::LogEnd end = ring::set_fence(current->view, reason);
  // Each attempt walks several times around the ring: publishers are that much faster only now and then.
  for (int attempt = 1; end.status == ring::EndStatus::contended && attempt < kFenceAttempts; ++attempt)
    end = ring::set_fence(current->view, reason);
  if (end.status != ring::EndStatus::fenced) return std::nullopt;
  current->fence = end.offset;
  return end.offset;
}

std::optional<ring::FenceReason> TopicMemory::ended(std::uint32_t partition) const {
  const PartitionMemory& memory = *partitions_[partition];
  const auto current = memory.current_ring();
  if (!current || !current->view.entered()) return std::nullopt;
  const ring::LogEnd end = ring::find_log_end(current->view);
  if (end.status != ring::EndStatus::fenced) return std::nullopt;
  return end.reason;
}

void TopicMemory::retire_rings(PartitionMemory& partition) {
  const std::uint32_t newest = partition.view.marks.ring_generation->load(std::memory_order_relaxed);  // ours
  for (const auto& held : partition.rings.all()) {
    if (held->view.generation >= newest) continue;
    if (held->fence == kNotFenced) {  // grown by an earlier worker
      const ring::LogEnd end = ring::find_log_end(held->view);
      if (end.status != ring::EndStatus::fenced) continue;
      held->fence = end.offset;
    }
    // The daemon's own advance: publishers that never come back would leave the ring as it is (H20).
    ring::advance(partition.view, held->view, held->fence, held->fence, held->fence);
    if (!ring::ring_retirable(partition.view, held->view, held->fence)) continue;
    partition.rings.remove(static_cast<Generation>(held->view.generation));
    keeper_.drop(held->kept);
    if (old_rings_ > 0) --old_rings_;
  }
}

/// Once, after its owner's last commit: in a ring that others publish to the end moves on. False: not now.
bool TopicMemory::find_ends(HeldLane& lane) const {
  if (lane.ends) return true;
  std::vector<LaneEnd> ends;
  for (std::uint32_t p = 0; p < partitions(); ++p) {
    for (const auto& held : partitions_[p]->rings.all()) {
      if (!held->view.entered()) continue;
      const ring::LogEnd end = ring::find_log_end(held->view);
      if (end.status != ring::EndStatus::open && end.status != ring::EndStatus::fenced) return false;
      ends.push_back(
          {.partition = p, .ring = static_cast<Generation>(held->view.generation), .offset = end.offset});
    }
  }
  lane.ends = std::move(ends);
  return true;
}

/// Are the records of one ring up to there out of everybody's sight? `drop_oldest`: also those that a memory
/// topic would keep until they are overwritten.
bool TopicMemory::no_longer_read(const LaneEnd& end, bool drop_oldest) {
  const ring::Partition& view = partitions_[end.partition]->view;
  const auto held = partitions_[end.partition]->rings.find(end.ring);
  if (!held) return true;  // retired: it was read to its fence
  // The daemon's own advance, or every one-shot publisher would pin a lane (H20).
  if (view.reclaim != ring::Reclaim::drop_oldest || drop_oldest)
    ring::advance(view, held->view, end.offset, end.offset, end.offset);
  return ring::lane_retirable(view, held->view, end.offset);
}

bool TopicMemory::lane_retirable(HeldLane& lane, bool drop_oldest) {
  if (lane.given_up == 0 || !find_ends(lane)) return false;
  std::erase_if(*lane.ends, [&](const LaneEnd& end) { return no_longer_read(end, drop_oldest); });
  return lane.ends->empty();
}

void TopicMemory::count_given_up(HeldLane& lane) {
  lane.given_up = ++last_given_up_;
  ++lanes_given_up_;
}

void TopicMemory::give_up(HeldLane& lane) {
  if (lane.given_up != 0) return;
  count_given_up(lane);
  keeper_.keeper().entry(lane.kept.entry).owner_session = kNobody;  // for the next worker
  // The sooner the fewer records of others lie before its ends. If it cannot be now: when lanes are retired.
  static_cast<void>(find_ends(lane));
}

void TopicMemory::retire(const std::function<void(const HeldLane&)>& dropped) {
  for (std::size_t p = 0; old_rings_ > 0 && p < partitions_.size(); ++p) retire_rings(*partitions_[p]);
  if (lanes_given_up_ > 0) retire_lanes(dropped);
}

void TopicMemory::retire_lane(const std::shared_ptr<HeldLane>& lane,
                              const std::function<void(const HeldLane&)>& dropped) {
  // The generation moves on when the id is given out again; until then readers keep what they have mapped.
  lanes_->remove(lane->id);
  dropped(*lane);
  keeper_.drop(lane->kept);
  --lanes_given_up_;
}

void TopicMemory::retire_lanes(const std::function<void(const HeldLane&)>& dropped) {
  auto lanes = lanes_->all();
  std::erase_if(lanes, [](const auto& lane) { return lane->given_up == 0; });
  std::sort(lanes.begin(), lanes.end(),
            [](const auto& one, const auto& other) { return one->given_up < other->given_up; });
  for (const auto& lane : lanes)
    if (lane_retirable(*lane, false)) retire_lane(lane, dropped);
  if (!out_of_lanes()) return;
  const auto oldest =
      std::find_if(lanes.begin(), lanes.end(), [&](const auto& lane) { return lane_retirable(*lane, true); });
  if (oldest != lanes.end()) retire_lane(*oldest, dropped);
}

std::uint64_t TopicMemory::bytes() const {
  std::uint64_t sum = marks_.region.bytes() + wait_.region.bytes();
  for (const auto& partition : partitions_) {
    for (const auto& held : partition->rings.all()) sum += held->kept.region.bytes();
  }
  for (const auto& lane : lanes_->all()) sum += lane->kept.region.bytes();
  return sum;
}

}  // namespace busway::daemon
