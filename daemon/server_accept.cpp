// New connections, and how connections end.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "daemon/server_state.hpp"

namespace busway::daemon {
namespace {

constexpr int kAcceptsPerTurn = 32;
/// Connections that have not said hello, of all uids; beyond it the oldest has to go. Whoever says hello at
/// once, as the library does, is never among the oldest for long.
constexpr std::size_t kWaitingMost = 256;
constexpr std::chrono::milliseconds kWaitingTick{100};
constexpr std::chrono::milliseconds kLingeringTick{200};

std::size_t descriptor_limit() {
  rlimit limit{};
  check_errno(::getrlimit(RLIMIT_NOFILE, &limit), "getrlimit(RLIMIT_NOFILE)");
  return static_cast<std::size_t>(limit.rlim_cur);
}

Fd open_reserve() { return Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

bool out_of_descriptors(int error) noexcept { return error == EMFILE || error == ENFILE; }

}  // namespace

Server::State::State(Fd listener, RequestHandler& handler, ServerOptions server_options)
    : options(std::move(server_options)),
      unread(descriptor_limit() / 4),
      listener_(std::move(listener)),
      reserve_(open_reserve()),
      handler_(handler) {
  ask_for_senders(listener_.get());
  loop.watch(listener_.get(), EPOLLIN, [this](std::uint32_t) { accept_some(); });
}

// ---- accepting

void Server::State::accept_some() {
  for (int i = 0; i < kAcceptsPerTurn && accepting_ && accept_one(); ++i) {
  }
}

bool Server::State::accept_one() {
  Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket) {
    if (out_of_descriptors(errno)) return accept_without_room();
    return errno == EINTR || errno == ECONNABORTED;  // anything else, EAGAIN among it: the next turn tells
  }
  ++counters.accepted;
  try {
    take_in(std::move(socket));
  } catch (const Error& error) {
    report(error.sentence());
  }
  return true;
}

bool Server::State::accept_without_room() {
  reserve_.reset();
  Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  const bool accepted = static_cast<bool>(socket);
  if (accepted) {
    refuse(std::move(socket), errc::limit_reached,
           "the daemon has no descriptors left: raise its limit of open files (LimitNOFILE= of the service)");
  }
  reserve_ = open_reserve();
  if (!accepted) pause_accepting();
  return accepted;
}

/// Somebody else took the reserve's place: without a pause the listening socket would keep the loop spinning.
void Server::State::pause_accepting() {
  loop.unwatch(listener_.get());
  const auto resume = [this] {
    if (!reserve_) reserve_ = open_reserve();
    if (accepting_) loop.watch(listener_.get(), EPOLLIN, [this](std::uint32_t) { accept_some(); });
  };
  loop.add_timer(kWaitingTick, resume, true);
}

void Server::State::take_in(Fd socket) {
  ask_for_senders(socket.get());  // inherited already, unless whoever listens forgot it
  try {
    PeerCredentials peer = peer_credentials(socket.get());
    if (peer.pid == 0) {
      throw Error(
          errc::access_denied,
          "the daemon cannot see your process: it runs in another pid namespace; give both containers "
          "the same one (--pid)");
    }
    check_waiting(peer.uid);
    PeerProcess process = peer_process(socket.get(), peer.pid, options.use_peerpidfd);
    if (!process.pidfd) return;  // it has ended already
    const auto connection = std::make_shared<Connection>(std::move(socket), std::move(peer),
                                                         std::move(process), unread, ++last_connection_);
    loop.watch(connection->socket(), EPOLLIN,
               [this, connection](std::uint32_t events) { serve(connection, events); });
    connection->interest = EPOLLIN;
    connections_.emplace(connection->number, connection);
    waiting_.emplace(connection->number, connection);
    run_while(waiting_timer_, true, kWaitingTick, &State::close_silent_ones);
  } catch (const Error& error) {
    refuse(std::move(socket), error.error(), error.sentence());
  }
}

void Server::State::refuse(Fd socket, errc code, const std::string& sentence) {
  ++counters.refused;
  report("refused a client: " + sentence);
  const control::Bytes bytes = control::encode_notice(control::ErrorReply{code, sentence});
  (void)control::try_send(socket.get(), bytes, {});  // a fresh socket has room for it
}

void Server::State::check_waiting(uid_t uid) {
  std::uint32_t own = 0;
  for (const auto& [number, connection] : waiting_) own += connection->peer.uid == uid ? 1U : 0U;
  if (own >= options.limits.connections_per_uid_waiting) {
    throw Error(errc::limit_reached,
                "uid " + std::to_string(uid) + " has " + std::to_string(own) +
                    " connections to the daemon that have not said hello; it may have no more");
  }
  if (waiting_.size() >= kWaitingMost) {
    const ConnectionPtr oldest = waiting_.begin()->second;
    close_with(oldest, errc::limit_reached, "too many connections have not said hello; yours was the oldest");
  }
}

void Server::State::close_silent_ones() {
  const auto born_before = std::chrono::steady_clock::now() - options.limits.hello_timeout;
  while (!waiting_.empty() && waiting_.begin()->second->accepted <= born_before) {
    const ConnectionPtr silent = waiting_.begin()->second;
    close_with(silent, errc::deadline_exceeded,
               "no hello within " + std::to_string(options.limits.hello_timeout.count()) + " ms");
  }
  run_while(waiting_timer_, !waiting_.empty(), kWaitingTick, &State::close_silent_ones);
}

void Server::State::stop_waiting(const Connection& connection) noexcept { waiting_.erase(connection.number); }

void Server::State::stop_accepting() {
  accepting_ = false;
  loop.unwatch(listener_.get());
}

// ---- ending

void Server::State::close_with(const ConnectionPtr& connection, errc code, const std::string& sentence) {
  if (connection->phase == Connection::Phase::closed) return;
  ++counters.refused;
  report("closed the connection of pid " + std::to_string(connection->peer.pid) + ", uid " +
         std::to_string(connection->peer.uid) + ": " + sentence);
  connection->forget_output();  // the reason must not wait behind what the client does not read
  const control::Bytes bytes = control::encode_notice(control::ErrorReply{code, sentence});
  (void)control::try_send(connection->socket(), bytes, {});  // without room there is no telling it
  close(connection);
}

void Server::State::close(const ConnectionPtr& connection) {
  if (connection->phase == Connection::Phase::closed) return;
  loop.unwatch(connection->socket());
  stop_waiting(*connection);
  parked_.erase(connection->number);
  connections_.erase(connection->number);
  connection->close();
  if (connection->lingers()) {
    lingering_.emplace(connection->number, connection);
    run_while(lingering_timer_, true, kLingeringTick, &State::look_at_lingering);
  }
  if (!connection->session) return;
  Session* session = sessions.find(*connection->session);
  connection->session.reset();
  if (session == nullptr || session->connection != connection) return;
  session->connection.reset();
  handler_.session_detached(session->info);
}

void Server::State::look_at_lingering() {
  std::erase_if(lingering_, [](const auto& entry) { return !entry.second->lingers(); });
  run_while(lingering_timer_, !lingering_.empty(), kLingeringTick, &State::look_at_lingering);
}

/// Keeps a timer going exactly as long as there is something for it to do: an idle daemon does not wake up.
void Server::State::run_while(std::optional<TimerId>& timer, bool needed, std::chrono::milliseconds interval,
                              void (State::*work)()) {
  if (needed && !timer)
    timer = loop.add_timer(
        interval, [this, work] { (this->*work)(); }, false);
  if (!needed && timer) {
    loop.cancel_timer(*timer);
    timer.reset();
  }
}

}  // namespace busway::daemon
