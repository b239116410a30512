// Messages of clients, and their answers.
#include "daemon/server_state.hpp"

namespace busway::daemon {
namespace {

using control::Transfer;
using Phase = Connection::Phase;

constexpr std::chrono::milliseconds kParkedTick{10};

struct AnyAnswer {
  control::Reply body;
  std::vector<int> fds;
  std::vector<Fd> owned;
};

/// Calls the handler's function for a request.
class Ask {
 public:
  Ask(RequestHandler& handler, const SessionInfo& session) noexcept : handler_(handler), session_(session) {}

  AnyAnswer operator()(const control::CreateTopic& m) const {
    return any(handler_.create_topic(session_, m));
  }
  AnyAnswer operator()(const control::AlterTopic& m) const { return any(handler_.alter_topic(session_, m)); }
  AnyAnswer operator()(const control::DeleteTopic& m) const {
    return any(handler_.delete_topic(session_, m));
  }
  AnyAnswer operator()(const control::ListTopics& m) const { return any(handler_.list_topics(session_, m)); }
  AnyAnswer operator()(const control::DescribeTopic& m) const {
    return any(handler_.describe_topic(session_, m));
  }
  AnyAnswer operator()(const control::Attach& m) const { return any(handler_.attach(session_, m)); }
  AnyAnswer operator()(const control::Detach& m) const { return any(handler_.detach(session_, m)); }
  AnyAnswer operator()(const control::GetRings& m) const { return any(handler_.get_rings(session_, m)); }
  AnyAnswer operator()(const control::GetLanes& m) const { return any(handler_.get_lanes(session_, m)); }
  AnyAnswer operator()(const control::GetLane& m) const { return any(handler_.get_lane(session_, m)); }
  AnyAnswer operator()(const control::NewLane& m) const { return any(handler_.new_lane(session_, m)); }
  AnyAnswer operator()(const control::DropLane& m) const { return any(handler_.drop_lane(session_, m)); }
  AnyAnswer operator()(const control::GrowRing& m) const { return any(handler_.grow_ring(session_, m)); }
  AnyAnswer operator()(const control::GetSegments& m) const {
    return any(handler_.get_segments(session_, m));
  }
  AnyAnswer operator()(const control::OffsetForTime& m) const {
    return any(handler_.offset_for_time(session_, m));
  }
  AnyAnswer operator()(const control::Stats& m) const { return any(handler_.stats(session_, m)); }
  AnyAnswer operator()(const control::DaemonInfo& m) const { return any(handler_.daemon_info(session_, m)); }
  // The server's own matters; dispatch() does not bring them here.
  AnyAnswer operator()(const control::Hello&) const { return {control::Ok{}, {}, {}}; }
  AnyAnswer operator()(const control::ChallengeAnswer&) const { return {control::Ok{}, {}, {}}; }
  AnyAnswer operator()(const control::Goodbye&) const { return {control::Ok{}, {}, {}}; }

 private:
  template <class T>
  static AnyAnswer any(Answer<T>&& answer) {
    return {control::Reply(std::move(answer.body)), std::move(answer.fds), std::move(answer.owned)};
  }

  RequestHandler& handler_;
  const SessionInfo& session_;
};

}  // namespace

// ---- receiving

void Server::State::serve(const ConnectionPtr& connection, std::uint32_t events) {
  try {
    if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
      // It will read nothing any more; what it said last still counts (a goodbye).
      connection->forget_output();
      connection->parked = false;
      parked_.erase(connection->number);
    }
    const Transfer flushed = connection->flush();
    if (flushed == Transfer::closed) return close(connection);
    if (flushed == Transfer::fds_in_flight) {
      return close_with(connection, errc::limit_reached,
                        "too many descriptors sent by the daemon lie unread");
    }
    for (std::uint32_t i = 0; i < options.limits.messages_per_turn; ++i) {
      if (serve_one(connection) == Served::nothing) break;
    }
    if (connection->phase != Phase::closed) show_interest(connection);
  } catch (const Error& error) {
    // Whatever the kernel refuses to do for this connection is this connection's end, not the daemon's.
    close_with(connection, error.error(), error.sentence());
  }
}

Server::State::Served Server::State::serve_one(const ConnectionPtr& connection) {
  if (connection->phase == Phase::closed || connection->parked || connection->waiting_output() > 0) {
    return Served::nothing;
  }
  if (connection->unread_fds() >= limits::kFdsPerMessage) {
    connection->refresh_unread();
    if (connection->unread_fds() >= limits::kFdsPerMessage) {
      park(connection);
      return Served::nothing;
    }
  }
  const Transfer got = control::try_receive(connection->socket(), received_, 0);
  switch (got) {
    case Transfer::done:
      take(connection);
      break;
    case Transfer::would_block:
      return Served::nothing;
    case Transfer::closed:
      close(connection);
      return Served::nothing;
    case Transfer::too_many_fds:
    case Transfer::no_descriptors:
      ++counters.bad_messages;
      close_with(connection, errc::bad_message, "no request carries descriptors");
      break;
    default:
      ++counters.bad_messages;
      close_with(connection, errc::bad_message,
                 "a message longer than " + std::to_string(limits::kControlMessageMost) + " bytes");
  }
  return Served::one;
}

