// The control server: an epoll loop that one thread drives, over the listening socket, the connections, the
// pidfds of clients, commands of other threads, timers, and whatever else the daemon wants watched.
//
// Model: a *connection* is an accepted socket; it becomes, or takes up again, a *session* by Hello. A session
// belongs to a process (pidfd) and outlives its connection: it ends when the process ends or says goodbye.
// Nothing about a client is decided by a timeout but that it must say hello within Options::hello_timeout.
//
// A client costs only itself: a bounded number of its messages is served in each turn; while its replies do
// not fit its socket, or descriptors sent to it lie unread, it is not read from; offers that it does not read
// are sent without descriptors, then not at all. Whoever sends what does not verify is told why and closed.
//
// Thread safety: post() and wake() from any thread, everything else from the thread that calls run_once().
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "bus/base/fd.hpp"
#include "bus/base/ids.hpp"
#include "daemon/server_handler.hpp"

namespace busway::daemon {

/// Bounds; may be changed while the server runs.
struct ServerLimits {
  std::uint32_t sessions_most = 1024;              ///< at most limits::kSessionsMost; setting sessions.max
  std::uint32_t sessions_per_uid_most = 256;       ///< setting sessions.per.uid.max
  std::uint32_t connections_per_uid_waiting = 64;  ///< connections of one uid that have not said hello
  std::chrono::milliseconds hello_timeout{5000};
  std::uint32_t messages_per_turn = 16;  ///< of one connection before the others have theirs
};

struct ServerOptions {
  Uuid instance{};  ///< of the service, kept over restarts of the worker
  std::string daemon_version{};
  ServerLimits limits{};
  bool use_peerpidfd = true;  ///< false: as on kernels before 6.5
  /// Told a sentence whenever a client is refused or thrown out, as often as clients cause it: pass it
  /// through a LogLimit.
  std::function<void(std::string_view)> report{};
};

/// A listening SOCK_SEQPACKET socket at `path`: the directory is created (0755) when missing, a dead socket's
/// file is replaced. Throws errc::limit_reached when somebody listens there, errc::io.
Fd listen_on(const std::string& path, mode_t mode);

enum class TimerId : std::uint64_t {};

/// A session that an earlier worker had, as its manifest entry says.
struct KnownSession {
  std::uint32_t number = 0;
  std::uint64_t token = 0;
  pid_t pid = 0;
  uid_t uid = 0;
  Fd pidfd;
};

class Server {
 public:
  /// `listener`: listening, from listen_on or from the keeper. `handler` must outlive the server.
  Server(Fd listener, RequestHandler& handler, ServerOptions options);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  /// Closes every connection; tells the handler nothing.
  ~Server();

  /// Waits until something happens, at most `timeout` (negative: for ever), and serves it. Returns whether
  /// anything was served.
  bool run_once(std::chrono::milliseconds timeout);

  /// Before the first run_once: a session whose process may come back. One whose process has ended meanwhile
  /// is ended by the first run_once.
  void adopt_session(KnownSession session);

  /// Sends a notice to a session, with a descriptor (borrowed) or without (-1). Never waits, never throws for
  /// the client's sake: see the header of this file. False if it is not connected.
  bool notify(std::uint32_t session, const control::Notice& notice, int fd = -1);
  void notify_all(const control::Notice& notice);

  /// What is known of a session; nullptr if there is none of that number.
  const SessionInfo* find_session(std::uint32_t number) const noexcept;
  std::vector<const SessionInfo*> sessions() const;

  /// Closes a session's connection with a reason. The session itself lives as long as its process.
  void evict(std::uint32_t session, errc code, const std::string& sentence);

  /// No new connections from here on; Stopping goes to all. Requests are still served.
  void stop_accepting();
  void set_limits(const ServerLimits& limits);

  /// Runs `work` on the server's thread in a later run_once. Any thread; wakes the loop.
  void post(std::function<void()> work);
  void wake() noexcept;

  /// Calls `work` every `interval` (once, if `once`) from run_once.
  TimerId add_timer(std::chrono::milliseconds interval, std::function<void()> work, bool once = false);
  void cancel_timer(TimerId timer) noexcept;

  /// Calls `work` from run_once while `fd` is readable (level-triggered). Borrowed; unwatch before closing
  /// it.
  void watch(int fd, std::function<void()> work);
  void unwatch(int fd) noexcept;

  struct Counters {
    std::uint64_t accepted = 0;
    std::uint64_t refused = 0;  ///< over a limit, without a pid, ...
    std::uint64_t bad_messages = 0;
    std::uint64_t requests = 0;
    std::uint64_t errors = 0;  ///< requests answered with an error
    std::uint64_t offers_without_fd = 0;
    std::uint64_t offers_dropped = 0;
    std::uint64_t sessions = 0;  ///< now
    std::uint64_t detached = 0;  ///< of them, without a connection
  };
  Counters counters() const noexcept;

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace busway::daemon
