// What Server hides. Its bodies: server.cpp (the loop's outside), server_accept.cpp (new connections and how
// they end), server_sessions.cpp (hello, resuming, ending), server_requests.cpp (messages and answers),
// server_notices.cpp.
//
// Invariant: a handler call may notify or evict any session, the one it serves included. So whoever goes on
// with a connection after such a call holds a shared_ptr to it and looks at its phase first.
#pragma once

#include <map>
#include <set>
#include <unordered_map>

#include "daemon/server.hpp"
#include "daemon/server_loop.hpp"
#include "daemon/session.hpp"

namespace busway::daemon {

class Server::State {
 public:
  State(Fd listener, RequestHandler& handler, ServerOptions options);

  using ConnectionPtr = std::shared_ptr<Connection>;

  ServerOptions options;
  Server::Counters counters;
  UnreadFds unread;  // before the loop and the sessions: their connections count in it until they are gone
  EventLoop loop;
  SessionTable sessions;

  // server_accept.cpp
  void accept_some();
  void close_with(const ConnectionPtr& connection, errc code, const std::string& sentence);
  void close(const ConnectionPtr& connection);
  void stop_accepting();

  // server_requests.cpp
  void serve(const ConnectionPtr& connection, std::uint32_t events);
  void reply(const ConnectionPtr& connection, std::uint32_t id, const control::Reply& body,
             std::vector<int> fds = {}, std::vector<Fd> owned = {});

  // server_sessions.cpp
  void adopt(KnownSession known);
  void hello(const ConnectionPtr& connection, control::RequestMessage message);
  void challenge_answered(const ConnectionPtr& connection, std::uint32_t id, std::uint64_t nonce);
  void goodbye(const ConnectionPtr& connection, std::uint32_t id);
  void end_session(std::uint32_t number, SessionEnd end);

  // server_notices.cpp
  bool notify(std::uint32_t session, const control::Notice& notice, int fd);
  /// Whether so many descriptors may be sent to this client now.
  bool fds_may_go(Connection& connection, std::size_t fds);
  void report(const std::string& sentence) const;

 private:
  // server_accept.cpp
  bool accept_one();
  bool accept_without_room();
  void take_in(Fd socket);
  void refuse(Fd socket, errc code, const std::string& sentence);
  void check_waiting(uid_t uid);
  void close_silent_ones();
  void stop_waiting(const Connection& connection) noexcept;
  void look_at_lingering();
  void pause_accepting();

  // server_requests.cpp
  enum class Served { one, nothing };
  Served serve_one(const ConnectionPtr& connection);
  void take(const ConnectionPtr& connection);
  void dispatch(const ConnectionPtr& connection, const control::RequestMessage& message);
  void show_interest(const ConnectionPtr& connection);
  void park(const ConnectionPtr& connection);
  void look_at_parked();
  void send(const ConnectionPtr& connection, Outgoing message);

  // server_sessions.cpp
  void welcome(const ConnectionPtr& connection, const control::RequestMessage& hello);
  void resume(const ConnectionPtr& connection, Session& session, const control::Hello& hello);
  void open(const ConnectionPtr& connection, const control::Hello& hello);
  Session& add_session(SessionInfo info, Fd pidfd);

  void run_while(std::optional<TimerId>& timer, bool needed, std::chrono::milliseconds interval,
                 void (State::*work)());

  Fd listener_;
  Fd reserve_;  // given up for a moment to refuse a client when descriptors are used up
  bool accepting_ = true;
  RequestHandler& handler_;
  std::uint64_t last_connection_ = 0;
  std::unordered_map<std::uint64_t, ConnectionPtr> connections_;  // by Connection::number
  std::map<std::uint64_t, ConnectionPtr> waiting_;                // have not said hello; the oldest first
  std::map<std::uint64_t, ConnectionPtr> parked_;
  std::map<std::uint64_t, ConnectionPtr> lingering_;
  std::optional<TimerId> waiting_timer_;
  std::optional<TimerId> parked_timer_;
  std::optional<TimerId> lingering_timer_;
  control::Received received_;
};

}  // namespace busway::daemon
