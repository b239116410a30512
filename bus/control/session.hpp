// The client's session with the daemon: one connection at a time, requests with deadlines, notices, and the
// way back after the daemon's worker was restarted.
//
// Invariants: at most one request is on its way; an answer that comes after its request's deadline is thrown
// away with its descriptors. Notices are handed on in the order in which they were sent, one at a time. A
// session belongs to the process that made it: in a forked child every call throws errc::forked.
//
// Thread safety: every call is safe from any thread; requests of several threads take turns. The notice
// handler runs on whichever thread reads the socket, under a mutex of its own: it must not call the session.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bus/base/clock.hpp"
#include "bus/base/fd.hpp"
#include "bus/control/messages.hpp"

namespace busway::control {

/// errc::no_daemon in the middle of a session: the daemon has closed the connection. reconnect() mends it.
class ConnectionLost : public Error {
 public:
  ConnectionLost(bool sent, const std::string& sentence) : Error(errc::no_daemon, sentence), sent_(sent) {}
  /// Whether the daemon may have seen the request.
  bool sent() const noexcept { return sent_; }

 private:
  bool sent_;
};

using NoticeHandler = std::function<void(Notice&&, std::vector<Fd>&&)>;

struct SessionOptions {
  std::string socket{};          ///< empty: default_socket_path(SocketUse::connect)
  std::string program{};         ///< empty: the executable's name
  std::string client_version{};  ///< of the library or program
  NoticeHandler on_notice{};
};

/// A reply and the descriptors that came with it, in the order that the reply's struct gives.
template <class T>
struct Answered {
  T body;
  std::vector<Fd> fds;
};

/// How a (re)connected session stands to the one before.
enum class Continuity {
  fresh,           ///< there was none
  resumed,         ///< the same session: attachments are to be made again, naming what they had
  new_session,     ///< the same daemon, but it does not know the session any more: another bell
  other_instance,  ///< the service was restarted: nothing of what is mapped means anything any more
};

struct Connection {
  Welcome welcome;
  Fd bells;
  Continuity continuity = Continuity::fresh;
};

class ClientSession {
 public:
  /// Connects and says hello. Does not wait for a daemon to appear. Throws errc::no_daemon,
  /// errc::wrong_socket_owner, errc::protocol_mismatch, errc::access_denied, errc::limit_reached,
  /// errc::deadline_exceeded, each naming the socket.
  ClientSession(SessionOptions options, const Deadline& deadline);
  ClientSession(const ClientSession&) = delete;
  ClientSession& operator=(const ClientSession&) = delete;
  ~ClientSession();

  /// The connection made by the constructor: to be taken once.
  Connection take_connection();

  /// Sends a request and waits for its answer. Throws the daemon's error, ConnectionLost,
  /// errc::deadline_exceeded, errc::bad_message, errc::forked.
  template <class R>
  Answered<ReplyToT<R>> request(const R& body, const Deadline& deadline) {
    Answered<Reply> got = exchange(body, deadline);
    ReplyToT<R>* reply = std::get_if<ReplyToT<R>>(&got.body);
    if (reply == nullptr) unexpected_reply(body, got.body);
    return {std::move(*reply), std::move(got.fds)};
  }

  /// Hands every notice that has arrived to the handler; never waits. False if another thread is in the
  /// middle of a request (it hands them on), or the connection is lost.
  bool drain_notices();

  /// Whether the connection was intact when it was last used.
  bool connected() const noexcept;

  enum class Attempts : std::uint8_t {
    one,
    many,  ///< with backoff until the deadline
  };
  /// Connects anew; throws what the constructor throws. Nothing is done and nothing is returned if another
  /// thread has reconnected already, that is, if connections() is no longer `seen`, the count from before the
  /// connection was found lost.
  std::optional<Connection> reconnect(std::uint64_t seen, const Deadline& deadline,
                                      Attempts attempts = Attempts::many);

  /// How many connections this session has had: tells whether somebody else has reconnected meanwhile.
  std::uint64_t connections() const noexcept;

  /// Ends the session at the daemon: call it when everything of the daemon's is unmapped. Without it the
  /// daemon keeps the session's bell, lanes and cells until this process ends. Never throws.
  void goodbye(const Deadline& deadline) noexcept;

  /// For poll(2): readable when a notice waits or the connection is lost. -1 when there is none. Changes with
  /// reconnect().
  int fd() const noexcept;
  const std::string& socket_path() const noexcept;

 private:
  Answered<Reply> exchange(const Request& request, const Deadline& deadline);
  [[noreturn]] void unexpected_reply(const Request& request, const Reply& reply);

  class State;
  std::unique_ptr<State> state_;
};

}  // namespace busway::control
