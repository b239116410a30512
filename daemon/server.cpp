#include "daemon/server.hpp"

#include "daemon/server_state.hpp"

namespace busway::daemon {

Server::Server(Fd listener, RequestHandler& handler, ServerOptions options)
    : state_(std::make_unique<State>(std::move(listener), handler, std::move(options))) {}

Server::~Server() = default;

bool Server::run_once(std::chrono::milliseconds timeout) { return state_->loop.run_once(timeout); }

void Server::adopt_session(KnownSession session) { state_->adopt(std::move(session)); }

bool Server::notify(std::uint32_t session, const control::Notice& notice, int fd) {
  return state_->notify(session, notice, fd);
}

void Server::notify_all(const control::Notice& notice) {
  for (const auto& [number, session] : state_->sessions.all()) state_->notify(number, notice, -1);
}

const SessionInfo* Server::find_session(std::uint32_t number) const noexcept {
  const Session* session = state_->sessions.find(number);
  return session == nullptr ? nullptr : &session->info;
}

std::vector<const SessionInfo*> Server::sessions() const {
  std::vector<const SessionInfo*> all;
  for (const auto& [number, session] : state_->sessions.all()) all.push_back(&session->info);
  return all;
}

void Server::evict(std::uint32_t number, errc code, const std::string& sentence) {
  const Session* session = state_->sessions.find(number);
  if (session != nullptr && session->connection) state_->close_with(session->connection, code, sentence);
}

void Server::stop_accepting() {
  state_->stop_accepting();
  notify_all(control::Stopping{});
}

void Server::set_limits(const ServerLimits& limits) { state_->options.limits = limits; }

void Server::post(std::function<void()> work) { state_->loop.post(std::move(work)); }
void Server::wake() noexcept { state_->loop.wake(); }

TimerId Server::add_timer(std::chrono::milliseconds interval, std::function<void()> work, bool once) {
  return state_->loop.add_timer(interval, std::move(work), once);
}
void Server::cancel_timer(TimerId timer) noexcept { state_->loop.cancel_timer(timer); }

void Server::watch(int fd, std::function<void()> work) {
  state_->loop.watch(fd, EPOLLIN, [work = std::move(work)](std::uint32_t) { work(); });
}
void Server::unwatch(int fd) noexcept { state_->loop.unwatch(fd); }

Server::Counters Server::counters() const noexcept {
  Counters counters = state_->counters;
  counters.sessions = state_->sessions.all().size();
  for (const auto& [number, session] : state_->sessions.all()) {
    if (!session->connection) ++counters.detached;
  }
  return counters;
}

}  // namespace busway::daemon
