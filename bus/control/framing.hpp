// One message and its descriptors at a time over a SOCK_SEQPACKET Unix socket.
//
// Invariants: a received message is whole or is reported as not whole; a received descriptor is owned from
// the moment recvmsg returns and has close-on-exec set; the sender's credentials are the kernel's word. The
// sockets are used without blocking whatever their mode; deadlines are waited for with poll(2).
//
// Thread safety: functions without state; the kernel serialises messages on one socket.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include <sys/types.h>

#include "bus/base/clock.hpp"
#include "bus/base/fd.hpp"
#include "bus/base/limits.hpp"

namespace busway::control {

enum class [[nodiscard]] Transfer{
    done,
    would_block,     ///< nothing to read, or no room to write, before the deadline
    closed,          ///< the peer is gone
    too_long,        ///< the message was longer than limits::kControlMessageMost; it is lost
    too_many_fds,    ///< more descriptors than were asked for; all of them are closed
    no_descriptors,  ///< this process has no room for the descriptors (RLIMIT_NOFILE); they are lost
    fds_in_flight,   ///< sending: too many sent descriptors of this uid are still unread (ETOOMANYREFS)
};

/// Who sent a message, by the kernel (SO_PASSCRED must be set on the receiving socket).
struct Sender {
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
};

struct Received {
  std::vector<std::byte> bytes;
  std::vector<Fd> fds;
  std::optional<Sender> sender;
};

/// Sends without waiting. `fds`: borrowed, at most limits::kFdsPerMessage. Throws errc::io for what no peer
/// can cause.
Transfer try_send(int socket, std::span<const std::byte> message, std::span<const int> fds);

/// Receives without waiting; overwrites `into`. With fds_most = 0 on a socket with SO_PASSCRED the kernel
/// never even installs a descriptor.
Transfer try_receive(int socket, Received& into, std::size_t fds_most);

/// The same, waiting for room or for a message until the deadline.
Transfer send(int socket, std::span<const std::byte> message, std::span<const int> fds,
              const Deadline& deadline);
Transfer receive(int socket, Received& into, std::size_t fds_most, const Deadline& deadline);

/// Bytes sent on this socket that the peer has not read yet, the kernel's overhead included; 0 = all is read.
std::size_t unread_by_peer(int socket);

}  // namespace busway::control
