// What the keeper does once, before it starts the first worker: lock the data directory, listen, remember
// where the service manager is. May allocate and throw; nothing here is used afterwards but the results.
#pragma once

#include <string>
#include <string_view>

#include <sys/socket.h>
#include <sys/un.h>

#include "bus/base/fd.hpp"

namespace busway::daemon {

/// Creates the data directory (0750) when missing and takes its lock, which is held while any duplicate of
/// the descriptor is open: the worker's too. Waits up to 30 s for the worker of a keeper that died to finish
/// draining. Throws errc::data_dir_in_use naming the process, errc::io.
Fd lock_data_dir(const std::string& data_dir);

/// The control socket: listening, non-blocking. Its name goes away with this object.
class ControlSocket {
 public:
  /// Throws errc::limit_reached when another daemon listens there, errc::io (also for a directory that others
  /// could put a socket of their own into).
  ControlSocket(const std::string& path, mode_t mode);
  ControlSocket(const ControlSocket&) = delete;
  ControlSocket& operator=(const ControlSocket&) = delete;
  ~ControlSocket();

  int fd() const noexcept { return listener_.get(); }

 private:
  std::string path_;
  Fd lock_;  ///< of path + ".lock": whoever has it may replace the socket's name
  Fd listener_;
};

/// The service manager's socket (sd_notify(3)), written to without allocating, which libsystemd does not
/// promise.
class ServiceManager {
 public:
  /// Reads $NOTIFY_SOCKET; without one, send() does nothing.
  ServiceManager();
  void send(std::string_view lines) const noexcept;

 private:
  Fd socket_;
  sockaddr_un address_{};
  socklen_t address_bytes_ = 0;
};

}  // namespace busway::daemon
