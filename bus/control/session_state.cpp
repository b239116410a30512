#include "bus/control/session_state.hpp"

#include <algorithm>
#include <cerrno>
#include <thread>

#include "bus/control/connecting.hpp"
#include "bus/control/socket_path.hpp"

namespace busway::control {
namespace {

std::string program_name(const std::string& given) {
  std::string name = given.empty() ? program_invocation_short_name : given;
  if (name.size() > kProgramTextMost) name.resize(kProgramTextMost);
  return name;
}

/// Errors that a daemon which is just being restarted can cause.
bool may_pass(errc code) noexcept {
  return code == errc::no_daemon || code == errc::limit_reached || code == errc::stopped;
}

}  // namespace

// ---- turns

ClientSession::State::Turn::Turn(State& state, const Deadline& deadline) : state_(state) {
  std::unique_lock lock(state_.mutex_);
  while (state_.turn_taken_) {
    const std::chrono::nanoseconds left = deadline.left();
    if (left == std::chrono::nanoseconds::max()) {
      state_.turn_free_.wait(lock);
    } else if (left == std::chrono::nanoseconds::zero()) {
      throw Error(errc::deadline_exceeded,
                  "other threads' requests to " + state_.peer() + " took longer than this request may");
    } else {
      state_.turn_free_.wait_for(lock, left);
    }
  }
  state_.turn_taken_ = held_ = true;
}

ClientSession::State::Turn::Turn(State& state) : state_(state) {
  const std::lock_guard lock(state_.mutex_);
  if (!state_.turn_taken_) state_.turn_taken_ = held_ = true;
}

ClientSession::State::Turn::~Turn() {
  if (!held_) return;
  {
    const std::lock_guard lock(state_.mutex_);
    state_.turn_taken_ = false;
  }
  state_.turn_free_.notify_one();
}

// ---- connecting

ClientSession::State::State(SessionOptions options, const Deadline& deadline)
    : options_(std::move(options)),
      path_(options_.socket.empty() ? default_socket_path(SocketUse::connect) : options_.socket) {
  first_ = open_first(deadline);
}

Connection ClientSession::State::open(const Deadline& deadline) {
  drop_connection();
  closing_reason_.reset();
  socket_ = detail::connect_to(path_, deadline);
  Connection connection;
  try {
    Answered<Reply> answer = say_hello(deadline);
    auto* welcome = std::get_if<Welcome>(&answer.body);
    if (welcome == nullptr) garbled("Hello answered with " + std::string(name_of(answer.body)));
    connection.welcome = std::move(*welcome);
    connection.bells = std::move(answer.fds.at(0));
  } catch (...) {
    drop_connection();
    throw;
  }
  if (welcome_) {
    connection.continuity = welcome_->instance != connection.welcome.instance ? Continuity::other_instance
                            : connection.welcome.resumed                      ? Continuity::resumed
                                                                              : Continuity::new_session;
  }
  welcome_ = connection.welcome;
  fd_.store(socket_.get(), std::memory_order_release);
  connections_.fetch_add(1, std::memory_order_release);
  connected_.store(true, std::memory_order_release);  // pairs with connected()
  return connection;
}

Answered<Reply> ClientSession::State::say_hello(const Deadline& deadline) {
  Hello hello{.client_version = options_.client_version, .program = program_name(options_.program)};
  if (welcome_) hello.previous = PreviousSession{welcome_->session, welcome_->token};
  try {
    Answered<Reply> answer = exchange(hello, deadline);
    if (const auto* challenge = std::get_if<Challenge>(&answer.body))
      answer = exchange(ChallengeAnswer{challenge->nonce}, deadline);
    return answer;
  } catch (const Error& error) {
    if (error.error() != errc::deadline_exceeded) throw;
    // The keeper holds the socket, so a connection is made though nobody is there to answer.
    throw Error(errc::deadline_exceeded,
                peer() +
                    " took the connection but did not answer in time: its worker is stopped, or ends as "
                    "often as it is started; the daemon's log says why");
  }
}

/// A worker that dies between accepting a connection and answering Hello is replaced in a moment: to whoever
/// connects that is a pause, not an error. A peer that says why it closes, or is no daemon, is believed.
Connection ClientSession::State::open_first(const Deadline& deadline) {
  constexpr auto kReplacedWithin = std::chrono::seconds(2);
  const Deadline replaced =
      Deadline::after(std::min<std::chrono::nanoseconds>(kReplacedWithin, deadline.left()));
  return open_again(deadline, replaced, [](const Error& error) {
    return dynamic_cast<const ConnectionLost*>(&error) != nullptr;
  });
}

Connection ClientSession::State::open_patiently(const Deadline& deadline) {
  return open_again(deadline, deadline, [](const Error& error) { return may_pass(error.error()); });
}

/// Opens within `deadline`, again and again until `until` while it fails for a reason that `passes`.
template <class Passes>
Connection ClientSession::State::open_again(const Deadline& deadline, const Deadline& until, Passes passes) {
  std::chrono::nanoseconds pause = std::chrono::milliseconds(1);
  for (;;) {
    try {
      return open(deadline);
    } catch (const Error& error) {
      if (!passes(error) || until.passed()) throw;
    }
    std::this_thread::sleep_for(std::min(pause, until.left()));
    pause = std::min<std::chrono::nanoseconds>(pause * 2, std::chrono::milliseconds(100));
  }
}

void ClientSession::State::drop_connection() noexcept {
  connected_.store(false, std::memory_order_release);
  fd_.store(-1, std::memory_order_release);
  socket_.reset();
}

// ---- requests

Answered<Reply> ClientSession::State::exchange(const Request& request, const Deadline& deadline) {
  if (!socket_) lost(false);
  if (++last_id_ == 0) ++last_id_;
  const std::uint32_t id = last_id_;
  send_request(request, encode_request(id, request), deadline);
  for (;;) {
    const Transfer got = receive(socket_.get(), received_, limits::kFdsPerMessage, deadline);
    if (got == Transfer::closed) lost(true);
    if (got == Transfer::would_block) {
      throw Error(errc::deadline_exceeded,
                  peer() + " did not answer " + std::string(name_of(request)) + " in time");
    }
    if (got != Transfer::done && got != Transfer::no_descriptors) garbled("it is too long");
    std::optional<Answered<Reply>> reply = take(received_, got == Transfer::no_descriptors, id);
    if (!reply) continue;
    if (const auto* error = std::get_if<ErrorReply>(&reply->body)) throw Error(error->code, error->sentence);
    return std::move(*reply);
  }
}

void ClientSession::State::send_request(const Request& request, const Bytes& bytes,
                                        const Deadline& deadline) {
  const Transfer sent = send(socket_.get(), bytes, {}, deadline);
  if (sent == Transfer::done) return;
  if (sent == Transfer::would_block) {
    throw Error(errc::deadline_exceeded,
                peer() + " did not take the request " + std::string(name_of(request)) + " in time");
  }
  lost(false);
}

std::optional<Answered<Reply>> ClientSession::State::take(Received& received, bool fds_lost,
                                                          std::uint32_t id) {
  DaemonMessage message;
  try {
    message = decode_from_daemon(received.bytes);
  } catch (const Error& error) {
    garbled(error.sentence());
  }
  if (message.id == 0) {
    keep_notice(std::move(message.notice), std::move(received.fds), fds_lost);
    return std::nullopt;
  }
  if (message.id != id) return std::nullopt;  // its deadline has passed; its descriptors go with it
  if (fds_lost) {
    throw Error(errc::limit_reached,
                "this process has no room for the descriptors that " + peer() +
                    " sent: raise its limit of open files (ulimit -n, LimitNOFILE= of its service)");
  }
  if (!fds_fit(message.reply, received.fds.size())) {
    garbled(std::string(name_of(message.reply)) + " with " + std::to_string(received.fds.size()) +
            " descriptors");
  }
  return Answered<Reply>{std::move(message.reply), std::move(received.fds)};
}

void ClientSession::State::lost(bool sent) {
  // What the daemon said last tells why. A socket that was closed with our bytes unread reports that first,
  // so one "closed" is not yet the end.
  for (int ends = 0; socket_ && ends < 2;) {
    const Transfer got = try_receive(socket_.get(), received_, limits::kFdsPerMessage);
    if (got == Transfer::done || got == Transfer::no_descriptors) {
      take(received_, got == Transfer::no_descriptors, 0);
    } else {
      ++ends;
    }
  }
  const bool was_open = connected_.load(std::memory_order_relaxed);  // only whoever has the turn changes it
  drop_connection();
  if (closing_reason_ && !was_open) throw Error(closing_reason_->code, closing_reason_->sentence);
  if (closing_reason_) {
    throw ConnectionLost(sent, peer() + " closed the connection: " + closing_reason_->sentence);
  }
  throw ConnectionLost(sent, peer() + " closed the connection");
}

void ClientSession::State::garbled(const std::string& what) {
  drop_connection();
  throw Error(errc::bad_message, "a message of " + peer() + " does not make sense: " + what);
}

// ---- notices

void ClientSession::State::keep_notice(Notice&& notice, std::vector<Fd>&& fds, bool fds_lost) {
  if (const auto* reason = std::get_if<ErrorReply>(&notice)) {
    closing_reason_ = *reason;
    return;
  }
  if (!fds_lost && !fds_fit(notice, fds.size()))
    fds.clear();  // then it is asked for, as if it had come without
  const std::lock_guard lock(mutex_);
  notices_.push_back({std::move(notice), std::move(fds)});
}

bool ClientSession::State::read_notices() {
  if (!socket_) return false;
  for (;;) {
    const Transfer got = try_receive(socket_.get(), received_, limits::kFdsPerMessage);
    if (got == Transfer::would_block) return true;
    if (got != Transfer::done && got != Transfer::no_descriptors) break;
    try {
      take(received_, got == Transfer::no_descriptors, 0);
    } catch (const Error&) {
      break;
    }
  }
  drop_connection();
  return false;
}

void ClientSession::State::deliver() noexcept {
  const std::lock_guard one_at_a_time(delivery_);
  for (;;) {
    Told told;
    {
      const std::lock_guard lock(mutex_);
      if (notices_.empty()) return;
      told = std::move(notices_.front());
      notices_.pop_front();
    }
    if (!options_.on_notice) continue;
    try {
      options_.on_notice(std::move(told.notice), std::move(told.fds));
    } catch (const std::exception&) {
      continue;  // an offer that could not be used is asked for when it is needed
    }
  }
}

}  // namespace busway::control
