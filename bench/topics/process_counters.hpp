// What processes cost, read from /proc: processor time of all their threads, and the shared memory that one
// holds open.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <sys/types.h>

namespace busway::bench {

/// A process and its descendants.
std::vector<pid_t> family_of(pid_t ancestor);

/// Nanoseconds of processor time that the threads which now exist have used so far.
std::uint64_t processor_ns(std::span<const pid_t> processes);

/// Bytes of memory behind the memfds that a process holds, each counted once.
std::uint64_t memfd_bytes(pid_t process);

}  // namespace busway::bench
