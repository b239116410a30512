#include "daemon/peer.hpp"

#include <algorithm>

#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>

// glibc 2.36 has no name for it yet; linux/socket.h's number on every architecture that Linux added it to.
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

namespace busway::daemon {
namespace {

/// SO_PEERGROUPS: the supplementary groups. The kernel says how many when the room does not suffice.
std::vector<gid_t> supplementary_groups(int socket) {
  std::vector<gid_t> groups(32);
  for (;;) {
    auto bytes = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &bytes) == 0) {
      groups.resize(bytes / sizeof(gid_t));
      return groups;
    }
    if (errno == ENODATA) return {};
    if (errno != ERANGE || bytes <= groups.size() * sizeof(gid_t)) throw_errno("SO_PEERGROUPS");
    groups.resize(bytes / sizeof(gid_t));
  }
}

[[noreturn]] void no_room_for_pidfd() {
  throw Error(
      errc::limit_reached,
      "the daemon has no descriptors left: raise its limit of open files (LimitNOFILE= of the service)");
}

bool out_of_descriptors(int error) noexcept { return error == EMFILE || error == ENFILE; }

int pidfd_open(pid_t pid) { return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)); }

}  // namespace

PeerCredentials peer_credentials(int socket) {
  ucred peer{};
  socklen_t bytes = sizeof(peer);
  check_errno(::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &bytes), "SO_PEERCRED");
  PeerCredentials credentials{.uid = peer.uid, .gid = peer.gid, .pid = peer.pid, .groups = {}};
  credentials.groups = supplementary_groups(socket);
  if (std::find(credentials.groups.begin(), credentials.groups.end(), peer.gid) == credentials.groups.end()) {
    credentials.groups.push_back(peer.gid);
  }
  return credentials;
}

void ask_for_senders(int socket) {
  const int on = 1;
  check_errno(::setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), "SO_PASSCRED");
}

PeerProcess peer_process(int socket, pid_t pid, bool allow_peerpidfd) {
  PeerProcess process;
  if (allow_peerpidfd) {
    int fd = -1;
    socklen_t bytes = sizeof(fd);
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &fd, &bytes) == 0) {
      process.pidfd.reset(fd);  // the kernel sets close-on-exec on it
      return process;
    }
    if (out_of_descriptors(errno)) no_room_for_pidfd();
    // Not known to this kernel, or not possible for a process that was reaped: the other way tells.
  }
  process.needs_nonce = true;
  process.pidfd.reset(pidfd_open(pid));
  if (!process.pidfd && out_of_descriptors(errno)) no_room_for_pidfd();
  if (!process.pidfd && errno != ESRCH) throw_errno("pidfd_open");
  return process;
}

bool process_ended(int pidfd) noexcept {
  pollfd entry{.fd = pidfd, .events = POLLIN, .revents = 0};
  int ready = -1;
  do {
    ready = ::poll(&entry, 1, 0);
  } while (ready < 0 && errno == EINTR);
  return ready > 0;
}

std::uint64_t random_token() {
  std::uint64_t token = 0;
  while (token == 0) {
    if (::getrandom(&token, sizeof(token), 0) != static_cast<ssize_t>(sizeof(token)))
      throw_errno("getrandom");
  }
  return token;
}

}  // namespace busway::daemon
