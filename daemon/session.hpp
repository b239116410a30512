// A client as the server sees it: connections (accepted sockets) and sessions (what a process holds).
//
// Invariants: a connection sends messages whole and in order; what it cannot send at once it keeps, with
// descriptors of its own, and while it keeps anything the server reads nothing from it. A session has at most
// one connection, and at most one session has a given number.
//
// Thread safety: none; everything belongs to the server's thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bus/control/framing.hpp"
#include "bus/control/messages.hpp"
#include "daemon/peer.hpp"
#include "daemon/server_handler.hpp"

namespace busway::daemon {

/// Descriptors that were sent and not yet read, charged to the receiver's uid. The kernel counts all of them
/// against the daemon (ETOOMANYREFS beyond RLIMIT_NOFILE), so one uid must not be able to use them all up.
class UnreadFds {
 public:
  explicit UnreadFds(std::size_t most_per_uid) noexcept : most_per_uid_(most_per_uid) {}
  bool room(uid_t uid, std::size_t fds) const noexcept;
  void add(uid_t uid, std::size_t fds) { by_uid_[uid] += fds; }
  void remove(uid_t uid, std::size_t fds) noexcept;
  std::size_t most_per_uid() const noexcept { return most_per_uid_; }

 private:
  std::size_t most_per_uid_;
  std::map<uid_t, std::size_t> by_uid_;
};

/// One message on its way out.
struct Outgoing {
  control::Bytes bytes;
  std::vector<int> fds{};  ///< borrowed, or owned by `owned`
  std::vector<Fd> owned{};
};

class Connection {
 public:
  enum class Phase { hello, challenged, open, closed };

  Connection(Fd socket, PeerCredentials peer, PeerProcess process, UnreadFds& unread, std::uint64_t number);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  /// Sends or keeps a message; `closed` and `fds_in_flight` (nothing is kept) are the other outcomes.
  control::Transfer send(Outgoing message);
  /// Sends what was kept, as far as it goes.
  control::Transfer flush();
  /// Forgets what was kept: the peer will not read it.
  void forget_output() noexcept { output_.clear(); }
  std::size_t waiting_output() const noexcept { return output_.size(); }

  /// Asks the kernel whether the peer has read everything, and if so counts nothing as unread any more.
  void refresh_unread();
  std::size_t unread_fds() const noexcept { return unread_fds_; }
  std::size_t unread_offers() const noexcept { return unread_offers_; }
  void count_offer() noexcept { ++unread_offers_; }

  /// The peer sees the end once it has read what was sent. While descriptors lie unread the socket stays open
  /// to go on counting them: a client could otherwise pile them up by being thrown out again and again.
  void close() noexcept;
  /// Of a closed connection: whether it still counts something. Asks the kernel.
  bool lingers() noexcept;
  int socket() const noexcept { return socket_.get(); }

  const PeerCredentials peer;
  const std::uint64_t number;  ///< in the order of acceptance
  const std::chrono::steady_clock::time_point accepted = std::chrono::steady_clock::now();
  PeerProcess process;  ///< the session's, once there is one
  Phase phase = Phase::hello;
  std::optional<control::RequestMessage> hello{};  ///< while challenged
  std::uint64_t nonce = 0;
  std::optional<std::uint32_t> session{};
  bool parked = false;         ///< not read from until the peer has read its descriptors
  std::uint32_t interest = 0;  ///< epoll events asked for at present

 private:
  control::Transfer put(Outgoing& message);
  void count_nothing() noexcept;

  Fd socket_;
  UnreadFds& unread_;
  std::size_t unread_fds_ = 0;
  std::size_t unread_offers_ = 0;
  std::deque<Outgoing> output_;
};

/// Text of a stranger made fit for logs and statistics: what is not printable ASCII becomes '?'.
std::string printable(std::string text);

struct Session {
  SessionInfo info;
  Fd pidfd;
  std::shared_ptr<Connection> connection{};  ///< empty: detached
};

/// Sessions by number. Numbers are given out in turn, so that one is not soon used again.
class SessionTable {
 public:
  /// errc::limit_reached naming the limit and its setting.
  std::uint32_t free_number(uid_t uid, std::uint32_t most, std::uint32_t most_per_uid);
  Session& insert(SessionInfo info, Fd pidfd);
  void erase(std::uint32_t number) noexcept { sessions_.erase(number); }
  Session* find(std::uint32_t number) noexcept;
  /// The session that `previous` names, if token, process and uid are the connection's.
  Session* find_own(const control::PreviousSession& previous, const PeerCredentials& peer) noexcept;
  const std::map<std::uint32_t, std::unique_ptr<Session>>& all() const noexcept { return sessions_; }

 private:
  std::map<std::uint32_t, std::unique_ptr<Session>> sessions_;
  std::uint32_t next_ = 0;
};

}  // namespace busway::daemon
