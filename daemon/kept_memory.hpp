// Shared memory that outlives the worker: made, charged to the budget, deposited with the keeper; and taken
// up again from a live manifest entry. Not thread safe: belongs to the control thread.
#pragma once

#include <cstdint>
#include <string>

#include "bus/memory/region.hpp"
#include "daemon/keeper_link.hpp"
#include "daemon/memory_budget.hpp"

namespace busway::daemon {

/// A mapped region and its manifest entry.
struct KeptRegion {
  memory::Region region;
  EntryIndex entry{};
  uid_t uid = 0;  ///< who it is charged to
};

/// What a region is, for its identity and its manifest entry.
struct RegionSpec {
  memory::Kind kind;
  Uuid topic{};
  std::uint32_t index = 0;  ///< partition or lane id
  Generation generation{};
  std::uint64_t bytes = 0;
  std::uint64_t item_bytes = 0;
  std::uint64_t item_count = 0;
  uid_t owner_uid = 0;
  std::uint32_t owner_session = 0;
};

class KeptMemory {
 public:
  KeptMemory(KeeperLink& keeper, MemoryBudget& budget) noexcept : keeper_(keeper), budget_(budget) {}

  /// Creates the region, writes its identity, and lets `prepare(region)` fill it in before the keeper gets
  /// it. Throws errc::budget_exceeded, errc::limit_reached; then nothing is kept.
  template <class Prepare>
  KeptRegion make(const RegionSpec& spec, const std::string& name, Prepare prepare) {
    KeptRegion kept = create(spec, name);
    prepare(kept.region);
    keep(kept, spec);
    return kept;
  }

  /// Maps what an earlier worker kept. errc::corrupt when it is not what the entry says.
  KeptRegion take_up(EntryIndex entry);
  /// Unmaps, and lets the keeper close its descriptor.
  void drop(KeptRegion& kept);

  KeeperLink& keeper() noexcept { return keeper_; }
  const MemoryBudget& budget() const noexcept { return budget_; }

 private:
  KeptRegion create(const RegionSpec& spec, const std::string& name);
  void keep(KeptRegion& kept, const RegionSpec& spec);

  KeeperLink& keeper_;
  MemoryBudget& budget_;
};

}  // namespace busway::daemon
