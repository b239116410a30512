#include "daemon/memory_budget.hpp"

#include <algorithm>

#include <busway/error.hpp>

namespace busway::daemon {
namespace {

std::string over(const std::string& what, std::uint64_t bytes, std::uint64_t used, std::uint64_t most,
                 const std::string& setting) {
  return what + " needs " + std::to_string(bytes) + " bytes of shared memory; " + std::to_string(used) +
         " of " + std::to_string(most) + " are in use (" + setting + "): raise it, or detach from topics";
}

}  // namespace

void MemoryBudget::charge(uid_t uid, std::uint64_t bytes, const std::string& what) {
  if (bytes > most_ - std::min(most_, used_)) {
    throw Error(errc::budget_exceeded, over(what, bytes, used_, most_, "memory.max.bytes"));
  }
  const std::uint64_t mine = used_by_[uid];
  if (uid != own_uid_ && bytes > most_per_uid_ - std::min(most_per_uid_, mine)) {
    throw Error(errc::budget_exceeded, over(what, bytes, mine, most_per_uid_,
                                            "memory.per.uid.max.bytes, for uid " + std::to_string(uid)));
  }
  charge_taken_up(uid, bytes);
}

void MemoryBudget::charge_taken_up(uid_t uid, std::uint64_t bytes) noexcept {
  used_ += bytes;
  used_by_[uid] += bytes;
}

void MemoryBudget::release(uid_t uid, std::uint64_t bytes) noexcept {
  used_ -= std::min(used_, bytes);
  const auto found = used_by_.find(uid);
  if (found == used_by_.end()) return;
  found->second -= std::min(found->second, bytes);
  if (found->second == 0) used_by_.erase(found);
}

void MemoryBudget::set_limits(std::uint64_t most, std::uint64_t most_per_uid) noexcept {
  most_ = most;
  most_per_uid_ = most_per_uid;
}

}  // namespace busway::daemon
