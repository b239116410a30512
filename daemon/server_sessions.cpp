// Hello, resuming, and how sessions end.
#include <algorithm>

#include "daemon/server_state.hpp"

namespace busway::daemon {
namespace {

using Phase = Connection::Phase;

/// The newest protocol that both speak.
std::uint32_t common_protocol(const control::Hello& hello, const std::string& daemon_version) {
  const std::uint32_t spoken = std::min(hello.protocol, control::kProtocolCurrent);
  if (spoken >= std::max(hello.protocol_oldest, control::kProtocolOldest)) return spoken;
  throw Error(errc::protocol_mismatch,
              "client version " + printable(hello.client_version) + " speaks protocol " +
                  std::to_string(hello.protocol_oldest) + " to " + std::to_string(hello.protocol) +
                  ", daemon version " + daemon_version + " speaks " +
                  std::to_string(control::kProtocolOldest) + " to " +
                  std::to_string(control::kProtocolCurrent) + ": upgrade the older of the two");
}

}  // namespace

void Server::State::adopt(KnownSession known) {
  SessionInfo info;
  info.number = known.number;
  info.token = known.token;
  info.peer.uid = known.uid;
  info.peer.pid = known.pid;
  add_session(std::move(info), std::move(known.pidfd));
}

Session& Server::State::add_session(SessionInfo info, Fd pidfd) {
  Session& session = sessions.insert(std::move(info), std::move(pidfd));
  loop.watch(session.pidfd.get(), EPOLLIN, [this, number = session.info.number](std::uint32_t) {
    end_session(number, SessionEnd::process_died);
  });
  return session;
}

// ---- hello

void Server::State::hello(const ConnectionPtr& connection, control::RequestMessage message) {
  if (connection->phase != Phase::hello) {
    ++counters.bad_messages;
    return close_with(connection, errc::bad_message, "a second Hello");
  }
  if (!connection->process.needs_nonce) return welcome(connection, message);
  connection->nonce = random_token();
  connection->phase = Phase::challenged;
  const std::uint32_t id = message.id;
  connection->hello = std::move(message);
  reply(connection, id, control::Challenge{connection->nonce});
}

/// The answer proves that a process with the peer's pid spoke after we had opened the pidfd; that the pidfd's
/// process is still alive proves that it was this one.
void Server::State::challenge_answered(const ConnectionPtr& connection, std::uint32_t id,
                                       std::uint64_t nonce) {
  if (connection->phase != Phase::challenged || nonce != connection->nonce) {
    ++counters.bad_messages;
    return close_with(connection, errc::bad_message, "a wrong answer to the daemon's challenge");
  }
  if (process_ended(connection->process.pidfd.get())) return close(connection);
  control::RequestMessage message = std::move(*connection->hello);
  connection->hello.reset();
  message.id = id;
  welcome(connection, message);
}

void Server::State::welcome(const ConnectionPtr& connection, const control::RequestMessage& message) {
  const auto& hello = std::get<control::Hello>(message.body);
  bool resumed = false;
  try {
    const std::uint32_t protocol = common_protocol(hello, options.daemon_version);
    Session* previous = hello.previous ? sessions.find_own(*hello.previous, connection->peer) : nullptr;
    resumed = previous != nullptr;
    if (resumed) {
      resume(connection, *previous, hello);
    } else {
      open(connection, hello);
    }
    Session* session = sessions.find(connection->session.value_or(limits::kSessionsMost));
    if (session == nullptr || connection->phase == Phase::closed)
      return;  // it died, or was evicted, in between
    session->info.protocol = protocol;
    reply(connection, message.id,
          control::Welcome{protocol, options.daemon_version, options.instance, session->info.number,
                           session->info.token, resumed},
          {handler_.bells_fd()});
  } catch (const Error& error) {
    ++counters.errors;
    ++counters.refused;
    report("refused a client of uid " + std::to_string(connection->peer.uid) + ": " + error.sentence());
    reply(connection, message.id, control::ErrorReply{error.error(), error.sentence()});
    close(connection);
  }
}

void Server::State::resume(const ConnectionPtr& connection, Session& session, const control::Hello& hello) {
  if (const ConnectionPtr old = std::exchange(session.connection, nullptr)) {
    old->session.reset();  // the process itself has left it behind
    close(old);
  }
  session.info.peer = connection->peer;  // groups may have changed
  session.info.program = printable(hello.program);
  session.info.client_version = printable(hello.client_version);
  session.connection = connection;
  connection->session = session.info.number;
  connection->process.pidfd.reset();
  connection->phase = Phase::open;
  stop_waiting(*connection);
  handler_.session_resumed(session.info);
}

void Server::State::open(const ConnectionPtr& connection, const control::Hello& hello) {
  const ServerLimits& most = options.limits;
  SessionInfo info{
      .number = sessions.free_number(connection->peer.uid, most.sessions_most, most.sessions_per_uid_most),
      .token = random_token(),
      .peer = connection->peer,
      .protocol = control::kProtocolCurrent,
      .program = printable(hello.program),
      .client_version = printable(hello.client_version)};
  Session& session = add_session(std::move(info), std::move(connection->process.pidfd));
  const std::uint32_t number = session.info.number;
  try {
    handler_.session_opened(session.info);
  } catch (...) {
    loop.unwatch(session.pidfd.get());
    sessions.erase(number);
    throw;
  }
  session.connection = connection;
  connection->session = number;
  connection->phase = Phase::open;
  stop_waiting(*connection);
}

// ---- ending

void Server::State::goodbye(const ConnectionPtr& connection, std::uint32_t id) {
  const std::uint32_t number = *connection->session;
  Session* session = sessions.find(number);
  if (session == nullptr) return;
  connection->session.reset();
  session->connection.reset();
  end_session(number, SessionEnd::goodbye);
  reply(connection, id, control::Ok{});
  close(connection);
}

void Server::State::end_session(std::uint32_t number, SessionEnd end) {
  Session* session = sessions.find(number);
  if (session == nullptr) return;
  loop.unwatch(session->pidfd.get());
  if (const ConnectionPtr heirs = std::exchange(session->connection, nullptr)) {
    heirs->session.reset();
    close_with(heirs, errc::forked, "the process that opened this connection has ended");
  }
  handler_.session_ended(session->info, end);
  sessions.erase(number);
}

}  // namespace busway::daemon
