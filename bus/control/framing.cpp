#include "bus/control/framing.hpp"

#include <algorithm>
#include <climits>
#include <cstring>

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace busway::control {
namespace {

/// The kernel passes at most this many descriptors with a message (SCM_MAX_FD). With room for all of them
/// MSG_CTRUNC can only mean that this process may not open more.
constexpr std::size_t kKernelFdsMost = 253;
static_assert(limits::kFdsPerMessage < kKernelFdsMost);

constexpr std::size_t kCredentialSpace = CMSG_SPACE(sizeof(ucred));
constexpr std::size_t kFdSpace = CMSG_SPACE(kKernelFdsMost * sizeof(int));

struct ControlBuffer {
  alignas(cmsghdr) char bytes[kCredentialSpace + kFdSpace];
};

/// poll(2)'s timeout for what is left of a deadline, rounded up so that it does not spin at the end.
int poll_timeout(const Deadline& deadline) {
  const std::chrono::nanoseconds left = deadline.left();
  if (left == std::chrono::nanoseconds::max()) return -1;
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  return static_cast<int>(std::min<std::int64_t>(ms, INT_MAX));
}

/// False once the deadline has passed.
bool wait_for(int socket, short events, const Deadline& deadline) {
  for (;;) {
    pollfd entry{.fd = socket, .events = events, .revents = 0};
    const int ready = ::poll(&entry, 1, poll_timeout(deadline));
    if (ready > 0) return true;
    if (ready == 0 && deadline.passed()) return false;
    if (ready < 0 && errno != EINTR) throw_errno("poll of the control socket");
  }
}

void put_fds(msghdr& header, ControlBuffer& buffer, std::span<const int> fds) {
  if (fds.empty()) return;
  header.msg_control = buffer.bytes;
  header.msg_controllen = CMSG_SPACE(fds.size_bytes());
  cmsghdr* part = CMSG_FIRSTHDR(&header);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(fds.size_bytes());
  std::memcpy(CMSG_DATA(part), fds.data(), fds.size_bytes());
}

void take_fds(const cmsghdr& part, const unsigned char* data, std::vector<Fd>& fds) {
  const std::size_t count = (part.cmsg_len - CMSG_LEN(0)) / sizeof(int);
  // Room first: once a number is read from the buffer nothing may throw before an Fd owns it.
  fds.reserve(fds.size() + count);
  for (std::size_t i = 0; i < count; ++i) {
    int fd = -1;
    std::memcpy(&fd, data + i * sizeof(int), sizeof(int));
    fds.emplace_back(fd);
  }
}

void take_control(msghdr& header, Received& into) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET) continue;
    if (part->cmsg_type == SCM_RIGHTS) take_fds(*part, CMSG_DATA(part), into.fds);
    if (part->cmsg_type == SCM_CREDENTIALS && part->cmsg_len >= CMSG_LEN(sizeof(ucred))) {
      ucred credentials{};
      std::memcpy(&credentials, CMSG_DATA(part), sizeof(credentials));
      into.sender = Sender{credentials.pid, credentials.uid, credentials.gid};
    }
  }
}

Transfer send_error(int error) {
  switch (error) {
    case EAGAIN:
      return Transfer::would_block;
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN:
      return Transfer::closed;
    case ETOOMANYREFS:
      return Transfer::fds_in_flight;
    default:
      throw_errno("sending on the control socket", error);
  }
}

Transfer receive_error(int error) {
  switch (error) {
    case EAGAIN:
      return Transfer::would_block;
    case ECONNRESET:
    case ENOTCONN:
      return Transfer::closed;
    default:
      throw_errno("receiving from the control socket", error);
  }
}

}  // namespace

Transfer try_send(int socket, std::span<const std::byte> message, std::span<const int> fds) {
  if (fds.size() > limits::kFdsPerMessage || message.empty() ||
      message.size() > limits::kControlMessageMost) {
    throw Error(errc::usage, "a control message of " + std::to_string(message.size()) + " bytes with " +
                                 std::to_string(fds.size()) + " descriptors");
  }
  // sendmsg does not write through iov_base; its type only cannot say so.
  iovec part{const_cast<std::byte*>(message.data()), message.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  ControlBuffer buffer{};
  put_fds(header, buffer, fds);
  ssize_t sent = -1;
  do {
    sent = ::sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? send_error(errno) : Transfer::done;
}

Transfer try_receive(int socket, Received& into, std::size_t fds_most) {
  into.fds.clear();
  into.sender.reset();
  into.bytes.resize(limits::kControlMessageMost);
  iovec part{into.bytes.data(), into.bytes.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  ControlBuffer buffer;  // the kernel fills what it reports in msg_controllen
  header.msg_control = buffer.bytes;
  header.msg_controllen = fds_most == 0 ? kCredentialSpace : sizeof(buffer.bytes);
  ssize_t got = -1;
  do {
    got = ::recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got <= 0) into.bytes.clear();
  if (got < 0) return receive_error(errno);
  take_control(header, into);
  into.bytes.resize(static_cast<std::size_t>(got));
  const bool control_cut = (header.msg_flags & MSG_CTRUNC) != 0;
  const bool too_many = into.fds.size() > fds_most || (control_cut && fds_most == 0);
  if (too_many || control_cut) into.fds.clear();  // half a set means nothing
  if ((header.msg_flags & MSG_TRUNC) != 0) return Transfer::too_long;
  if (too_many) return Transfer::too_many_fds;
  if (control_cut) return Transfer::no_descriptors;
  // An empty message is how SOCK_SEQPACKET reports the end; nobody of ours sends one.
  return got == 0 ? Transfer::closed : Transfer::done;
}

Transfer send(int socket, std::span<const std::byte> message, std::span<const int> fds,
              const Deadline& deadline) {
  for (;;) {
    const Transfer result = try_send(socket, message, fds);
    if (result != Transfer::would_block || !wait_for(socket, POLLOUT, deadline)) return result;
  }
}

Transfer receive(int socket, Received& into, std::size_t fds_most, const Deadline& deadline) {
  for (;;) {
    const Transfer result = try_receive(socket, into, fds_most);
    if (result != Transfer::would_block || !wait_for(socket, POLLIN, deadline)) return result;
  }
}

std::size_t unread_by_peer(int socket) {
  int bytes = 0;
  check_errno(::ioctl(socket, SIOCOUTQ, &bytes), "SIOCOUTQ of the control socket");
  return static_cast<std::size_t>(bytes);
}

}  // namespace busway::control
