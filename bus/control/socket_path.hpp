// Where the control socket lies: the one rule that the daemon and its clients share.
#pragma once

#include <string>

namespace busway::control {

enum class SocketUse { listen, connect };

/// The first of these that holds:
///   1. the environment variable BUSWAY_SOCKET, if it is set and not empty;
///   2. $XDG_RUNTIME_DIR/busway/busway.sock, if XDG_RUNTIME_DIR is an absolute path, and, to connect, if a
///      socket lies there (to listen: always);
///   3. unless we are root, /tmp/busway-<uid>/busway.sock: to listen always, to connect if a socket lies
///   there;
///   4. /run/busway/busway.sock.
/// A path given on a command line or in a configuration file comes before all of them and is the caller's
/// matter. Whom a client finds there is checked by the uid of the process that listens, not by the path.
std::string default_socket_path(SocketUse use);

}  // namespace busway::control
