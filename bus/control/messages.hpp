// Every message of the control protocol as a plain struct, with what encodes and decodes it. FlatBuffers, in
// which they travel, stay behind this header. The protocol itself is explained in docs/protocol.md.
//
// Invariants: what decode_* returns was verified as a FlatBuffer and is within every bound named here; what
// encode_* returns is within them too, so neither side can make the other refuse it. Descriptors travel
// beside a message in the order that the struct's comment gives; fds_fit() checks their number.
//
// Thread safety: plain values and functions without state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <busway/error.hpp>
#include <busway/types.hpp>

#include "bus/base/ids.hpp"
#include "bus/base/limits.hpp"
#include "bus/memory/marks_layout.hpp"

namespace busway::control {

/// The protocol this code speaks, and the oldest it still understands. +1 whenever an old peer could no
/// longer make sense of a message; fields that may be ignored are added without.
inline constexpr std::uint32_t kProtocolCurrent = 1;
inline constexpr std::uint32_t kProtocolOldest = 1;

// Bounds of texts (bytes) and lists (entries). Each message within them encodes to at most
// limits::kControlMessageMost bytes (asserted by tests/unit/control).
inline constexpr std::size_t kVersionTextMost = 64;
inline constexpr std::size_t kProgramTextMost = 128;
inline constexpr std::size_t kSentenceMost = 2048;  ///< longer ones are cut, not refused
inline constexpr std::size_t kStateTextMost = 128;  ///< likewise
inline constexpr std::size_t kSettingsMost = 64;    ///< of one topic
inline constexpr std::size_t kSettingKeyMost = 64;
inline constexpr std::size_t kSettingValueMost = 256;
inline constexpr std::size_t kTopicNamesPerPage = 200;
inline constexpr std::size_t kPartitionsPerPage = 128;
inline constexpr std::size_t kStatsPerPage = 128;
inline constexpr std::size_t kStatNameMost = 320;
inline constexpr std::size_t kStatValueMost = 64;
inline constexpr std::size_t kDetailsMost = 32;  ///< of DaemonDescription
inline constexpr std::size_t kDetailNameMost = 64;
inline constexpr std::size_t kDetailValueMost = 1024;
inline constexpr std::size_t kRingsPerPage = limits::kFdsPerMessage;
inline constexpr std::size_t kLanesPerPage = limits::kFdsPerMessage;
inline constexpr std::size_t kSegmentsPerPage = 4;
static_assert(kSegmentsPerPage * 3 <= limits::kFdsPerMessage);

/// What the daemon calls a topic towards its clients; means something for as long as the daemon's worker
/// lives.
enum class TopicId : std::uint32_t {};
/// One publisher or subscriber of a session on a topic. Given by the daemon, unique within the session.
enum class AttachmentId : std::uint32_t {};
constexpr auto raw(TopicId id) noexcept { return static_cast<std::uint32_t>(id); }
constexpr auto raw(AttachmentId id) noexcept { return static_cast<std::uint32_t>(id); }

enum class Role : std::uint8_t { publisher = 1, subscriber = 2 };

using NamedTexts = std::vector<std::pair<std::string, std::string>>;

// ---- client -> daemon
// --------------------------------------------------------------------------------------

/// Which session a client had before it lost its connection. The token proves that it was its own.
struct PreviousSession {
  std::uint32_t session = 0;
  std::uint64_t token = 0;
  friend bool operator==(const PreviousSession&, const PreviousSession&) = default;
};

/// The first message of every connection. Answer: Welcome, or Challenge.
struct Hello {
  std::uint32_t protocol = kProtocolCurrent;
  std::uint32_t protocol_oldest = kProtocolOldest;
  std::string client_version{};
  std::string program{};
  std::optional<PreviousSession> previous{};
  friend bool operator==(const Hello&, const Hello&) = default;
};

/// Echoes a Challenge. Answer: Welcome.
struct ChallengeAnswer {
  std::uint64_t nonce = 0;
  friend bool operator==(const ChallengeAnswer&, const ChallengeAnswer&) = default;
};

/// Ends the session for good: the client has unmapped everything it had of the daemon. Answer: Ok. A
/// connection that is merely closed leaves the session to the process until that process ends.
struct Goodbye {
  friend bool operator==(const Goodbye&, const Goodbye&) = default;
};

/// Answer: Ok.
struct CreateTopic {
  std::string name;
  std::uint32_t partitions = 1;
  Settings settings{};
  friend bool operator==(const CreateTopic&, const CreateTopic&) = default;
};

/// Answer: Ok.
struct AlterTopic {
  std::string name;
  Settings settings{};
  friend bool operator==(const AlterTopic&, const AlterTopic&) = default;
};

/// Answer: Ok.
struct DeleteTopic {
  std::string name;
  friend bool operator==(const DeleteTopic&, const DeleteTopic&) = default;
};

/// Names in byte order behind `after` (empty: from the first). Answer: TopicList.
struct ListTopics {
  std::string after{};
  friend bool operator==(const ListTopics&, const ListTopics&) = default;
};

/// Answer: TopicDescription with partitions from `from_partition` on.
struct DescribeTopic {
  std::string name;
  std::uint32_t from_partition = 0;
  friend bool operator==(const DescribeTopic&, const DescribeTopic&) = default;
};

/// What an attachment had before the client lost its connection; the daemon gives it back if it is still
/// free.
struct PreviousAttachment {
  Uuid topic{};
  std::optional<std::uint32_t> sleeper_bit{};
  std::optional<std::uint32_t> lease_cell{};
  friend bool operator==(const PreviousAttachment&, const PreviousAttachment&) = default;
};

/// Answer: Attached.
struct Attach {
  std::string topic;
  Role role = Role::subscriber;
  std::optional<PreviousAttachment> previous{};
  friend bool operator==(const Attach&, const Attach&) = default;
};

/// Answer: Ok. The client must no longer use its lease cell; its sleeper bit lives until the session's last
/// attachment to the topic goes.
struct Detach {
  AttachmentId attachment{};
  friend bool operator==(const Detach&, const Detach&) = default;
};

/// The rings that follow (from_partition, newer_than) in the order (partition, generation); generations start
/// at 1, so newer_than = 0 asks for all. Answer: Rings, with descriptors that can write for Role::publisher.
struct GetRings {
  TopicId topic{};
  Role role = Role::subscriber;
  std::uint32_t from_partition = 0;
  Generation newer_than{};
  bool only_that_partition = false;
  friend bool operator==(const GetRings&, const GetRings&) = default;
};

/// Lanes in use with an id greater than `after` (0: all). Answer: Lanes, read-only.
struct GetLanes {
  TopicId topic{};
  LaneId after{};
  friend bool operator==(const GetLanes&, const GetLanes&) = default;
};

/// Answer: Lane, read-only.
struct GetLane {
  TopicId topic{};
  LaneId lane{};
  friend bool operator==(const GetLane&, const GetLane&) = default;
};

/// A lane that holds at least limits::kRecordsPerLane records of so many bytes. Answer: Lane, writable.
struct NewLane {
  TopicId topic{};
  std::uint64_t least_record_bytes = 0;
  friend bool operator==(const NewLane&, const NewLane&) = default;
};

/// The publisher will not write to this lane again. Answer: Ok.
struct DropLane {
  TopicId topic{};
  LaneId lane{};
  Generation generation{};
  friend bool operator==(const DropLane&, const DropLane&) = default;
};

/// A publisher waits for slots in the ring of this generation. Answer: Ok; also when it has grown already.
struct GrowRing {
  TopicId topic{};
  std::uint32_t partition = 0;
  Generation seen{};
  friend bool operator==(const GrowRing&, const GrowRing&) = default;
};

/// Segments from the one with this offset on. Answer: Segments.
struct GetSegments {
  TopicId topic{};
  std::uint32_t partition = 0;
  Offset offset = 0;
  friend bool operator==(const GetSegments&, const GetSegments&) = default;
};

/// Answer: OffsetFound.
struct OffsetForTime {
  TopicId topic{};
  std::uint32_t partition = 0;
  std::int64_t timestamp_ms = 0;
  friend bool operator==(const OffsetForTime&, const OffsetForTime&) = default;
};

/// Counters in byte order of their names behind `after`. Answer: StatsPage.
struct Stats {
  std::string after{};
  friend bool operator==(const Stats&, const Stats&) = default;
};

/// Answer: DaemonDescription.
struct DaemonInfo {
  friend bool operator==(const DaemonInfo&, const DaemonInfo&) = default;
};

using Request = std::variant<Hello, ChallengeAnswer, Goodbye, CreateTopic, AlterTopic, DeleteTopic,
                             ListTopics, DescribeTopic, Attach, Detach, GetRings, GetLanes, GetLane, NewLane,
                             DropLane, GrowRing, GetSegments, OffsetForTime, Stats, DaemonInfo>;

// ---- daemon -> client, in answer
// ---------------------------------------------------------------------------

/// Descriptor: bells, writable.
struct Welcome {
  std::uint32_t protocol = 0;  ///< what both speak from here on
  std::string daemon_version{};
  Uuid instance{};            ///< stays over restarts of the worker, not over restarts of the service
  std::uint32_t session = 0;  ///< also the index of the client's bell
  std::uint64_t token = 0;
  bool resumed = false;  ///< the session named in Hello goes on
  friend bool operator==(const Welcome&, const Welcome&) = default;
};

/// Must be echoed: proves that the process whose pidfd the daemon opened is the one that speaks.
struct Challenge {
  std::uint64_t nonce = 0;
  friend bool operator==(const Challenge&, const Challenge&) = default;
};

struct Ok {
  friend bool operator==(const Ok&, const Ok&) = default;
};

/// As an answer: the request failed. With id 0: why the daemon closes the connection.
struct ErrorReply {
  errc code = errc::io;
  std::string sentence{};
  friend bool operator==(const ErrorReply&, const ErrorReply&) = default;
};

struct TopicList {
  std::vector<std::string> names{};  ///< at most kTopicNamesPerPage
  bool more = false;
  friend bool operator==(const TopicList&, const TopicList&) = default;
};

struct PartitionDescription {
  std::uint32_t partition = 0;
  Offset log_start = 0;
  Offset log_end = 0;
  Offset written = 0;
  Offset durable = 0;
  Epoch epoch{};
  Generation ring_generation{};
  std::uint32_t ring_slots = 0;
  std::uint64_t log_bytes = 0;
  std::uint32_t segments = 0;
  std::string state{};
  friend bool operator==(const PartitionDescription&, const PartitionDescription&) = default;
};

struct TopicDescription {
  std::string name{};
  Uuid uuid{};
  Settings settings{};
  std::uint32_t partition_count = 0;
  std::vector<PartitionDescription> partitions{};  ///< at most kPartitionsPerPage
  bool more = false;
  friend bool operator==(const TopicDescription&, const TopicDescription&) = default;
};

/// Descriptors: marks read-only, wait writable.
struct Attached {
  AttachmentId attachment{};
  TopicId topic{};
  Uuid uuid{};
  std::uint32_t partitions = 0;
  memory::Storage storage = memory::Storage::logged;
  std::optional<std::uint32_t> sleeper_bit{};  ///< none: more processes than bits; the sweep wakes this one
  std::optional<std::uint32_t> lease_cell{};   ///< none: a publisher, or more subscribers than cells
  Settings settings{};
  friend bool operator==(const Attached&, const Attached&) = default;
};

struct RingInfo {
  std::uint32_t partition = 0;
  Generation generation{};
  std::uint64_t slots = 0;
  friend bool operator==(const RingInfo&, const RingInfo&) = default;
};

/// Descriptors: one for each ring.
struct Rings {
  std::vector<RingInfo> rings{};
  bool more = false;
  friend bool operator==(const Rings&, const Rings&) = default;
};

struct LaneInfo {
  LaneId lane{};
  Generation generation{};
  std::uint64_t bytes = 0;  ///< of the memfd
  friend bool operator==(const LaneInfo&, const LaneInfo&) = default;
};

/// Descriptors: one for each lane, read-only.
struct Lanes {
  std::vector<LaneInfo> lanes{};
  bool more = false;
  friend bool operator==(const Lanes&, const Lanes&) = default;
};

/// Descriptor: the lane.
struct Lane {
  LaneInfo lane{};
  friend bool operator==(const Lane&, const Lane&) = default;
};

struct SegmentInfo {
  Offset base = 0;
  Offset next_base = 0;  ///< of the segment behind it; of the active one: the largest offset there is
  bool has_time_index = false;
  friend bool operator==(const SegmentInfo&, const SegmentInfo&) = default;
};

/// Descriptors of each segment in turn, read-only: log, index, and the time index if it says so.
struct Segments {
  std::vector<SegmentInfo> segments{};
  friend bool operator==(const Segments&, const Segments&) = default;
};

struct OffsetFound {
  std::optional<Offset> offset{};  ///< none: every record is older
  std::int64_t timestamp_ms = -1;  ///< of the record at `offset`
  friend bool operator==(const OffsetFound&, const OffsetFound&) = default;
};

struct StatsPage {
  NamedTexts values{};  ///< at most kStatsPerPage
  bool more = false;
  friend bool operator==(const StatsPage&, const StatsPage&) = default;
};

struct DaemonDescription {
  std::string version{};
  Uuid instance{};
  std::int32_t pid = 0;
  std::int64_t started_unix_ms = 0;
  std::uint32_t protocol = kProtocolCurrent;
  std::uint32_t protocol_oldest = kProtocolOldest;
  NamedTexts details{};  ///< data directory, disk backend, ...: for a person
  friend bool operator==(const DaemonDescription&, const DaemonDescription&) = default;
};

using Reply = std::variant<Welcome, Challenge, Ok, ErrorReply, TopicList, TopicDescription, Attached, Rings,
                           Lanes, Lane, Segments, OffsetFound, StatsPage, DaemonDescription>;

// ---- daemon -> client, unasked (id 0)
// ---------------------------------------------------------------------- An offer may come without its
// descriptor, or not at all, when the client does not empty its socket: whoever meets a lane or a ring that
// it does not know asks for it.

/// Descriptor: the lane, read-only; or none.
struct LaneOffer {
  TopicId topic{};
  LaneInfo lane{};
  friend bool operator==(const LaneOffer&, const LaneOffer&) = default;
};

/// Descriptor: the ring, writable for publishers; or none.
struct RingOffer {
  TopicId topic{};
  RingInfo ring{};
  friend bool operator==(const RingOffer&, const RingOffer&) = default;
};

struct TopicGone {
  TopicId topic{};
  Uuid uuid{};
  friend bool operator==(const TopicGone&, const TopicGone&) = default;
};

/// The service stops: attach anew, with backoff, once there is a daemon again.
struct Stopping {
  friend bool operator==(const Stopping&, const Stopping&) = default;
};

using Notice = std::variant<LaneOffer, RingOffer, TopicGone, Stopping, ErrorReply>;

// ---- which reply belongs to which request
// ------------------------------------------------------------------

template <class R>
struct ReplyTo {
  using type = Ok;
};
template <>
struct ReplyTo<Hello> {
  using type = Welcome;
};
template <>
struct ReplyTo<ChallengeAnswer> {
  using type = Welcome;
};
template <>
struct ReplyTo<ListTopics> {
  using type = TopicList;
};
template <>
struct ReplyTo<DescribeTopic> {
  using type = TopicDescription;
};
template <>
struct ReplyTo<Attach> {
  using type = Attached;
};
template <>
struct ReplyTo<GetRings> {
  using type = Rings;
};
template <>
struct ReplyTo<GetLanes> {
  using type = Lanes;
};
template <>
struct ReplyTo<GetLane> {
  using type = Lane;
};
template <>
struct ReplyTo<NewLane> {
  using type = Lane;
};
template <>
struct ReplyTo<GetSegments> {
  using type = Segments;
};
template <>
struct ReplyTo<OffsetForTime> {
  using type = OffsetFound;
};
template <>
struct ReplyTo<Stats> {
  using type = StatsPage;
};
template <>
struct ReplyTo<DaemonInfo> {
  using type = DaemonDescription;
};
template <class R>
using ReplyToT = typename ReplyTo<R>::type;

// ---- encoding
// ----------------------------------------------------------------------------------------------

using Bytes = std::vector<std::byte>;

struct RequestMessage {
  std::uint32_t id = 0;  ///< never 0
  Request body;
};

/// What a client receives: `notice` if id is 0, else `reply`.
struct DaemonMessage {
  std::uint32_t id = 0;
  Reply reply{Ok{}};
  Notice notice{Stopping{}};
};

/// Throw errc::invalid_topic_name, errc::limit_reached when something is longer than its bound, naming both.
Bytes encode_request(std::uint32_t id, const Request& request);
Bytes encode_reply(std::uint32_t id, const Reply& reply);
Bytes encode_notice(const Notice& notice);

/// Verify everything; throw errc::bad_message saying what is wrong.
RequestMessage decode_request(std::span<const std::byte> message);
DaemonMessage decode_from_daemon(std::span<const std::byte> message);

/// Whether so many descriptors belong to this message.
bool fds_fit(const Reply& reply, std::size_t fds) noexcept;
bool fds_fit(const Notice& notice, std::size_t fds) noexcept;

/// "CreateTopic", ..., for logs and errors.
std::string_view name_of(const Request& request) noexcept;
std::string_view name_of(const Reply& reply) noexcept;

}  // namespace busway::control
