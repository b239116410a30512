// What the daemon says, verified. A client trusts its daemon (the socket's owner was checked) but not its own
// luck: what it indexes tables with is held to the tables' sizes here.
#include "bus/control/decode_common.hpp"

namespace busway::control {
namespace {

using namespace detail;

errc error_code(std::int32_t code) {
  if (code == static_cast<std::int32_t>(errc::ok)) refuse("an error without a code");
  return static_cast<errc>(code);  // one that a newer daemon knows is passed on: its sentence explains it
}

std::uint32_t partitions(std::uint32_t value) {
  if (value == 0 || value > limits::kPartitionsPerTopic) refuse(std::to_string(value) + " partitions");
  return value;
}

RingInfo ring(const wire::RingInfo& m) {
  if (m.partition() >= limits::kPartitionsPerTopic) refuse("partition " + std::to_string(m.partition()));
  return {m.partition(), Generation{m.generation()}, m.slots()};
}
LaneInfo lane(const wire::LaneInfo& m) { return {lane_id(m.lane()), Generation{m.generation()}, m.bytes()}; }

Welcome from(const wire::Welcome& m) {
  if (m.session() >= limits::kSessionsMost) refuse("session " + std::to_string(m.session()));
  return {.protocol = m.protocol(),
          .daemon_version = text(m.daemon_version(), kVersionTextMost, "daemon version"),
          .instance = uuid(*m.instance()),
          .session = m.session(),
          .token = m.token(),
          .resumed = m.resumed()};
}
Challenge from(const wire::Challenge& m) { return {m.nonce()}; }
Ok from(const wire::Ok&) { return {}; }
ErrorReply from(const wire::Error& m) {
  return {error_code(m.code()), text(m.sentence(), kSentenceMost, "sentence of an error")};
}
TopicList from(const wire::TopicList& m) {
  TopicList list{.names = {}, .more = m.more()};
  const std::size_t names = count(m.names(), kTopicNamesPerPage, "page of topic names");
  list.names.reserve(names);
  for (std::size_t i = 0; i < names; ++i) {
    list.names.push_back(topic_name(m.names()->Get(static_cast<fb::uoffset_t>(i))));
  }
  return list;
}
PartitionDescription partition(const wire::PartitionDescription& m) {
  return {.partition = m.partition(),
          .log_start = m.log_start(),
          .log_end = m.log_end(),
          .written = m.written(),
          .durable = m.durable(),
          .epoch = Epoch{m.epoch()},
          .ring_generation = Generation{m.ring_generation()},
          .ring_slots = m.ring_slots(),
          .log_bytes = m.log_bytes(),
          .segments = m.segments(),
          .state = text(m.state(), kStateTextMost, "state of a partition")};
}
TopicDescription from(const wire::TopicDescription& m) {
  TopicDescription topic{.name = topic_name(m.name()),
                         .uuid = uuid(*m.uuid()),
                         .settings = settings(m.settings()),
                         .partition_count = partitions(m.partition_count()),
                         .partitions = {},
                         .more = m.more()};
  const std::size_t listed = count(m.partitions(), kPartitionsPerPage, "page of partitions");
  topic.partitions.reserve(listed);
  for (std::size_t i = 0; i < listed; ++i) {
    topic.partitions.push_back(partition(*m.partitions()->Get(static_cast<fb::uoffset_t>(i))));
  }
  return topic;
}
Attached from(const wire::Attached& m) {
  const memory::Storage storage{m.storage()};
  if (storage != memory::Storage::logged && storage != memory::Storage::memory) {
    refuse("storage " + std::to_string(m.storage()));
  }
  return {.attachment = AttachmentId{m.attachment()},
          .topic = TopicId{m.topic()},
          .uuid = uuid(*m.uuid()),
          .partitions = partitions(m.partitions()),
          .storage = storage,
          .sleeper_bit = below(m.sleeper_bit(), limits::kSleepersPerTopic, "sleeper bit"),
          .lease_cell = below(m.lease_cell(), limits::kSubscribersWithCells, "lease cell"),
          .settings = settings(m.settings())};
}
Rings from(const wire::Rings& m) {
  Rings rings{.rings = {}, .more = m.more()};
  const std::size_t listed = count(m.rings(), kRingsPerPage, "page of rings");
  for (std::size_t i = 0; i < listed; ++i) rings.rings.push_back(ring(item(*m.rings(), i)));
  return rings;
}
Lanes from(const wire::Lanes& m) {
  Lanes lanes{.lanes = {}, .more = m.more()};
  const std::size_t listed = count(m.lanes(), kLanesPerPage, "page of lanes");
  for (std::size_t i = 0; i < listed; ++i) lanes.lanes.push_back(lane(item(*m.lanes(), i)));
  return lanes;
}
Lane from(const wire::Lane& m) { return {lane(*m.lane())}; }
Segments from(const wire::Segments& m) {
  Segments segments;
  const std::size_t listed = count(m.segments(), kSegmentsPerPage, "page of segments");
  for (std::size_t i = 0; i < listed; ++i) {
    const wire::SegmentInfo segment = item(*m.segments(), i);
    segments.segments.push_back({segment.base(), segment.next_base(), segment.has_time_index()});
  }
  return segments;
}
OffsetFound from(const wire::OffsetFound& m) {
  OffsetFound found{.offset = {}, .timestamp_ms = m.timestamp_ms()};
  if (m.offset()) found.offset = *m.offset();
  return found;
}
StatsPage from(const wire::StatsPage& m) {
  return {.values = named_texts(m.values(), kStatsPerPage, kStatNameMost, kStatValueMost, "page of counters"),
          .more = m.more()};
}
DaemonDescription from(const wire::DaemonDescription& m) {
  return {
      .version = text(m.version(), kVersionTextMost, "daemon version"),
      .instance = uuid(*m.instance()),
      .pid = m.pid(),
      .started_unix_ms = m.started_unix_ms(),
      .protocol = m.protocol(),
      .protocol_oldest = m.protocol_oldest(),
      .details = named_texts(m.details(), kDetailsMost, kDetailNameMost, kDetailValueMost, "daemon details")};
}

LaneOffer from(const wire::LaneOffer& m) { return {TopicId{m.topic()}, lane(*m.lane())}; }
RingOffer from(const wire::RingOffer& m) { return {TopicId{m.topic()}, ring(*m.ring())}; }
TopicGone from(const wire::TopicGone& m) { return {TopicId{m.topic()}, uuid(*m.uuid())}; }
Stopping from(const wire::Stopping&) { return {}; }

template <class Body, class... Tables>
Body any_of(const wire::Message& message, const char* what) {
  std::optional<Body> body;
  const auto try_table = [&]<class Table>(const Table* table) {
    if (table != nullptr) body = from(*table);
  };
  (try_table(message.body_as<Tables>()), ...);
  if (!body) {
    refuse("body type " + std::to_string(static_cast<int>(message.body_type())) + " is no " + what);
  }
  return std::move(*body);
}

}  // namespace

DaemonMessage decode_from_daemon(std::span<const std::byte> message) {
  const Verified verified(message);
  const wire::Message& root = verified.root();
  DaemonMessage decoded;
  decoded.id = root.id();
  if (decoded.id == 0) {
    decoded.notice =
        any_of<Notice, wire::LaneOffer, wire::RingOffer, wire::TopicGone, wire::Stopping, wire::Error>(
            root, "notice");
  } else {
    decoded.reply =
        any_of<Reply, wire::Welcome, wire::Challenge, wire::Ok, wire::Error, wire::TopicList,
               wire::TopicDescription, wire::Attached, wire::Rings, wire::Lanes, wire::Lane, wire::Segments,
               wire::OffsetFound, wire::StatsPage, wire::DaemonDescription>(root, "reply");
  }
  return decoded;
}

}  // namespace busway::control
