// What ClientSession hides. Private to this room.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string>

#include "bus/control/fork_mark.hpp"
#include "bus/control/framing.hpp"
#include "bus/control/session.hpp"

namespace busway::control {

class ClientSession::State {
 public:
  State(SessionOptions options, const Deadline& deadline);

  /// The right to use the socket: one thread at a time holds it. (A flag and a condition variable, so that
  /// waiting for it can have a deadline.)
  class Turn {
   public:
    Turn(State& state, const Deadline& deadline);  ///< throws errc::deadline_exceeded
    explicit Turn(State& state);                   ///< does not wait: see held()
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn();
    bool held() const noexcept { return held_; }

   private:
    State& state_;
    bool held_ = false;
  };

  // These need the turn.
  Answered<Reply> exchange(const Request& request, const Deadline& deadline);
  Connection open(const Deadline& deadline);
  Connection open_first(const Deadline& deadline);
  Connection open_patiently(const Deadline& deadline);
  template <class Passes>
  Connection open_again(const Deadline& deadline, const Deadline& until, Passes passes);
  bool read_notices();

  /// Hands what was read on to the handler. Without the turn: the handler may take its time.
  void deliver() noexcept;

  std::string peer() const { return "the daemon at " + path_; }

  const ForkMark mark_;
  const SessionOptions options_;
  const std::string path_;
  std::atomic<bool> connected_{false};
  std::atomic<int> fd_{-1};
  std::atomic<std::uint64_t> connections_{0};
  std::optional<Connection> first_;

 private:
  struct Told {
    Notice notice;
    std::vector<Fd> fds;
  };

  Answered<Reply> say_hello(const Deadline& deadline);
  void send_request(const Request& request, const Bytes& bytes, const Deadline& deadline);
  /// Takes in what was received: nothing unless it is the reply to `id`.
  std::optional<Answered<Reply>> take(Received& received, bool fds_lost, std::uint32_t id);
  void keep_notice(Notice&& notice, std::vector<Fd>&& fds, bool fds_lost);
  void drop_connection() noexcept;
  [[noreturn]] void lost(bool sent);
  [[noreturn]] void garbled(const std::string& what);

  std::mutex mutex_;  // guards turn_taken_ and notices_
  std::condition_variable turn_free_;
  bool turn_taken_ = false;
  std::deque<Told> notices_;
  std::mutex delivery_;  // held while the handler runs: one notice at a time, in order

  // With the turn:
  Fd socket_;
  std::uint32_t last_id_ = 0;
  std::optional<Welcome> welcome_;
  std::optional<ErrorReply> closing_reason_;
  Received received_;
};

}  // namespace busway::control
