// Making the listening socket.
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "daemon/peer.hpp"
#include "daemon/server.hpp"

namespace busway::daemon {
namespace {

constexpr int kBacklog = 1024;  // the kernel caps it at net.core.somaxconn

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    throw Error(errc::invalid_setting, "the socket's path \"" + path + "\" has " +
                                           std::to_string(path.size()) + " bytes; 1 to " +
                                           std::to_string(sizeof(address.sun_path) - 1) +
                                           " are possible: set socket.path or BUSWAY_SOCKET to another one");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

/// Whether somebody accepts connections there.
bool somebody_listens(const sockaddr_un& address) {
  const Fd probe(check_errno(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket"));
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) return true;
  return errno == EAGAIN || errno == EPROTOTYPE;
}

void remove_dead_socket(const std::string& path, const sockaddr_un& address) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return;
  if (!S_ISSOCK(status.st_mode)) {
    throw Error(errc::io,
                path + " is no socket: remove it, or set socket.path or BUSWAY_SOCKET to another path");
  }
  if (somebody_listens(address)) {
    throw Error(errc::limit_reached, "another daemon listens on " + path +
                                         ": stop it, or set socket.path or BUSWAY_SOCKET to another path");
  }
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) throw_errno("removing the dead socket " + path);
}

}  // namespace

Fd listen_on(const std::string& path, mode_t mode) {
  const sockaddr_un address = address_of(path);
  const std::filesystem::path directory = std::filesystem::path(path).parent_path();
  std::error_code error;
  if (!directory.empty() && std::filesystem::create_directories(directory, error) && !error) {
    check_errno(::chmod(directory.c_str(), 0755),
                "chmod of the socket's directory");  // whatever the umask is
  }
  if (error)
    throw Error(errc::io, "cannot make the directory " + directory.string() + ": " + error.message());
  remove_dead_socket(path, address);
  Fd socket(check_errno(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket"));
  ask_for_senders(socket.get());
  // The mode before bind (Linux gives the file the socket's own mode), so that there is no moment with
  // another.
  check_errno(::fchmod(socket.get(), mode), "fchmod of the socket");
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    throw_errno("cannot listen on " + path);
  }
  if (::chmod(path.c_str(), mode) != 0) throw_errno("chmod of " + path);  // the umask has cut the mode
  check_errno(::listen(socket.get(), kBacklog), "listen");
  return socket;
}

}  // namespace busway::daemon
