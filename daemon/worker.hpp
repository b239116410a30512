// The worker: everything that buswayd does but holding descriptors. It keeps no state that it cannot get back
// from its data directory and its keeper, so that it may be killed at any instruction.
//
// Threads: the control thread (run(), which is the caller's), the drain thread, the janitor, the metadata
// committer, and with disk.backend=threads those of the disk.
#pragma once

#include <functional>
#include <memory>

#include "bus/base/fd.hpp"
#include "daemon/config.hpp"
#include "daemon/keeper_link.hpp"

namespace busway::daemon {

struct WorkerSetup {
  Config config;
  KeeperLink& keeper;   ///< outlives the worker
  Fd listening_socket;  ///< SOCK_SEQPACKET, listening, non-blocking
  Fd data_dir_lock;     ///< inherited, or empty: the worker locks the directory itself
  /// Reads the configuration again (KeeperCommand::reload); throws busway::Error when it is not valid.
  std::function<Config()> reload;
};

class Worker {
 public:
  /// Opens the data directory, takes up what an earlier worker left. Throws busway::Error.
  explicit Worker(WorkerSetup setup);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker();

  /// Serves until the keeper says stop or replace.
  WorkerExit run();

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace busway::daemon
