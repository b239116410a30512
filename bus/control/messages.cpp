#include "bus/control/messages.hpp"

#include <array>

namespace busway::control {
namespace {

constexpr std::array<std::string_view, std::variant_size_v<Request>> kRequestNames = {
    "Hello",       "ChallengeAnswer", "Goodbye",       "CreateTopic", "AlterTopic",
    "DeleteTopic", "ListTopics",      "DescribeTopic", "Attach",      "Detach",
    "GetRings",    "GetLanes",        "GetLane",       "NewLane",     "DropLane",
    "GrowRing",    "GetSegments",     "OffsetForTime", "Stats",       "DaemonInfo"};

constexpr std::array<std::string_view, std::variant_size_v<Reply>> kReplyNames = {
    "Welcome", "Challenge", "Ok",   "Error",    "TopicList",   "TopicDescription", "Attached",
    "Rings",   "Lanes",     "Lane", "Segments", "OffsetFound", "StatsPage",        "DaemonDescription"};

std::size_t segment_fds(const Segments& segments) noexcept {
  std::size_t fds = 0;
  for (const SegmentInfo& segment : segments.segments) fds += segment.has_time_index ? 3 : 2;
  return fds;
}

template <class T>
std::size_t fds_of(const T&) noexcept {
  return 0;
}
std::size_t fds_of(const Welcome&) noexcept { return 1; }
std::size_t fds_of(const Attached&) noexcept { return 2; }
std::size_t fds_of(const Rings& m) noexcept { return m.rings.size(); }
std::size_t fds_of(const Lanes& m) noexcept { return m.lanes.size(); }
std::size_t fds_of(const Lane&) noexcept { return 1; }
std::size_t fds_of(const Segments& m) noexcept { return segment_fds(m); }

}  // namespace

bool fds_fit(const Reply& reply, std::size_t fds) noexcept {
  return std::visit([fds](const auto& m) { return fds_of(m) == fds; }, reply);
}

bool fds_fit(const Notice& notice, std::size_t fds) noexcept {
  const bool offer = std::holds_alternative<LaneOffer>(notice) || std::holds_alternative<RingOffer>(notice);
  return fds == 0 || (offer && fds == 1);
}

std::string_view name_of(const Request& request) noexcept { return kRequestNames[request.index()]; }
std::string_view name_of(const Reply& reply) noexcept { return kReplyNames[reply.index()]; }

}  // namespace busway::control
