// The pid in a lock file: for whoever is refused, and to tell a dead holder from a live one. The lock itself
// is flock's.
#pragma once

#include <string>

#include <sys/types.h>

namespace busway::daemon {

/// The process that wrote its number into a lock file, 0 when there is none to be read.
pid_t recorded_pid(int fd) noexcept;

/// Writes our own. A full disk keeps nobody from starting: then what was there stays. `path` is for the
/// error; throws errc::io.
void record_pid(int fd, const std::string& path);

}  // namespace busway::daemon
