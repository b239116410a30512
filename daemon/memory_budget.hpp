// The memory budget: what shared memory may take in all, and for each uid that asked for it.
//
// Shared memory beyond a control group's limit gets a process killed rather than refused, so the daemon
// refuses first. Not thread safe: belongs to the control thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include <sys/types.h>

namespace busway::daemon {

class MemoryBudget {
 public:
  MemoryBudget(std::uint64_t most, std::uint64_t most_per_uid, uid_t own_uid) noexcept
      : most_(most), most_per_uid_(most_per_uid), own_uid_(own_uid) {}

  /// Charges `bytes` to `uid`. Throws errc::budget_exceeded naming `what`, the budget and its setting. The
  /// share per uid does not bind the daemon's own uid.
  void charge(uid_t uid, std::uint64_t bytes, const std::string& what);
  /// Charges without a check: memory that an earlier worker had charged.
  void charge_taken_up(uid_t uid, std::uint64_t bytes) noexcept;
  void release(uid_t uid, std::uint64_t bytes) noexcept;

  std::uint64_t used() const noexcept { return used_; }
  std::uint64_t most() const noexcept { return most_; }
  /// New limits of a reloaded configuration. What is charged stays.
  void set_limits(std::uint64_t most, std::uint64_t most_per_uid) noexcept;

 private:
  std::uint64_t most_;
  std::uint64_t most_per_uid_;
  uid_t own_uid_;
  std::uint64_t used_ = 0;
  std::map<uid_t, std::uint64_t> used_by_;
};

}  // namespace busway::daemon
