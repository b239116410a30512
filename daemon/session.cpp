#include "daemon/session.hpp"

#include <algorithm>

#include <fcntl.h>
#include <sys/socket.h>

namespace busway::daemon {

using control::Transfer;

// ---- unread descriptors

bool UnreadFds::room(uid_t uid, std::size_t fds) const noexcept {
  const auto found = by_uid_.find(uid);
  return fds + (found == by_uid_.end() ? 0 : found->second) <= most_per_uid_;
}

void UnreadFds::remove(uid_t uid, std::size_t fds) noexcept {
  const auto found = by_uid_.find(uid);
  if (found == by_uid_.end()) return;
  found->second -= std::min(found->second, fds);
  if (found->second == 0) by_uid_.erase(found);
}

// ---- connections

Connection::Connection(Fd socket, PeerCredentials credentials, PeerProcess peer_process, UnreadFds& unread,
                       std::uint64_t order)
    : peer(std::move(credentials)),
      number(order),
      process(std::move(peer_process)),
      socket_(std::move(socket)),
      unread_(unread) {}

Transfer Connection::send(Outgoing message) {
  if (output_.empty()) {
    const Transfer sent = put(message);
    if (sent != Transfer::would_block) return sent;
  }
  // Borrowed descriptors may be closed before there is room: keep duplicates.
  std::vector<Fd> own;
  for (int& fd : message.fds) {
    own.emplace_back(check_errno(::fcntl(fd, F_DUPFD_CLOEXEC, 0), "F_DUPFD_CLOEXEC"));
    fd = own.back().get();
  }
  message.owned = std::move(own);
  output_.push_back(std::move(message));
  return Transfer::done;
}

Transfer Connection::flush() {
  while (!output_.empty()) {
    const Transfer sent = put(output_.front());
    if (sent != Transfer::done) return sent;
    output_.pop_front();
  }
  return Transfer::done;
}

Transfer Connection::put(Outgoing& message) {
  const Transfer sent = control::try_send(socket_.get(), message.bytes, message.fds);
  if (sent == Transfer::done) {
    unread_fds_ += message.fds.size();
    unread_.add(peer.uid, message.fds.size());
  }
  return sent;
}

void Connection::refresh_unread() {
  if (unread_fds_ == 0 && unread_offers_ == 0) return;
  if (control::unread_by_peer(socket_.get()) == 0) count_nothing();
}

void Connection::count_nothing() noexcept {
  unread_.remove(peer.uid, unread_fds_);
  unread_fds_ = unread_offers_ = 0;
}

void Connection::close() noexcept {
  phase = Phase::closed;
  output_.clear();
  if (lingers()) {
    ::shutdown(socket_.get(), SHUT_RDWR);
  } else {
    socket_.reset();
  }
}

bool Connection::lingers() noexcept {
  if (!socket_) return false;
  try {
    refresh_unread();
  } catch (const Error&) {
    count_nothing();  // it cannot be asked any more
  }
  return unread_fds_ > 0;
}

Connection::~Connection() { count_nothing(); }

// ---- sessions

std::string printable(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < 0x20 || c > 0x7E; }, '?');
  return text;
}

std::uint32_t SessionTable::free_number(uid_t uid, std::uint32_t most, std::uint32_t most_per_uid) {
  if (sessions_.size() >= most) {
    throw Error(errc::limit_reached, "the daemon has " + std::to_string(sessions_.size()) +
                                         " sessions, its limit: end a client or raise sessions.max");
  }
  const auto own = std::count_if(sessions_.begin(), sessions_.end(),
                                 [uid](const auto& entry) { return entry.second->info.peer.uid == uid; });
  if (own >= static_cast<std::ptrdiff_t>(most_per_uid)) {
    throw Error(errc::limit_reached, "uid " + std::to_string(uid) + " has " + std::to_string(own) +
                                         " sessions with the daemon, its limit: end a client or raise "
                                         "sessions.per.uid.max");
  }
  while (sessions_.contains(next_ % most)) ++next_;
  return next_++ % most;
}

Session& SessionTable::insert(SessionInfo info, Fd pidfd) {
  const std::uint32_t number = info.number;
  info.pidfd = pidfd.get();
  auto session = std::make_unique<Session>(Session{std::move(info), std::move(pidfd), {}});
  const auto [at, fresh] = sessions_.emplace(number, std::move(session));
  if (!fresh) throw Error(errc::usage, "session " + std::to_string(number) + " exists already");
  return *at->second;
}

Session* SessionTable::find(std::uint32_t number) noexcept {
  const auto found = sessions_.find(number);
  return found == sessions_.end() ? nullptr : found->second.get();
}

Session* SessionTable::find_own(const control::PreviousSession& previous,
                                const PeerCredentials& peer) noexcept {
  Session* session = find(previous.session);
  if (session == nullptr || session->info.token != previous.token) return nullptr;
  // The pid names the same process: the session's is still alive, so nobody else can have its pid.
  if (session->info.peer.pid != peer.pid || session->info.peer.uid != peer.uid) return nullptr;
  return process_ended(session->pidfd.get()) ? nullptr : session;
}

}  // namespace busway::daemon
