// What clients say, verified: the daemon's door. Nothing a client can send makes these functions do anything
// but return a message within its bounds or throw errc::bad_message.
#include "bus/control/decode_common.hpp"

namespace busway::control {
namespace detail {

Verified::Verified(std::span<const std::byte> message) {
  if (message.empty()) refuse("it is empty");
  if (message.size() > limits::kControlMessageMost) refuse("longer than 64 KiB");
  copy_.resize(message.size() / sizeof(std::uint64_t) + 1);
  std::memcpy(copy_.data(), message.data(), message.size());
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(copy_.data());
  // A page of the longest list has kTopicNamesPerPage texts or fewer tables than this; nothing nests deeper.
  fb::Verifier verifier(bytes, message.size(), 8, 512);
  if (!wire::VerifyMessageBuffer(verifier)) refuse("not a message of this protocol");
  root_ = wire::GetMessage(bytes);
  if (root_->body_type() == wire::Body::NONE || root_->body() == nullptr) refuse("no body");
}

NamedTexts named_texts(const NamedTextVector* list, std::size_t most_entries, std::size_t most_name,
                       std::size_t most_value, const char* what) {
  NamedTexts out;
  const std::size_t entries = count(list, most_entries, what);
  out.reserve(entries);
  for (std::size_t i = 0; i < entries; ++i) {
    const wire::NamedText* entry = list->Get(static_cast<fb::uoffset_t>(i));
    out.emplace_back(text(entry->name(), most_name, what), text(entry->value(), most_value, what));
  }
  return out;
}

Settings settings(const NamedTextVector* list) {
  Settings out;
  for (auto& [key, value] :
       named_texts(list, kSettingsMost, kSettingKeyMost, kSettingValueMost, "topic settings")) {
    if (!out.emplace(key, std::move(value)).second) refuse("topic setting " + key + " is given twice");
  }
  return out;
}

}  // namespace detail

namespace {

using namespace detail;

Role role(std::uint8_t value) {
  if (value != static_cast<std::uint8_t>(Role::publisher) &&
      value != static_cast<std::uint8_t>(Role::subscriber)) {
    refuse("role " + std::to_string(value));
  }
  return Role{value};
}

Request from(const wire::Hello& m) {
  Hello hello{.protocol = m.protocol(),
              .protocol_oldest = m.protocol_oldest(),
              .client_version = text(m.client_version(), kVersionTextMost, "client version"),
              .program = text(m.program(), kProgramTextMost, "program name")};
  if (m.previous() != nullptr) hello.previous = {m.previous()->session(), m.previous()->token()};
  return hello;
}
Request from(const wire::ChallengeAnswer& m) { return ChallengeAnswer{m.nonce()}; }
Request from(const wire::Goodbye&) { return Goodbye{}; }
Request from(const wire::CreateTopic& m) {
  return CreateTopic{topic_name(m.name()), m.partitions(), settings(m.settings())};
}
Request from(const wire::AlterTopic& m) { return AlterTopic{topic_name(m.name()), settings(m.settings())}; }
Request from(const wire::DeleteTopic& m) { return DeleteTopic{topic_name(m.name())}; }
Request from(const wire::ListTopics& m) {
  return ListTopics{text(m.after(), limits::kTopicNameMost, "topic name")};
}
Request from(const wire::DescribeTopic& m) { return DescribeTopic{topic_name(m.name()), m.from_partition()}; }
Request from(const wire::Attach& m) {
  Attach attach{topic_name(m.topic()), role(m.role()), {}};
  if (const wire::PreviousAttachment* previous = m.previous()) {
    attach.previous = {uuid(*previous->topic()),
                       below(previous->sleeper_bit(), limits::kSleepersPerTopic, "sleeper bit"),
                       below(previous->lease_cell(), limits::kSubscribersWithCells, "lease cell")};
  }
  return attach;
}
Request from(const wire::Detach& m) { return Detach{AttachmentId{m.attachment()}}; }
Request from(const wire::GetRings& m) {
  return GetRings{TopicId{m.topic()}, role(m.role()), m.from_partition(), Generation{m.newer_than()},
                  m.only_that_partition()};
}
Request from(const wire::GetLanes& m) { return GetLanes{TopicId{m.topic()}, LaneId{m.after()}}; }
Request from(const wire::GetLane& m) { return GetLane{TopicId{m.topic()}, lane_id(m.lane())}; }
Request from(const wire::NewLane& m) { return NewLane{TopicId{m.topic()}, m.least_record_bytes()}; }
Request from(const wire::DropLane& m) {
  return DropLane{TopicId{m.topic()}, lane_id(m.lane()), Generation{m.generation()}};
}
Request from(const wire::GrowRing& m) {
  return GrowRing{TopicId{m.topic()}, m.partition(), Generation{m.seen()}};
}
Request from(const wire::GetSegments& m) {
  return GetSegments{TopicId{m.topic()}, m.partition(), m.offset()};
}
Request from(const wire::OffsetForTime& m) {
  return OffsetForTime{TopicId{m.topic()}, m.partition(), m.timestamp_ms()};
}
Request from(const wire::Stats& m) { return Stats{text(m.after(), kStatNameMost, "counter name")}; }
Request from(const wire::DaemonInfo&) { return DaemonInfo{}; }

/// The request in `message`, if its body is one of `Tables`.
template <class... Tables>
std::optional<Request> any_of(const wire::Message& message) {
  std::optional<Request> request;
  const auto try_table = [&]<class Table>(const Table* table) {
    if (table != nullptr) request = from(*table);
  };
  (try_table(message.body_as<Tables>()), ...);
  return request;
}

}  // namespace

RequestMessage decode_request(std::span<const std::byte> message) {
  const Verified verified(message);
  const wire::Message& root = verified.root();
  if (root.id() == 0) refuse("a request with id 0");
  std::optional<Request> request =
      any_of<wire::Hello, wire::ChallengeAnswer, wire::Goodbye, wire::CreateTopic, wire::AlterTopic,
             wire::DeleteTopic, wire::ListTopics, wire::DescribeTopic, wire::Attach, wire::Detach,
             wire::GetRings, wire::GetLanes, wire::GetLane, wire::NewLane, wire::DropLane, wire::GrowRing,
             wire::GetSegments, wire::OffsetForTime, wire::Stats, wire::DaemonInfo>(root);
  if (!request) refuse("body type " + std::to_string(static_cast<int>(root.body_type())) + " is no request");
  return {root.id(), std::move(*request)};
}

}  // namespace busway::control
