// A keeper for the tests: keeper_host DIRECTORY WORKER. Data directory and socket lie in DIRECTORY; the
// worker is started as "WORKER DIRECTORY --worker NUMBERS". Once the keeper is set up, any allocation in this
// process, or in its child before exec, ends it with a message: the keeper promises to make none.
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <iostream>

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <busway/error.hpp>

#include "daemon/keeper.hpp"

namespace {
std::atomic<bool> allocation_forbidden{false};
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they have a malloc of their own
extern "C" {
void* __libc_malloc(std::size_t bytes);                           // NOLINT: glibc's names
void* __libc_calloc(std::size_t count, std::size_t bytes);        // NOLINT
void* __libc_realloc(void* old, std::size_t bytes);               // NOLINT
void* __libc_memalign(std::size_t alignment, std::size_t bytes);  // NOLINT

static void check_allowed() {
  if (!allocation_forbidden.load(std::memory_order_relaxed)) return;
  static constexpr char kText[] = "the keeper allocated memory\n";
  static_cast<void>(!::write(STDERR_FILENO, kText, sizeof(kText) - 1));
  ::_exit(99);
}
void* malloc(std::size_t bytes) {
  check_allowed();
  return __libc_malloc(bytes);
}
void* calloc(std::size_t count, std::size_t bytes) {
  check_allowed();
  return __libc_calloc(count, bytes);
}
void* realloc(void* old, std::size_t bytes) {
  check_allowed();
  return __libc_realloc(old, bytes);
}
void* memalign(std::size_t alignment, std::size_t bytes) {
  check_allowed();
  return __libc_memalign(alignment, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) { return memalign(alignment, bytes); }
}
#endif

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that is ended from outside leaves nothing behind
  const std::string dir = argv[1];
  try {
    busway::daemon::Keeper keeper({.data_dir = dir + "/data",
                                   .socket_path = dir + "/run/busway.sock",
                                   .worker_command = {argv[2], dir},
                                   .backoff_first_ms = 20,
                                   .backoff_most_ms = 100});
    allocation_forbidden = true;
    const int status = keeper.run();
    allocation_forbidden = false;
    return status;
  } catch (const busway::Error& error) {
    std::cerr << "error " << static_cast<int>(error.error()) << ": " << error.sentence() << std::endl;
    return 1;
  }
}