void Server::State::take(const ConnectionPtr& connection) {
  const pid_t sender = received_.sender ? received_.sender->pid : 0;
  // The kernel knows no sender of what was sent before anybody asked for senders: a Hello from a time when
  // the listening socket had no SO_PASSCRED. It is believed once it has echoed a nonce, which has a sender.
  const bool unknown_at_first = sender == 0 && connection->phase == Phase::hello;
  if (sender != connection->peer.pid && !unknown_at_first) {
    // Lanes and leases hang on the pidfd of whoever connected: an heir of the socket must not get more of
    // them.
    return close_with(connection, errc::forked,
                      "process " + std::to_string(sender) + " speaks on a connection that process " +
                          std::to_string(connection->peer.pid) + " opened: a forked child must connect anew");
  }
  control::RequestMessage message;
  try {
    message = control::decode_request(received_.bytes);
  } catch (const Error& error) {
    ++counters.bad_messages;
    return close_with(connection, error.error(), error.sentence());
  }
  ++counters.requests;
  if (unknown_at_first) connection->process.needs_nonce = true;
  if (std::holds_alternative<control::Hello>(message.body)) return hello(connection, std::move(message));
  if (const auto* answer = std::get_if<control::ChallengeAnswer>(&message.body)) {
    return challenge_answered(connection, message.id, answer->nonce);
  }
  if (connection->phase != Phase::open) {
    ++counters.bad_messages;
    return close_with(connection, errc::bad_message,
                      "the first message must be Hello, not " + std::string(control::name_of(message.body)));
  }
  if (std::holds_alternative<control::Goodbye>(message.body)) return goodbye(connection, message.id);
  dispatch(connection, message);
}

void Server::State::dispatch(const ConnectionPtr& connection, const control::RequestMessage& message) {
  const Session* session = sessions.find(*connection->session);
  if (session == nullptr) return;
  try {
    AnyAnswer answer = std::visit(Ask(handler_, session->info), message.body);
    if (!control::fds_fit(answer.body, answer.fds.size())) {
      throw Error(errc::io, "the daemon answered with " + std::to_string(answer.fds.size()) + " descriptors");
    }
    if (connection->phase == Phase::closed) return;
    if (!answer.fds.empty() && !fds_may_go(*connection, answer.fds.size())) {
      throw Error(errc::limit_reached, "uid " + std::to_string(connection->peer.uid) + " leaves more than " +
                                           std::to_string(unread.most_per_uid()) +
                                           " descriptors unread that the daemon sent it");
    }
    reply(connection, message.id, answer.body, std::move(answer.fds), std::move(answer.owned));
  } catch (const Error& error) {
    ++counters.errors;
    reply(connection, message.id, control::ErrorReply{error.error(), error.sentence()});
  } catch (const std::exception& error) {
    ++counters.errors;
    const std::string sentence =
        "the daemon failed at " + std::string(control::name_of(message.body)) + ": " + error.what();
    report(sentence);
    reply(connection, message.id, control::ErrorReply{errc::io, sentence});
  }
}

// ---- sending

void Server::State::reply(const ConnectionPtr& connection, std::uint32_t id, const control::Reply& body,
                          std::vector<int> fds, std::vector<Fd> owned) {
  send(connection, {control::encode_reply(id, body), std::move(fds), std::move(owned)});
}

void Server::State::send(const ConnectionPtr& connection, Outgoing message) {
  if (connection->phase == Phase::closed) return;
  const Transfer sent = connection->send(std::move(message));
  if (sent == Transfer::closed) return close(connection);
  if (sent == Transfer::fds_in_flight) {
    throw Error(errc::limit_reached, "too many descriptors that the daemon sent to its clients lie unread");
  }
}

void Server::State::show_interest(const ConnectionPtr& connection) {
  const std::uint32_t wanted = connection->waiting_output() > 0 ? std::uint32_t{EPOLLOUT}
                               : connection->parked             ? 0U
                                                                : std::uint32_t{EPOLLIN};
  if (wanted == connection->interest) return;
  loop.change(connection->socket(), wanted);
  connection->interest = wanted;
}

// ---- parking

/// The kernel tells nobody that a peer has emptied its socket: those few that let descriptors pile up are
/// asked at intervals.
void Server::State::park(const ConnectionPtr& connection) {
  connection->parked = true;
  parked_.emplace(connection->number, connection);
  run_while(parked_timer_, true, kParkedTick, &State::look_at_parked);
}

void Server::State::look_at_parked() {
  const auto all = parked_;  // serve() changes the original
  for (const auto& [number, connection] : all) {
    connection->refresh_unread();
    if (connection->unread_fds() >= limits::kFdsPerMessage) continue;
    connection->parked = false;
    parked_.erase(number);
    serve(connection, 0);
  }
  run_while(parked_timer_, !parked_.empty(), kParkedTick, &State::look_at_parked);
}

}  // namespace busway::daemon
