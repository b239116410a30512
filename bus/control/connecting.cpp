#include "bus/control/connecting.hpp"

#include <cstring>
#include <thread>

#include <sys/socket.h>
#include <sys/un.h>

#include "bus/control/socket_owner.hpp"

namespace busway::control::detail {
namespace {

[[noreturn]] void refuse(const std::string& path, int error) {
  if (error == EACCES || error == EPERM) {
    throw Error(errc::access_denied,
                "no permission to connect to the daemon's socket " + path +
                    ": ask for the group busway, or see the setting socket.mode of buswayd");
  }
  const char* why = error == EPROTOTYPE ? "what listens there is no Busway daemon"
                    : error == ENOENT   ? "there is no such socket"
                                        : "nothing listens there";
  throw Error(errc::no_daemon, "no Busway daemon at " + path + ": " + why +
                                   "; start one with `buswayd` (or `systemctl start busway`), or set "
                                   "BUSWAY_SOCKET to the socket of a running one");
}

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    throw Error(errc::no_daemon, "the socket's path \"" + path + "\" has " + std::to_string(path.size()) +
                                     " bytes; 1 to " + std::to_string(sizeof(address.sun_path) - 1) +
                                     " are possible: set BUSWAY_SOCKET to another one");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

}  // namespace

Fd connect_to(const std::string& path, const Deadline& deadline) {
  const sockaddr_un address = address_of(path);
  Fd socket(check_errno(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket"));
  while (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    if (errno == EINTR) continue;
    if (errno != EAGAIN) refuse(path, errno);
    // EAGAIN: the backlog is full. The kernel offers nothing to wait on for that.
    if (deadline.passed()) {
      throw Error(errc::deadline_exceeded,
                  "the daemon at " + path + " did not accept the connection in time");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  check_socket_owner(socket.get(), path);
  return socket;
}

}  // namespace busway::control::detail
