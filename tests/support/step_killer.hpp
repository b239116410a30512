// Kills a process at a chosen step of its main thread: at its n-th system call boundary (entries and exits
// both count), found by ptrace(2). All boundaries of a story one after the other are every moment at which
// its death can leave something different behind in files, sockets and the keeper. Not so in shared memory:
// stores between two system calls are seen one by one; those are the interleaving checker's.
#pragma once

#include <atomic>
#include <thread>

#include <sys/types.h>

#include "bus/base/fd.hpp"

namespace busway::test {

class StepKiller {
 public:
  /// Follows the main thread of `pid`, a descendant of the test, and kills the process at boundary number
  /// `step`, 0 being the first one after this. Returns once it follows.
  StepKiller(pid_t pid, int step);
  StepKiller(const StepKiller&) = delete;
  StepKiller& operator=(const StepKiller&) = delete;
  /// Kills the process, if it still runs.
  ~StepKiller();

  /// Waits for the end: was it killed? False: it ended by itself before that step.
  bool killed();

 private:
  void follow(pid_t pid, int step);

  std::atomic<bool> follows_{false};
  Fd process_;           ///< a pidfd: the number alone may be another's by the time it is killed
  bool killed_ = false;  ///< written before the thread ends, read after join
  std::thread thread_;   ///< only the thread that began to trace may go on with it
};

/// May this process trace its descendants? Some containers forbid it.
bool can_trace();

}  // namespace busway::test
