// What the control server asks of the daemon: one call for each request, and calls for what becomes of
// sessions.
//
// All calls come from the control thread. A request's call returns an Answer or throws busway::Error, which
// becomes the reply; any other exception becomes errc::io and is logged. A call must not block for long:
// everybody else's requests wait meanwhile.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "bus/base/fd.hpp"
#include "bus/control/messages.hpp"
#include "daemon/peer.hpp"

namespace busway::daemon {

/// A client as the handler knows it. Its lanes, cells and bells belong to the process (the pidfd), not to the
/// connection: see session_detached.
struct SessionInfo {
  std::uint32_t number = 0;  ///< index of its bell
  std::uint64_t token = 0;   ///< lets the process, and nobody else, take the session up again
  PeerCredentials peer;
  int pidfd = -1;  ///< owned by the server, valid until session_ended returns
  std::uint32_t protocol = 0;
  std::string program;  ///< printable characters only
  std::string client_version;
};

enum class SessionEnd {
  goodbye,       ///< the client said that it has unmapped everything
  process_died,  ///< its process has ended: nothing of it can write any more
};

/// A reply and its descriptors, in the order that the reply's struct gives.
template <class T>
struct Answer {
  T body{};
  /// Borrowed ones stay open at least until the call has returned to the server.
  std::vector<int> fds{};
  std::vector<Fd> owned{};  ///< kept open until sent; each also listed in `fds`

  Answer() = default;
  Answer(T reply) : body(std::move(reply)) {}  // NOLINT: a reply without descriptors is an answer
  Answer& lend(int fd) {
    fds.push_back(fd);
    return *this;
  }
  Answer& give(Fd fd) {
    fds.push_back(fd.get());
    owned.push_back(std::move(fd));
    return *this;
  }
};

class RequestHandler {
 public:
  RequestHandler() = default;
  RequestHandler(const RequestHandler&) = delete;
  RequestHandler& operator=(const RequestHandler&) = delete;
  virtual ~RequestHandler() = default;

  /// A client has said hello for the first time. May throw to refuse it. The place to deposit its pidfd with
  /// the keeper: Welcome is sent when this returns.
  virtual void session_opened(const SessionInfo& session) = 0;
  /// A client that had lost its connection is back (also after a restart of the worker).
  virtual void session_resumed(const SessionInfo& session) = 0;
  /// Its connection is closed but its process lives: it keeps its mappings, lanes, cells and its bell.
  virtual void session_detached(const SessionInfo& session) noexcept = 0;
  /// It is over; the number will be given out again.
  virtual void session_ended(const SessionInfo& session, SessionEnd end) noexcept = 0;
  /// The descriptor that goes with Welcome: the bells, writable. Borrowed.
  virtual int bells_fd() noexcept = 0;

  virtual Answer<control::Ok> create_topic(const SessionInfo&, const control::CreateTopic&) = 0;
  virtual Answer<control::Ok> alter_topic(const SessionInfo&, const control::AlterTopic&) = 0;
  virtual Answer<control::Ok> delete_topic(const SessionInfo&, const control::DeleteTopic&) = 0;
  virtual Answer<control::TopicList> list_topics(const SessionInfo&, const control::ListTopics&) = 0;
  virtual Answer<control::TopicDescription> describe_topic(const SessionInfo&,
                                                           const control::DescribeTopic&) = 0;
  virtual Answer<control::Attached> attach(const SessionInfo&, const control::Attach&) = 0;
  virtual Answer<control::Ok> detach(const SessionInfo&, const control::Detach&) = 0;
  virtual Answer<control::Rings> get_rings(const SessionInfo&, const control::GetRings&) = 0;
  virtual Answer<control::Lanes> get_lanes(const SessionInfo&, const control::GetLanes&) = 0;
  virtual Answer<control::Lane> get_lane(const SessionInfo&, const control::GetLane&) = 0;
  virtual Answer<control::Lane> new_lane(const SessionInfo&, const control::NewLane&) = 0;
  virtual Answer<control::Ok> drop_lane(const SessionInfo&, const control::DropLane&) = 0;
  virtual Answer<control::Ok> grow_ring(const SessionInfo&, const control::GrowRing&) = 0;
  virtual Answer<control::Segments> get_segments(const SessionInfo&, const control::GetSegments&) = 0;
  virtual Answer<control::OffsetFound> offset_for_time(const SessionInfo&, const control::OffsetForTime&) = 0;
  virtual Answer<control::StatsPage> stats(const SessionInfo&, const control::Stats&) = 0;
  virtual Answer<control::DaemonDescription> daemon_info(const SessionInfo&, const control::DaemonInfo&) = 0;
};

}  // namespace busway::daemon
