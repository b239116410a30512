#include "bus/client/topic_link.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include <fcntl.h>

namespace busway::client {
namespace {

memory::Region map_topic_memory(control::Answered<control::Attached>& attached, std::size_t which,
                                memory::Kind kind, memory::Access access, std::size_t least_bytes) {
  memory::Region region = memory::Region::map_known(std::move(attached.fds.at(which)), kind, access);
  region.forget_fd();
  const memory::Identity identity = *region.as<const memory::Identity>();
  if (region.bytes() < least_bytes || identity.owner != attached.body.uuid)
    throw Error(errc::corrupt, "the daemon sent shared memory that does not belong to the topic");
  return region;
}

/// What the daemon says of a lane, checked against the memory that it sent.
bool is_possible(const control::LaneInfo& info, const memory::Region& region) {
  return raw(info.lane) >= 1 && raw(info.lane) <= limits::kLanesPerTopic && info.bytes <= region.bytes() &&
         info.bytes <= limits::kLaneBytesMost;
}

/// Is everything of this ring reclaimed? Then nobody reads it any more, nor will.
bool used_up(const MappedRing& ring, const std::vector<std::shared_ptr<MappedRing>>& rings) {
  for (const auto& next : rings) {
    ring::Ring view = next->view;
    // acquire: as for every reader.
    if (view.generation == ring.view.generation + 1 && view.enter() &&
        ring.view.reclaimed->load(std::memory_order_acquire) >= view.base)
      return true;
  }
  return false;
}

read::HeldRing held(const std::shared_ptr<MappedRing>& ring) { return {.view = ring->view, .keep = ring}; }

}  // namespace

Use::~Use() { link_->core().detach(*link_, *attachment_); }

/// `work` of a request about this topic. What a stale link knows means nothing to the daemon, or something
/// else: numbers begin anew. With the gate held it does not become stale on the way.
template <class Work>
auto TopicLink::unless_stale(Work&& work) {
  return [this, work = std::forward<Work>(work)](control::ClientSession& session) {
    if (stale()) throw Restarted(name_);
    return work(session);
  };
}

TopicLink::TopicLink(std::shared_ptr<BusCore> core, std::string name, std::shared_ptr<Bells> bells,
                     control::Answered<control::Attached>& attached)
    : core_(std::move(core)),
      name_(std::move(name)),
      bells_(std::move(bells)),
      uuid_(attached.body.uuid),
      partitions_(attached.body.partitions),
      logged_(attached.body.storage == memory::Storage::logged),
      sleeper_bit_(attached.body.sleeper_bit),
      settings_(attached.body.settings),
      id_(attached.body.topic),
      marks_(map_topic_memory(attached, 0, memory::Kind::marks, memory::Access::read_only,
                              memory::marks_bytes(partitions_))),
      wait_(map_topic_memory(attached, 1, memory::Kind::wait, memory::Access::read_write,
                             memory::wait_bytes(partitions_))),
      sleeper_(wait_.as<memory::WaitHeader>(), partitions_, sleeper_bit_),
      waker_(bells_->view, &marks()),
      rings_(partitions_) {}

ring::Partition TopicLink::partition(std::uint32_t number) const {
  const auto view =
      ring::view_partition(&marks(), marks_.bytes(), wait_.as<memory::WaitHeader>(), wait_.bytes(), number);
  if (!view) throw Error(errc::corrupt, "topic " + name_ + " has no partition " + std::to_string(number));
  return *view;
}

// ---- attachments

void TopicLink::add(std::shared_ptr<Attachment> attachment) {
  const std::lock_guard lock(mutex_);
  attachments_.push_back(std::move(attachment));
}

void TopicLink::remove(const Attachment& attachment) {
  const std::lock_guard lock(mutex_);
  std::erase_if(attachments_, [&](const auto& held) { return held.get() == &attachment; });
}

/// After a restart of the worker: makes every attachment again under what it had. If the daemon cannot give
/// that back the link is stale.
void TopicLink::attach_again(control::ClientSession& session, const Deadline& deadline) {
  std::vector<std::shared_ptr<Attachment>> attachments;
  {
    const std::lock_guard lock(mutex_);
    attachments = attachments_;
  }
  for (const auto& attachment : attachments) {
    const auto again = session.request(
        control::Attach{.topic = name_,
                        .role = attachment->role,
                        .previous = control::PreviousAttachment{.topic = uuid_,
                                                                .sleeper_bit = sleeper_bit_,
                                                                .lease_cell = attachment->lease_cell}},
        deadline);
    attachment->id = again.body.attachment;
    id_ = again.body.topic;
    if (again.body.uuid != uuid_ || again.body.sleeper_bit != sleeper_bit_ ||
        again.body.lease_cell != attachment->lease_cell) {
      make_stale();
      return;
    }
  }
}

// ---- rings

void TopicLink::keep_ring(const control::RingInfo& info, Fd fd) {
  if (info.partition >= partitions_)
    throw Error(errc::corrupt, "the daemon sent a ring of no partition of " + name_);
  const bool writable = (::fcntl(fd.get(), F_GETFL) & O_ACCMODE) == O_RDWR;
  auto ring = std::make_shared<MappedRing>();
  ring->writable = writable;
  ring->region = memory::Region::map_known(std::move(fd), memory::Kind::ring,
                                           writable ? memory::Access::read_write : memory::Access::read_only);
  ring->region.forget_fd();
  const auto view = ring::view_ring(ring->region.as<memory::RingHeader>(), ring->region.bytes());
  const memory::Identity& identity = *ring->region.as<const memory::Identity>();
  if (!view || view->generation != raw(info.generation) || identity.partition != info.partition ||
      identity.owner != uuid_)
    throw Error(errc::corrupt, "the daemon sent a ring that is not of partition " +
                                   std::to_string(info.partition) + " of topic " + name_);
  ring->view = *view;
  const std::lock_guard lock(mutex_);
  auto& rings = rings_[info.partition];
  std::vector<std::shared_ptr<MappedRing>> kept;
  for (auto& known : rings) {
    const bool same = known->view.generation == ring->view.generation && known->writable == writable;
    // One that somebody still reads or writes is in use there, and no concern of ours.
    const bool idle = known.use_count() == 1 && used_up(*known, rings);
    if (!same && !idle) kept.push_back(known);
  }
  rings = std::move(kept);
  rings.push_back(std::move(ring));
}

std::vector<read::HeldRing> TopicLink::known_rings(std::uint32_t partition, bool writable) {
  std::vector<read::HeldRing> result;
  const std::lock_guard lock(mutex_);
  for (const auto& ring : rings_[partition]) {
    if (writable && !ring->writable) continue;
    const bool listed = std::any_of(result.begin(), result.end(), [&](const read::HeldRing& other) {
      return other.view.generation == ring->view.generation;
    });
    if (!listed) result.push_back(held(ring));
  }
  return result;
}

void TopicLink::fetch_rings(std::uint32_t partition, std::uint32_t newer_than, control::Role role,
                            const Deadline& deadline) {
  bool more = true;
  while (more) {
    auto rings =
        core_->connected(deadline, unless_stale([&](control::ClientSession& session) {
                           return session.request(control::GetRings{.topic = id_,
                                                                    .role = role,
                                                                    .from_partition = partition,
                                                                    .newer_than = Generation{newer_than},
                                                                    .only_that_partition = true},
                                                  deadline);
                         }));
    for (std::size_t i = 0; i < rings.body.rings.size() && i < rings.fds.size(); ++i) {
      newer_than = std::max(newer_than, raw(rings.body.rings[i].generation));
      keep_ring(rings.body.rings[i], std::move(rings.fds[i]));
    }
    more = rings.body.more && !rings.body.rings.empty();
  }
}

void TopicLink::fetch_all_rings(control::Role role, const Deadline& deadline) {
  control::GetRings next{
      .topic = {}, .role = role, .from_partition = 0, .newer_than = {}, .only_that_partition = false};
  bool more = true;
  while (more) {
    auto rings = core_->connected(deadline, unless_stale([&](control::ClientSession& session) {
                                    next.topic = id_;
                                    return session.request(next, deadline);
                                  }));
    for (std::size_t i = 0; i < rings.body.rings.size() && i < rings.fds.size(); ++i) {
      next.from_partition = rings.body.rings[i].partition;
      next.newer_than = rings.body.rings[i].generation;
      keep_ring(rings.body.rings[i], std::move(rings.fds[i]));
    }
    more = rings.body.more && !rings.body.rings.empty();
  }
}

std::vector<read::HeldRing> TopicLink::rings(std::uint32_t partition, std::uint32_t wanted,
                                             control::Role role, const Deadline& deadline) {
  const bool writable = role == control::Role::publisher;
  const auto has_wanted = [&](const std::vector<read::HeldRing>& rings) {
    return std::any_of(rings.begin(), rings.end(),
                       [&](const read::HeldRing& ring) { return ring.view.generation == wanted; });
  };
  if (wanted != 0) {
    std::vector<read::HeldRing> rings = known_rings(partition, writable);
    if (has_wanted(rings)) return rings;
    core_->drain_notices();  // it may have been offered
    rings = known_rings(partition, writable);
    if (has_wanted(rings)) return rings;
  }
  fetch_rings(partition, 0, role, deadline);
  return known_rings(partition, writable);
}

void TopicLink::take_offer(const control::RingOffer& offer, std::vector<Fd>&& fds) {
  if (fds.size() != 1) return;  // whoever needs it asks
  try {
    keep_ring(offer.ring, std::move(fds.front()));
  } catch (const Error&) {
    return;  // likewise, and then the error has somebody to go to
  }
}

// ---- lanes

void TopicLink::keep_lane(const control::LaneInfo& info, Fd fd) {
  auto region = std::make_shared<memory::Region>(
      memory::Region::map_known(std::move(fd), memory::Kind::lane, memory::Access::read_only));
  region->forget_fd();
  const memory::Identity& identity = *region->as<const memory::Identity>();
  if (!is_possible(info, *region) || identity.owner != uuid_)
    throw Error(errc::corrupt, "the daemon sent a lane that is not one of topic " + name_);
  const std::lock_guard lock(mutex_);
  const std::size_t id = raw(info.lane);
  if (id >= lanes_.size()) lanes_.resize(id + 1);
  const ring::LaneSpan span{.data = region->as<const std::byte>(),
                            .bytes = static_cast<std::size_t>(info.bytes)};
  lanes_[id] = {.generation = raw(info.generation), .span = span, .region = std::move(region)};
}

read::HeldLane TopicLink::known_lane(std::uint32_t lane, std::uint32_t generation) {
  const std::lock_guard lock(mutex_);
  if (lane >= lanes_.size() || lanes_[lane].generation != generation) return {};
  return {.span = lanes_[lane].span, .keep = lanes_[lane].region};
}

read::HeldLane TopicLink::lane(std::uint32_t lane, std::uint32_t generation, const Deadline& deadline) {
  if (read::HeldLane known = known_lane(lane, generation); known.keep != nullptr) return known;
  core_->drain_notices();
  if (read::HeldLane known = known_lane(lane, generation); known.keep != nullptr) return known;
  try {
    auto got = core_->connected(
        deadline, unless_stale([&](control::ClientSession& session) {
          return session.request(
              control::GetLane{.topic = id_, .lane = LaneId{static_cast<std::uint16_t>(lane)}}, deadline);
        }));
    if (!got.fds.empty()) keep_lane(got.body.lane, std::move(got.fds.front()));
  } catch (const Error& error) {
    // It may have been retired since its slot was looked at: the reader looks again.
    if (error.error() != errc::unknown_topic) throw;
  }
  return known_lane(lane, generation);
}

void TopicLink::fetch_lanes(const Deadline& deadline) {
  LaneId after{};
  bool more = true;
  while (more) {
    auto lanes =
        core_->connected(deadline, unless_stale([&](control::ClientSession& session) {
                           return session.request(control::GetLanes{.topic = id_, .after = after}, deadline);
                         }));
    for (std::size_t i = 0; i < lanes.body.lanes.size() && i < lanes.fds.size(); ++i) {
      after = lanes.body.lanes[i].lane;
      keep_lane(lanes.body.lanes[i], std::move(lanes.fds[i]));
    }
    more = lanes.body.more && !lanes.body.lanes.empty();
  }
}

void TopicLink::purge_lanes() noexcept {
  const memory::MarksTables& tables = *memory::marks_tables(&marks());
  const std::lock_guard lock(mutex_);
  for (std::size_t id = 1; id < lanes_.size(); ++id) {
    // relaxed: a stale value keeps a mapping until the next time. A lane may be offered before its generation
    // is in the table: only older ones go.
    if (lanes_[id].region != nullptr &&
        lanes_[id].generation < tables.lane_generation[id].load(std::memory_order_relaxed))
      lanes_[id] = {};
  }
}

void TopicLink::take_offer(const control::LaneOffer& offer, std::vector<Fd>&& fds) {
  if (fds.size() != 1) return;
  try {
    keep_lane(offer.lane, std::move(fds.front()));
  } catch (const Error&) {
    return;  // whoever meets the lane asks for it, and then the error has somebody to go to
  }
}

OwnLane TopicLink::new_lane(std::uint64_t least_record_bytes, const Deadline& deadline) {
  auto got = core_->connected(deadline, unless_stale([&](control::ClientSession& session) {
                                return session.request(
                                    control::NewLane{.topic = id_, .least_record_bytes = least_record_bytes},
                                    deadline);
                              }));
  OwnLane lane;
  lane.info = got.body.lane;
  lane.region =
      memory::Region::map_known(std::move(got.fds.at(0)), memory::Kind::lane, memory::Access::read_write);
  lane.region.forget_fd();
  if (!is_possible(lane.info, lane.region))
    throw Error(errc::corrupt, "the daemon sent a lane of impossible size for topic " + name_);
  return lane;
}

void TopicLink::drop_lane(const control::LaneInfo& lane, const Deadline& deadline) {
  core_->connected_now(
      deadline, unless_stale([&](control::ClientSession& session) {
        return session.request(
            control::DropLane{.topic = id_, .lane = lane.lane, .generation = lane.generation}, deadline);
      }));
}

// ---- the rest

void TopicLink::grow_ring(std::uint32_t partition, std::uint32_t generation, const Deadline& deadline) {
  core_->connected_now(
      deadline, unless_stale([&](control::ClientSession& session) {
        return session.request(
            control::GrowRing{.topic = id_, .partition = partition, .seen = Generation{generation}},
            deadline);
      }));
}

std::vector<read::OpenSegment> TopicLink::segments(std::uint32_t partition, std::uint64_t offset,
                                                   const Deadline& deadline) {
  auto got = core_->connected(
      deadline, unless_stale([&](control::ClientSession& session) {
        return session.request(
            control::GetSegments{.topic = id_, .partition = partition, .offset = static_cast<Offset>(offset)},
            deadline);
      }));
  std::vector<read::OpenSegment> segments;
  std::size_t fd = 0;
  for (const control::SegmentInfo& info : got.body.segments) {
    const std::size_t files = info.has_time_index ? 3 : 2;
    if (got.fds.size() - fd < files) break;
    segments.push_back({.base = static_cast<std::uint64_t>(info.base),
                        .next_base = static_cast<std::uint64_t>(info.next_base),
                        .log = std::move(got.fds[fd]),
                        .index = std::move(got.fds[fd + 1])});
    fd += files;
  }
  return segments;
}

std::optional<Offset> TopicLink::offset_for_time(std::uint32_t partition, std::int64_t unix_ms,
                                                 const Deadline& deadline) {
  return core_
      ->connected(deadline, unless_stale([&](control::ClientSession& session) {
                    return session.request(
                        control::OffsetForTime{.topic = id_, .partition = partition, .timestamp_ms = unix_ms},
                        deadline);
                  }))
      .body.offset;
}

}  // namespace busway::client
