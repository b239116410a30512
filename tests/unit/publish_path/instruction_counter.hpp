// Runs a piece of code in a child process one instruction at a time and counts what it executes, so that "one
// locked instruction and no syscall" is a fact about the program and not about a clock. x86-64.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace busway::test {

struct Executed {
  std::uint64_t instructions = 0;
  std::uint64_t locked = 0;      ///< with a lock prefix, or an xchg with memory, which locks by itself
  std::uint64_t syscalls = 0;    ///< syscall, sysenter, int 0x80
  std::uint64_t prefetches = 0;  ///< prefetcht0 and its kin, prefetchw
};

/// Marks in the child's code: everything executed between the two counts.
void begin_counting() noexcept;
void end_counting() noexcept;

/// Runs `child` in a forked process, single-stepping it between its marks. `once_forked` runs in this process
/// before the child does: threads that are started there are not forked. Throws when the child does not get
/// to its marks: its exception is in the message.
Executed count_in_child(
    const std::function<void()>& child, const std::function<void()>& once_forked = [] {});

/// Is the instruction that starts with these bytes a locked one?
bool is_locked(const unsigned char* code) noexcept;
bool is_syscall(const unsigned char* code) noexcept;
bool is_prefetch(const unsigned char* code) noexcept;

}  // namespace busway::test
