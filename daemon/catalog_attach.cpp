// Requests of those who are attached: rings, lanes, growth. What is new is live at the keeper, and has been
// offered to every attached subscriber, before its first record can be published.
#include <algorithm>

#include "daemon/acl.hpp"
#include "daemon/catalog.hpp"

namespace busway::daemon {
namespace {

control::RingInfo info_of(std::uint32_t partition, const HeldRing& ring) {
  return {.partition = partition,
          .generation = static_cast<Generation>(ring.view.generation),
          .slots = ring.view.size()};
}

control::LaneInfo info_of(const HeldLane& lane) {
  return {.lane = lane.id, .generation = lane.generation, .bytes = lane.span.bytes};
}

}  // namespace

Topic& Catalog::find_or_create(const SessionInfo& session, const control::Attach& request) {
  require(session, request.topic,
          request.role == control::Role::publisher ? Right::publish : Right::subscribe);
  if (topics_.contains(request.topic)) return topic_named(request.topic);
  if (!services_.config.auto_create_topics) {
    log::check_topic_name(request.topic);  // no advice to create what cannot be
    throw Error(errc::unknown_topic, "there is no topic " + request.topic +
                                         ": create it with `busway topic create " + request.topic +
                                         "`, or set auto.create.topics.enable");
  }
  make_topic(request.topic, static_cast<std::uint32_t>(services_.config.num_partitions), {});
  return topic_named(request.topic);
}

void Catalog::warm_up(Topic& topic, uid_t uid) {
  // One that is cooling down has been fenced: what is attached to must be made anew.
  if (topic.warm() && topic.uses().empty() && topic.cooling() && !topic.cool_down(true)) {
    throw Error(errc::partition_failed,
                "topic " + topic.name() +
                    " could not be made durable when its last client left: see the daemon's log");
  }
  if (!topic.warm()) topic.warm_up(uid);
}

Answer<control::Attached> Catalog::attach(const SessionInfo& session, const control::Attach& request) {
  // What is made now would not be fenced, and what is published to it not be drained.
  if (stopping_) throw Error(errc::stopped, "the daemon is stopping: topic " + request.topic + " is closed");
  Topic& topic = find_or_create(session, request);
  warm_up(topic, session.peer.uid);
  const Attached given = topic.attach(session.number, request.role, request.previous);
  const std::uint32_t attachment = next_attachment_++;
  attachments_[session.number][attachment] = {topic.id(), request.role, given.cell};
  Answer<control::Attached> answer(
      control::Attached{.attachment = static_cast<control::AttachmentId>(attachment),
                        .topic = static_cast<control::TopicId>(topic.id()),
                        .uuid = topic.uuid(),
                        .partitions = topic.partitions(),
                        .storage = static_cast<memory::Storage>(topic.config().storage),
                        .sleeper_bit = given.bit,
                        .lease_cell = given.cell,
                        .settings = print_topic_config(topic.config())});
  answer.give(topic.memory().marks_region().region.open_read_only());
  answer.lend(topic.memory().wait_region().region.fd());
  return answer;
}

Answer<control::Ok> Catalog::detach(const SessionInfo& session, const control::Detach& request) {
  auto& mine = attachments_[session.number];
  const auto found = mine.find(raw(request.attachment));
  if (found == mine.end()) return control::Ok{};  // a worker restarted in between: it is gone already
  const auto topic = by_id_.find(found->second.topic);
  if (topic != by_id_.end() && topic->second->warm()) {
    topic->second->detach(session.number, found->second.role, found->second.cell);
  }
  mine.erase(found);
  return control::Ok{};
}

Topic& Catalog::attached_topic(const SessionInfo& session, control::TopicId id,
                               std::optional<control::Role> role) {
  const auto topic = by_id_.find(raw(id));
  if (topic != by_id_.end() && topic->second->warm()) {
    for (const auto& [number, attachment] : attachments_[session.number]) {
      if (attachment.topic == raw(id) && (!role || *role == attachment.role)) return *topic->second;
    }
  }
  throw Error(errc::unknown_topic, "this session is not attached to topic number " + std::to_string(raw(id)) +
                                       " in that role: attach first");
}

Answer<control::Rings> Catalog::get_rings(const SessionInfo& session, const control::GetRings& request) {
  Topic& topic = attached_topic(session, request.topic, request.role);
  Answer<control::Rings> answer;
  const std::uint32_t end = request.only_that_partition
                                ? std::min(topic.partitions(), request.from_partition + 1)
                                : topic.partitions();
  for (std::uint32_t p = request.from_partition; p < end; ++p) {
    for (const auto& ring : topic.memory().partition(p).rings.all()) {
      if (p == request.from_partition && ring->view.generation <= raw(request.newer_than)) continue;
      if (answer.body.rings.size() == control::kRingsPerPage) {
        answer.body.more = true;
        return answer;
      }
      answer.body.rings.push_back(info_of(p, *ring));
      if (request.role == control::Role::publisher) {
        answer.lend(ring->kept.region.fd());
      } else {
        answer.give(ring->kept.region.open_read_only());
      }
    }
  }
  return answer;
}

Answer<control::Lanes> Catalog::get_lanes(const SessionInfo& session, const control::GetLanes& request) {
  Topic& topic = attached_topic(session, request.topic, control::Role::subscriber);
  Answer<control::Lanes> answer;
  for (const auto& lane : topic.memory().lanes()->all()) {
    if (raw(lane->id) <= raw(request.after)) continue;
    if (answer.body.lanes.size() == control::kLanesPerPage) {
      answer.body.more = true;
      break;
    }
    answer.body.lanes.push_back(info_of(*lane));
    answer.give(lane->kept.region.open_read_only());
  }
  return answer;
}

Answer<control::Lane> Catalog::get_lane(const SessionInfo& session, const control::GetLane& request) {
  Topic& topic = attached_topic(session, request.topic, control::Role::subscriber);
  const auto lane = topic.memory().lanes()->find(request.lane);
  if (!lane) {
    throw Error(errc::unknown_topic,
                "topic " + topic.name() + " has no lane " + std::to_string(raw(request.lane)));
  }
  Answer<control::Lane> answer(control::Lane{info_of(*lane)});
  answer.give(lane->kept.region.open_read_only());
  return answer;
}

std::uint64_t Catalog::lanes_of(uid_t uid) const {
  std::uint64_t count = 0;
  for (const auto& [name, topic] : topics_) {
    if (!topic->warm()) continue;
    const auto lanes = topic->memory().lanes()->all();
    count += static_cast<std::uint64_t>(
        std::count_if(lanes.begin(), lanes.end(), [&](const auto& lane) { return lane->kept.uid == uid; }));
  }
  return count;
}

Answer<control::Lane> Catalog::new_lane(const SessionInfo& session, const control::NewLane& request) {
  Topic& topic = attached_topic(session, request.topic, control::Role::publisher);
  if (request.least_record_bytes > limits::kMessageBytesMost) {
    throw Error(errc::record_too_large, "a lane for records of " +
                                            std::to_string(request.least_record_bytes) +
                                            " bytes: no lane holds records of more than " +
                                            std::to_string(limits::kMessageBytesMost));
  }
  const auto has_all_lanes = [&] {
    return lanes_of(session.peer.uid) >= static_cast<std::uint64_t>(services_.config.lanes_per_uid_max);
  };
  if (topic.memory().out_of_lanes() || has_all_lanes()) {
    // Those of publishers that have gone would go at the next tick.
    for (const auto& [name, other] : topics_) other->retire();
  }
  if (has_all_lanes()) {
    throw Error(errc::limit_reached, "uid " + std::to_string(session.peer.uid) + " has " +
                                         std::to_string(services_.config.lanes_per_uid_max) +
                                         " lanes, the most that lanes.per.uid.max allows");
  }
  const auto lane = topic.memory().make_lane(request.least_record_bytes, session.number, session.peer.uid);
  offer_lane(topic, *lane);
  Answer<control::Lane> answer(control::Lane{info_of(*lane)});
  answer.lend(lane->kept.region.fd());
  return answer;
}

void Catalog::offer_lane(Topic& topic, const HeldLane& lane) {
  const Fd read_only = lane.kept.region.open_read_only();
  for (const auto& [session, use] : topic.uses()) {
    if (use.subscribers == 0) continue;
    server_->notify(session, control::LaneOffer{static_cast<control::TopicId>(topic.id()), info_of(lane)},
                    read_only.get());
  }
}

Answer<control::Ok> Catalog::drop_lane(const SessionInfo& session, const control::DropLane& request) {
  Topic& topic = attached_topic(session, request.topic);
  const auto lane = topic.memory().lanes()->find(request.lane);
  if (lane && lane->generation == request.generation && lane->session == session.number) {
    topic.memory().give_up(*lane);
  }
  return control::Ok{};
}

void Catalog::offer_ring(Topic& topic, std::uint32_t partition, const HeldRing& ring) {
  const control::RingOffer offer{static_cast<control::TopicId>(topic.id()), info_of(partition, ring)};
  const Fd read_only = ring.kept.region.open_read_only();
  for (const auto& [session, use] : topic.uses()) {
    if (use.publishers > 0) server_->notify(session, offer, ring.kept.region.fd());
    if (use.subscribers > 0) server_->notify(session, offer, read_only.get());
  }
}

Answer<control::Ok> Catalog::grow_ring(const SessionInfo& session, const control::GrowRing& request) {
  Topic& topic = attached_topic(session, request.topic, control::Role::publisher);
  if (request.partition >= topic.partitions()) {
    throw Error(errc::invalid_partition,
                "topic " + topic.name() + " has " + std::to_string(topic.partitions()) +
                    " partitions; there is none numbered " + std::to_string(request.partition));
  }
  PartitionMemory& memory = topic.memory().partition(request.partition);
  const std::uint32_t open =
      memory.marks->ring_generation.load(std::memory_order_relaxed);  // only we write it
  const auto current = memory.rings.find(static_cast<Generation>(open));
  if (open != raw(request.seen) || !current || current->view.size() >= limits::kRingSlotsMost)
    return control::Ok{};
  auto next = memory.rings.newest();  // a ring that was offered and never opened is the next one
  if (next == current) {
    const std::uint64_t slots = std::min(current->view.size() * limits::kRingGrowth, limits::kRingSlotsMost);
    next = topic.memory().make_ring(request.partition, slots);
  }
  offer_ring(topic, request.partition, *next);
  if (topic.memory().open_grown(request.partition, next)) {
    topic.ringer().ring(memory.view.wait.records);
    topic.ringer().ring(memory.view.wait.space);
  }
  return control::Ok{};
}

}  // namespace busway::daemon
