// Structs to FlatBuffers. Every text and list is held to its bound here, so that a peer never has a reason to
// refuse what we sent.
#include <control_generated.h>

#include "bus/control/messages.hpp"

namespace busway::control {
namespace {

namespace fb = flatbuffers;
using Builder = fb::FlatBufferBuilder;
using Text = fb::Offset<fb::String>;

[[noreturn]] void too_much(errc code, const char* what, std::size_t has, std::size_t most, const char* unit) {
  throw Error(code, std::string(what) + " of " + std::to_string(has) + " " + unit + "; at most " +
                        std::to_string(most) + " are allowed");
}

Text text(Builder& b, std::string_view value, std::size_t most, const char* what) {
  if (value.size() > most) too_much(errc::limit_reached, what, value.size(), most, "bytes");
  return b.CreateString(value.data(), value.size());
}

/// For texts that a person reads: what is too long is cut.
Text cut_text(Builder& b, std::string_view value, std::size_t most) {
  return b.CreateString(value.data(), std::min(value.size(), most));
}

Text topic_name(Builder& b, std::string_view name) {
  if (name.size() > limits::kTopicNameMost) {
    too_much(errc::invalid_topic_name, "a topic name", name.size(), limits::kTopicNameMost, "bytes");
  }
  if (name.empty()) throw Error(errc::invalid_topic_name, "the topic name is empty");
  return b.CreateString(name.data(), name.size());
}

template <class List>
void check_count(const List& list, std::size_t most, const char* what) {
  if (list.size() > most) too_much(errc::limit_reached, what, list.size(), most, "entries");
}

using NamedTextVector = fb::Offset<fb::Vector<fb::Offset<wire::NamedText>>>;

template <class Pairs>
NamedTextVector named_texts(Builder& b, const Pairs& pairs, std::size_t most_entries, std::size_t most_name,
                            std::size_t most_value, const char* what) {
  check_count(pairs, most_entries, what);
  std::vector<fb::Offset<wire::NamedText>> entries;
  entries.reserve(pairs.size());
  for (const auto& [name, value] : pairs) {
    const Text name_text = text(b, name, most_name, what);
    const Text value_text = text(b, value, most_value, what);
    entries.push_back(wire::CreateNamedText(b, name_text, value_text));
  }
  return b.CreateVector(entries);
}

NamedTextVector settings(Builder& b, const Settings& values) {
  return named_texts(b, values, kSettingsMost, kSettingKeyMost, kSettingValueMost, "topic settings");
}

wire::Uuid wire_uuid(const Uuid& uuid) {
  return wire::Uuid(fb::span<const std::uint8_t, 16>(uuid.bytes.data(), uuid.bytes.size()));
}
wire::RingInfo wire_ring(const RingInfo& ring) { return {ring.slots, ring.partition, raw(ring.generation)}; }
wire::LaneInfo wire_lane(const LaneInfo& lane) { return {lane.bytes, raw(lane.generation), raw(lane.lane)}; }

fb::Optional<std::uint32_t> optional(const std::optional<std::uint32_t>& value) {
  return value ? fb::Optional<std::uint32_t>(*value) : fb::nullopt;
}

// ---- requests

auto build(Builder& b, const Hello& m) {
  const Text version = text(b, m.client_version, kVersionTextMost, "the client's version");
  const Text program = text(b, m.program, kProgramTextMost, "the program's name");
  std::optional<wire::PreviousSession> previous;
  if (m.previous) previous.emplace(m.previous->token, m.previous->session);
  return wire::CreateHello(b, m.protocol, m.protocol_oldest, version, program,
                           previous ? &*previous : nullptr);
}
auto build(Builder& b, const ChallengeAnswer& m) { return wire::CreateChallengeAnswer(b, m.nonce); }
auto build(Builder& b, const Goodbye&) { return wire::CreateGoodbye(b); }
auto build(Builder& b, const CreateTopic& m) {
  const Text name = topic_name(b, m.name);
  return wire::CreateCreateTopic(b, name, m.partitions, settings(b, m.settings));
}
auto build(Builder& b, const AlterTopic& m) {
  const Text name = topic_name(b, m.name);
  return wire::CreateAlterTopic(b, name, settings(b, m.settings));
}
auto build(Builder& b, const DeleteTopic& m) { return wire::CreateDeleteTopic(b, topic_name(b, m.name)); }
auto build(Builder& b, const ListTopics& m) {
  return wire::CreateListTopics(b, text(b, m.after, limits::kTopicNameMost, "a topic name"));
}
auto build(Builder& b, const DescribeTopic& m) {
  return wire::CreateDescribeTopic(b, topic_name(b, m.name), m.from_partition);
}
auto build(Builder& b, const Attach& m) {
  const Text topic = topic_name(b, m.topic);
  fb::Offset<wire::PreviousAttachment> previous;
  if (m.previous) {
    const wire::Uuid uuid = wire_uuid(m.previous->topic);
    previous = wire::CreatePreviousAttachment(b, &uuid, optional(m.previous->sleeper_bit),
                                              optional(m.previous->lease_cell));
  }
  return wire::CreateAttach(b, topic, static_cast<std::uint8_t>(m.role), previous);
}
auto build(Builder& b, const Detach& m) { return wire::CreateDetach(b, raw(m.attachment)); }
auto build(Builder& b, const GetRings& m) {
  return wire::CreateGetRings(b, raw(m.topic), static_cast<std::uint8_t>(m.role), m.from_partition,
                              raw(m.newer_than), m.only_that_partition);
}
auto build(Builder& b, const GetLanes& m) { return wire::CreateGetLanes(b, raw(m.topic), raw(m.after)); }
auto build(Builder& b, const GetLane& m) { return wire::CreateGetLane(b, raw(m.topic), raw(m.lane)); }
auto build(Builder& b, const NewLane& m) {
  return wire::CreateNewLane(b, raw(m.topic), m.least_record_bytes);
}
auto build(Builder& b, const DropLane& m) {
  return wire::CreateDropLane(b, raw(m.topic), raw(m.lane), raw(m.generation));
}
auto build(Builder& b, const GrowRing& m) {
  return wire::CreateGrowRing(b, raw(m.topic), m.partition, raw(m.seen));
}
auto build(Builder& b, const GetSegments& m) {
  return wire::CreateGetSegments(b, raw(m.topic), m.partition, m.offset);
}
auto build(Builder& b, const OffsetForTime& m) {
  return wire::CreateOffsetForTime(b, raw(m.topic), m.partition, m.timestamp_ms);
}
auto build(Builder& b, const Stats& m) {
  return wire::CreateStats(b, text(b, m.after, kStatNameMost, "a counter's name"));
}
auto build(Builder& b, const DaemonInfo&) { return wire::CreateDaemonInfo(b); }

// ---- replies

auto build(Builder& b, const Welcome& m) {
  const Text version = text(b, m.daemon_version, kVersionTextMost, "the daemon's version");
  const wire::Uuid instance = wire_uuid(m.instance);
  return wire::CreateWelcome(b, m.protocol, version, &instance, m.session, m.token, m.resumed);
}
auto build(Builder& b, const Challenge& m) { return wire::CreateChallenge(b, m.nonce); }
auto build(Builder& b, const Ok&) { return wire::CreateOk(b); }
auto build(Builder& b, const ErrorReply& m) {
  return wire::CreateError(b, static_cast<std::int32_t>(m.code), cut_text(b, m.sentence, kSentenceMost));
}
auto build(Builder& b, const TopicList& m) {
  check_count(m.names, kTopicNamesPerPage, "a page of topic names");
  std::vector<Text> names;
  names.reserve(m.names.size());
  for (const std::string& name : m.names) names.push_back(topic_name(b, name));
  return wire::CreateTopicList(b, b.CreateVector(names), m.more);
}
auto build(Builder& b, const PartitionDescription& m) {
  return wire::CreatePartitionDescription(b, m.partition, m.log_start, m.log_end, m.written, m.durable,
                                          raw(m.epoch), raw(m.ring_generation), m.ring_slots, m.log_bytes,
                                          m.segments, cut_text(b, m.state, kStateTextMost));
}
auto build(Builder& b, const TopicDescription& m) {
  check_count(m.partitions, kPartitionsPerPage, "a page of partitions");
  const Text name = topic_name(b, m.name);
  const wire::Uuid uuid = wire_uuid(m.uuid);
  const NamedTextVector values = settings(b, m.settings);
  std::vector<fb::Offset<wire::PartitionDescription>> partitions;
  partitions.reserve(m.partitions.size());
  for (const PartitionDescription& partition : m.partitions) partitions.push_back(build(b, partition));
  return wire::CreateTopicDescription(b, name, &uuid, values, m.partition_count, b.CreateVector(partitions),
                                      m.more);
}
auto build(Builder& b, const Attached& m) {
  const wire::Uuid uuid = wire_uuid(m.uuid);
  return wire::CreateAttached(b, raw(m.attachment), raw(m.topic), &uuid, m.partitions,
                              static_cast<std::uint32_t>(m.storage), optional(m.sleeper_bit),
                              optional(m.lease_cell), settings(b, m.settings));
}
auto build(Builder& b, const Rings& m) {
  check_count(m.rings, kRingsPerPage, "a page of rings");
  std::vector<wire::RingInfo> rings;
  rings.reserve(m.rings.size());
  for (const RingInfo& ring : m.rings) rings.push_back(wire_ring(ring));
  return wire::CreateRings(b, b.CreateVectorOfStructs(rings), m.more);
}
auto build(Builder& b, const Lanes& m) {
  check_count(m.lanes, kLanesPerPage, "a page of lanes");
  std::vector<wire::LaneInfo> lanes;
  lanes.reserve(m.lanes.size());
  for (const LaneInfo& lane : m.lanes) lanes.push_back(wire_lane(lane));
  return wire::CreateLanes(b, b.CreateVectorOfStructs(lanes), m.more);
}
auto build(Builder& b, const Lane& m) {
  const wire::LaneInfo lane = wire_lane(m.lane);
  return wire::CreateLane(b, &lane);
}
auto build(Builder& b, const Segments& m) {
  check_count(m.segments, kSegmentsPerPage, "a page of segments");
  std::vector<wire::SegmentInfo> segments;
  for (const SegmentInfo& s : m.segments) segments.emplace_back(s.base, s.next_base, s.has_time_index);
  return wire::CreateSegments(b, b.CreateVectorOfStructs(segments));
}
auto build(Builder& b, const OffsetFound& m) {
  const fb::Optional<std::int64_t> offset = m.offset ? fb::Optional<std::int64_t>(*m.offset) : fb::nullopt;
  return wire::CreateOffsetFound(b, offset, m.timestamp_ms);
}
auto build(Builder& b, const StatsPage& m) {
  const NamedTextVector values =
      named_texts(b, m.values, kStatsPerPage, kStatNameMost, kStatValueMost, "a page of counters");
  return wire::CreateStatsPage(b, values, m.more);
}
auto build(Builder& b, const DaemonDescription& m) {
  const Text version = text(b, m.version, kVersionTextMost, "the daemon's version");
  const wire::Uuid instance = wire_uuid(m.instance);
  const NamedTextVector details =
      named_texts(b, m.details, kDetailsMost, kDetailNameMost, kDetailValueMost, "the daemon's details");
  return wire::CreateDaemonDescription(b, version, &instance, m.pid, m.started_unix_ms, m.protocol,
                                       m.protocol_oldest, details);
}

// ---- notices

auto build(Builder& b, const LaneOffer& m) {
  const wire::LaneInfo lane = wire_lane(m.lane);
  return wire::CreateLaneOffer(b, raw(m.topic), &lane);
}
auto build(Builder& b, const RingOffer& m) {
  const wire::RingInfo ring = wire_ring(m.ring);
  return wire::CreateRingOffer(b, raw(m.topic), &ring);
}
auto build(Builder& b, const TopicGone& m) {
  const wire::Uuid uuid = wire_uuid(m.uuid);
  return wire::CreateTopicGone(b, raw(m.topic), &uuid);
}
auto build(Builder& b, const Stopping&) { return wire::CreateStopping(b); }

template <class Table>
constexpr wire::Body body_type(fb::Offset<Table>) {
  return wire::BodyTraits<Table>::enum_value;
}

template <class Body>
Bytes encode(std::uint32_t id, const Body& body) {
  Builder builder(512);
  std::visit(
      [&](const auto& message) {
        const auto offset = build(builder, message);
        wire::FinishMessageBuffer(builder,
                                  wire::CreateMessage(builder, id, body_type(offset), offset.Union()));
      },
      body);
  const auto* first = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
  if (builder.GetSize() > limits::kControlMessageMost) {
    too_much(errc::limit_reached, "a control message", builder.GetSize(), limits::kControlMessageMost,
             "bytes");
  }
  return {first, first + builder.GetSize()};
}

}  // namespace

Bytes encode_request(std::uint32_t id, const Request& request) { return encode(id, request); }
Bytes encode_reply(std::uint32_t id, const Reply& reply) { return encode(id, reply); }
Bytes encode_notice(const Notice& notice) { return encode(0, notice); }

}  // namespace busway::control
