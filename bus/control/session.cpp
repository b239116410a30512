#include "bus/control/session.hpp"

#include "bus/control/session_state.hpp"

namespace busway::control {

ClientSession::ClientSession(SessionOptions options, const Deadline& deadline)
    : state_(std::make_unique<State>(std::move(options), deadline)) {}

ClientSession::~ClientSession() = default;

Connection ClientSession::take_connection() {
  const State::Turn turn(*state_, Deadline::never());
  if (!state_->first_) throw Error(errc::usage, "the session's first connection was taken already");
  Connection connection = std::move(*state_->first_);
  state_->first_.reset();
  return connection;
}

Answered<Reply> ClientSession::exchange(const Request& request, const Deadline& deadline) {
  state_->mark_.check();
  // Notices that came first are handed on even when the request fails.
  struct Delivery {
    State& state;
    ~Delivery() { state.deliver(); }
  } const delivery{*state_};
  const State::Turn turn(*state_, deadline);
  return state_->exchange(request, deadline);
}

void ClientSession::unexpected_reply(const Request& request, const Reply& reply) {
  throw Error(errc::bad_message, state_->peer() + " answered " + std::string(name_of(request)) + " with " +
                                     std::string(name_of(reply)));
}

bool ClientSession::drain_notices() {
  state_->mark_.check();
  bool intact = false;
  {
    const State::Turn turn(*state_);
    if (turn.held()) intact = state_->read_notices();
  }
  state_->deliver();
  return intact;
}

bool ClientSession::connected() const noexcept {
  return state_->connected_.load(std::memory_order_acquire);  // pairs with the stores in State
}

std::optional<Connection> ClientSession::reconnect(std::uint64_t seen, const Deadline& deadline,
                                                   Attempts attempts) {
  state_->mark_.check();
  const State::Turn turn(*state_, deadline);
  if (connections() != seen) return std::nullopt;
  return attempts == Attempts::one ? state_->open(deadline) : state_->open_patiently(deadline);
}

std::uint64_t ClientSession::connections() const noexcept {
  return state_->connections_.load(std::memory_order_acquire);  // pairs with the store in State::open
}

void ClientSession::goodbye(const Deadline& deadline) noexcept {
  try {
    if (connected()) request(Goodbye{}, deadline);
  } catch (const std::exception&) {
    // The daemon learns of this process's end in any case.
    return;
  }
}

int ClientSession::fd() const noexcept { return state_->fd_.load(std::memory_order_acquire); }

const std::string& ClientSession::socket_path() const noexcept { return state_->path_; }

}  // namespace busway::control
