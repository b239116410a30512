// Opening one connection to the daemon: connect, check who listens. Private to this room.
#pragma once

#include <string>

#include "bus/base/clock.hpp"
#include "bus/base/fd.hpp"

namespace busway::control::detail {

/// A connected socket whose owner is trusted. Waits while the daemon's backlog is full. Throws
/// errc::no_daemon naming path, BUSWAY_SOCKET and how to start buswayd; errc::access_denied;
/// errc::wrong_socket_owner; errc::deadline_exceeded.
Fd connect_to(const std::string& path, const Deadline& deadline);

}  // namespace busway::control::detail
