#include "tests/support/step_killer.hpp"

#include <csignal>

#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace busway::test {
namespace {

constexpr int kSystemCallStop = SIGTRAP | 0x80;  // PTRACE_O_TRACESYSGOOD

/// The signal to deliver when a thread stopped with `status` goes on; 0: none.
int pending_signal(int status) {
  const bool by_tracer = status >> 16 == PTRACE_EVENT_STOP || WSTOPSIG(status) == kSystemCallStop;
  return by_tracer ? 0 : WSTOPSIG(status);
}

}  // namespace

StepKiller::StepKiller(pid_t pid, int step)
    : process_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))),
      thread_([this, pid, step] { follow(pid, step); }) {
  follows_.wait(false);
}

StepKiller::~StepKiller() {
  if (process_) ::syscall(SYS_pidfd_send_signal, process_.get(), SIGKILL, nullptr, 0);
  if (thread_.joinable()) thread_.join();
}

bool StepKiller::killed() {
  if (thread_.joinable()) thread_.join();
  return killed_;
}

void StepKiller::follow(pid_t pid, int step) {
  const bool seized = ::ptrace(PTRACE_SEIZE, pid, nullptr, PTRACE_O_TRACESYSGOOD) == 0 &&
                      ::ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr) == 0;
  follows_ = true;
  follows_.notify_one();
  int status = 0;
  while (seized && ::waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status)) {
    if (WSTOPSIG(status) == kSystemCallStop && step-- == 0) {
      killed_ = true;
      ::kill(pid, SIGKILL);
      continue;  // the next wait reports its death
    }
    ::ptrace(PTRACE_SYSCALL, pid, nullptr, pending_signal(status));
  }
}

bool can_trace() {
  const pid_t child = ::fork();
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  const bool may = ::ptrace(PTRACE_SEIZE, child, nullptr, nullptr) == 0;
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  return may;
}

}  // namespace busway::test
