// The keeper: the parent process of buswayd. It holds descriptors so that they outlive the worker, reaps and
// restarts the worker, passes signals and sd_notify on, and does nothing else, so that there is nothing in it
// to crash.
//
// Invariants: one thread; no allocation after its constructor (asserted by tests/crash/keeper); never reads a
// descriptor number from shared memory (it keeps a table of its own); never blocks but in poll(2).
//
// Signals: SIGTERM, SIGINT: stop. SIGHUP: the worker reads its configuration again. SIGUSR2: replace the
// worker by what the binary's path now names. The worker itself ignores these four, so that neither a
// terminal's Ctrl-C nor a service manager that signals the whole control group can kill it in mid-drain.
//
// Restart: at once when the worker had been ready; otherwise after 100 ms, doubled each time up to 5 s. A
// first worker that cannot start at all (WorkerExit::failed before any was ready) ends the keeper. A worker
// that dies while it stops is started again to finish the job, three times at most.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <sys/types.h>

namespace busway::daemon {

struct KeeperOptions {
  std::string data_dir;     ///< created (0750) when missing; `lock` in it is held while keeper or worker live
  std::string socket_path;  ///< its directory is created (0755) when missing
  mode_t socket_mode = 0666;
  /// The worker's program and arguments; the keeper appends "--worker" and the numbers for accept_handover().
  std::vector<std::string> worker_command;
  /// Pauses before a worker is started whose predecessor died before it served anybody. Clients wait
  /// meanwhile.
  std::uint32_t backoff_first_ms = 100;
  std::uint32_t backoff_most_ms = 1000;
};

class Keeper {
 public:
  /// Locks the data directory, listens, makes the manifest, blocks the signals it waits for. Throws
  /// errc::data_dir_in_use, errc::limit_reached (another daemon listens on the socket), errc::io.
  explicit Keeper(const KeeperOptions& options);
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;
  ~Keeper();

  /// Runs workers until one ends with WorkerExit::stopped; returns the process's exit status.
  int run() noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Raises this process's limit of descriptors to the hard limit; returns it.
std::uint64_t raise_descriptor_limit();

}  // namespace busway::daemon
