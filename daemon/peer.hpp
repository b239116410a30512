// Who is at the other end of a connection: credentials by the kernel, and a pidfd, so that a process is never
// told from another by its pid alone.
//
// Thread safety: plain functions and values.
#pragma once

#include <cstdint>
#include <vector>

#include <sys/types.h>

#include "bus/base/fd.hpp"

namespace busway::daemon {

struct PeerCredentials {
  uid_t uid = 0;
  gid_t gid = 0;
  pid_t pid = 0;
  std::vector<gid_t> groups;  ///< the primary one included
};

/// Of the process that connected (SO_PEERCRED, SO_PEERGROUPS). Throws errc::io.
PeerCredentials peer_credentials(int socket);

struct PeerProcess {
  Fd pidfd;
  /// The pidfd was opened by pid: somebody else could have got that pid meanwhile, so the peer must echo a
  /// nonce before it is believed. Also set when its Hello came without its sender's credentials.
  bool needs_nonce = false;
};

/// Has the kernel name the sender with every message (SO_PASSCRED). To be set on a listening socket before it
/// listens: what is accepted inherits it, so that no message can arrive before it is set.
void ask_for_senders(int socket);

/// The process that connected: SO_PEERPIDFD, or pidfd_open where the kernel (< 6.5) has none. An empty pidfd:
/// it has ended. Throws errc::limit_reached without room for a descriptor.
PeerProcess peer_process(int socket, pid_t pid, bool allow_peerpidfd = true);

/// Whether the process has ended.
bool process_ended(int pidfd) noexcept;

/// 64 unpredictable bits, never 0.
std::uint64_t random_token();

}  // namespace busway::daemon
