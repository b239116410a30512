#include "clients/cli/interrupt.hpp"

#include <atomic>
#include <csignal>
#include <cstdint>

#include <sys/eventfd.h>
#include <unistd.h>

namespace busway::cli {
namespace {

std::atomic<bool> signalled{false};
std::atomic<int> event_fd{-1};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free,
              "a signal handler uses them");

extern "C" void on_signal(int) {
  signalled.store(true, std::memory_order_relaxed);
  const std::uint64_t one = 1;
  // An eventfd takes it without blocking; should it fail, the flag is still set.
  [[maybe_unused]] const auto written = ::write(event_fd.load(std::memory_order_relaxed), &one, sizeof one);
}

}  // namespace

void watch_signals() {
  event_fd.store(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), std::memory_order_relaxed);
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = static_cast<int>(SA_RESETHAND);  // the second signal has its default effect
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

void ignore_broken_pipes() {
  struct sigaction action {};
  action.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &action, nullptr);
}

bool interrupted() noexcept { return signalled.load(std::memory_order_relaxed); }

int interrupt_fd() noexcept { return event_fd.load(std::memory_order_relaxed); }

}  // namespace busway::cli
