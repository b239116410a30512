// The data directory as a whole: who may use it, which format it has, how the last daemon left it.
//
//   lock        flock'ed by the daemon; holds its pid as text. The descriptor is inherited by each worker,
//               so the lock lasts as long as the keeper or a worker does
//   version     "busway-data 1"
//   clean-stop  "busway-stop 1 boot=<boot id>": written at the end of a clean stop, removed at the next start
//   running     "busway-run 1 boot=<boot id>": written at the first start after booting; tells a start after
//               a crash whether the machine was booted in between. Missing: it may have been
//
// Thread safety: belongs to one thread.
#pragma once

#include <string>
#include <string_view>

#include "bus/base/fd.hpp"
#include "daemon/file_system.hpp"

namespace busway::daemon {

/// How the last daemon left the directory.
struct LastStop {
  bool first_start = false;   ///< nobody used the directory before
  bool clean = false;         ///< all was drained and synced
  bool boot_changed = false;  ///< the machine was booted since: what was not synced may be gone
};

class DataDirectory {
 public:
  static constexpr int kFormatVersion = 1;

  /// Creates the directory if need be (0750, its parents too) and locks it. `inherited_lock`: the descriptor
  /// of a lock that this process already holds (from the keeper), else an empty one. Throws
  /// errc::data_dir_in_use naming directory and holder's pid, errc::data_dir_version naming both versions,
  /// errc::io.
  DataDirectory(FileSystem& file_system, std::string path, Fd inherited_lock = Fd());

  const std::string& path() const noexcept { return path_; }
  /// Of the last daemon; a worker that takes over from another asks its keeper instead.
  const LastStop& last_stop() const noexcept { return last_stop_; }
  /// To be inherited or passed on; stays this object's.
  int lock_fd() const noexcept { return lock_.get(); }

  /// Call before the first change: from now on a stop is not clean.
  void mark_running();
  /// Call last of all on a clean stop.
  void mark_clean_stop();

  std::string partition_path(const std::string& topic, std::uint32_t partition) const;

 private:
  void lock();
  void check_version();
  void look_at_last_stop();
  void mark_boot();
  void remove(std::string_view name);

  FileSystem& file_system_;
  std::string path_;
  Fd lock_;
  LastStop last_stop_;
  bool marked_ = false;  ///< `running` names this boot
};

/// /proc/sys/kernel/random/boot_id, without the line feed. Throws errc::io.
std::string current_boot_id();

}  // namespace busway::daemon
