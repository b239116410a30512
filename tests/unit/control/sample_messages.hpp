// Messages to test with: one of each kind as it might be, and one of each kind as large as it may be.
#pragma once

#include "bus/control/messages.hpp"

namespace busway::control::samples {

inline Uuid some_uuid() {
  Uuid uuid;
  for (std::size_t i = 0; i < uuid.bytes.size(); ++i) uuid.bytes[i] = static_cast<std::uint8_t>(17 * i + 3);
  return uuid;
}

inline Settings some_settings() { return {{"retention.ms", "86400000"}, {"compression.type", "zstd"}}; }

inline std::vector<Request> requests() {
  return {
      Hello{.client_version = "0.1.0", .program = "test", .previous = PreviousSession{7, 0xFEEDFACECAFEBEEF}},
      ChallengeAnswer{0x0123456789ABCDEF},
      Goodbye{},
      CreateTopic{"orders", 4, some_settings()},
      AlterTopic{"orders", some_settings()},
      DeleteTopic{"orders"},
      ListTopics{"a"},
      DescribeTopic{"orders", 128},
      Attach{"orders", Role::publisher, PreviousAttachment{some_uuid(), 11, std::nullopt}},
      Detach{AttachmentId{3}},
      GetRings{TopicId{5}, Role::publisher, 2, Generation{4}, true},
      GetLanes{TopicId{5}, LaneId{9}},
      GetLane{TopicId{5}, LaneId{1023}},
      NewLane{TopicId{5}, std::uint64_t{1} << 40},
      DropLane{TopicId{5}, LaneId{1}, Generation{2}},
      GrowRing{TopicId{5}, 1023, Generation{3}},
      GetSegments{TopicId{5}, 1, Offset{1} << 47},
      OffsetForTime{TopicId{5}, 1, -1},
      Stats{"topic.orders.published"},
      DaemonInfo{}};
}

inline std::vector<Reply> replies() {
  return {
      Welcome{kProtocolCurrent, "0.1.0", some_uuid(), 42, 0xABCDEF0102030405, true},
      Challenge{99},
      Ok{},
      ErrorReply{errc::unknown_topic, "there is no topic orders"},
      TopicList{{"a", "b", "c"}, true},
      TopicDescription{"orders",
                       some_uuid(),
                       some_settings(),
                       2,
                       {{.partition = 0, .log_end = 10, .epoch = Epoch{3}, .state = "active"},
                        {.partition = 1, .durable = 5, .ring_generation = Generation{2}, .ring_slots = 4096}},
                       false},
      Attached{AttachmentId{1}, TopicId{2}, some_uuid(), 4, memory::Storage::memory, 511, 63,
               some_settings()},
      Rings{{{0, Generation{1}, 4096}, {1, Generation{2}, 16384}}, true},
      Lanes{{{LaneId{1}, Generation{1}, 65536}, {LaneId{2}, Generation{7}, 262144}}, false},
      Lane{{LaneId{3}, Generation{1}, 65536}},
      Segments{{{0, 100, true}, {100, Offset{1} << 48, false}}},
      OffsetFound{17, 1'700'000'000'000},
      StatsPage{{{"topic.orders.published", "12"}, {"session.3.lanes", "1"}}, false},
      DaemonDescription{
          "0.1.0", some_uuid(), 4711, 1'700'000'000'000, 1, 1, {{"data.dir", "/var/lib/busway"}}}};
}

inline std::vector<Notice> notices() {
  return {LaneOffer{TopicId{1}, {LaneId{3}, Generation{1}, 65536}},
          RingOffer{TopicId{1}, {0, Generation{2}, 16384}}, TopicGone{TopicId{1}, some_uuid()}, Stopping{},
          ErrorReply{errc::limit_reached, "no more sessions"}};
}

inline NamedTexts many(std::size_t entries, std::size_t name_bytes, std::size_t value_bytes) {
  NamedTexts out;
  for (std::size_t i = 0; i < entries; ++i) {
    std::string name = std::to_string(i);
    name.resize(name_bytes, 'n');
    out.emplace_back(name, std::string(value_bytes, 'v'));
  }
  return out;
}

inline Settings most_settings() {
  const NamedTexts texts = many(kSettingsMost, kSettingKeyMost, kSettingValueMost);
  return {texts.begin(), texts.end()};
}

/// Every list full and every text as long as it may be.
inline std::vector<Request> largest_requests() {
  const std::string name(limits::kTopicNameMost, 't');
  return {Hello{.client_version = std::string(kVersionTextMost, 'v'),
                .program = std::string(kProgramTextMost, 'p')},
          CreateTopic{name, 1024, most_settings()}, AlterTopic{name, most_settings()}};
}

inline std::vector<Reply> largest_replies() {
  const std::string name(limits::kTopicNameMost, 't');
  const PartitionDescription partition{.partition = 1,
                                       .log_start = 1,
                                       .log_end = 1,
                                       .written = 1,
                                       .durable = 1,
                                       .epoch = Epoch{1},
                                       .ring_generation = Generation{1},
                                       .ring_slots = 1,
                                       .log_bytes = 1,
                                       .segments = 1,
                                       .state = std::string(kStateTextMost, 's')};
  return {ErrorReply{errc::io, std::string(kSentenceMost, 's')},
          TopicList{std::vector<std::string>(kTopicNamesPerPage, name), true},
          TopicDescription{name, some_uuid(), most_settings(), 1024,
                           std::vector<PartitionDescription>(kPartitionsPerPage, partition), true},
          Attached{AttachmentId{1}, TopicId{1}, some_uuid(), 1024, memory::Storage::logged, 1, 1,
                   most_settings()},
          Rings{std::vector<RingInfo>(kRingsPerPage, {1, Generation{1}, 1}), true},
          Lanes{std::vector<LaneInfo>(kLanesPerPage, {LaneId{1}, Generation{1}, 1}), true},
          Segments{std::vector<SegmentInfo>(kSegmentsPerPage, {1, 2, true})},
          StatsPage{many(kStatsPerPage, kStatNameMost, kStatValueMost), true},
          DaemonDescription{std::string(kVersionTextMost, 'v'), some_uuid(), 1, 1, 1, 1,
                            many(kDetailsMost, kDetailNameMost, kDetailValueMost)}};
}

}  // namespace busway::control::samples
