// The worker's book-keeping of the manifest: which entries are free, and how one is filled in. Shared by both
// kinds of KeeperLink. Not thread safe: the link's lock guards it.
#pragma once

#include <span>
#include <vector>

#include "bus/memory/region.hpp"
#include "daemon/keeper_link.hpp"

namespace busway::daemon {

constexpr std::uint32_t state_word(memory::ManifestState state) noexcept {
  return static_cast<std::uint32_t>(state);
}

class KeeperEntries {
 public:
  /// Makes a manifest of this many entries, all empty.
  static memory::Region create_manifest(std::uint32_t entries);

  /// Takes a manifest up: pending entries, left by a worker that died, become empty.
  explicit KeeperEntries(memory::Region manifest);

  /// Fills entries in as pending, in the order of `deposits`. Throws errc::limit_reached, with none taken,
  /// when there are not enough.
  std::vector<EntryIndex> take(std::span<const Deposit> deposits);
  /// These entries are empty now; they may be given out again.
  void give_back(std::span<const EntryIndex> entries);

  std::vector<EntryIndex> live() const;
  memory::ManifestEntry& at(EntryIndex index) noexcept { return entries_[raw(index)]; }
  const memory::ManifestEntry& at(EntryIndex index) const noexcept { return entries_[raw(index)]; }
  memory::ManifestHeader& header() noexcept { return *manifest_.as<memory::ManifestHeader>(); }
  const memory::ManifestHeader& header() const noexcept { return *manifest_.as<memory::ManifestHeader>(); }

 private:
  void fill_in(memory::ManifestEntry& entry, const Deposit& deposit);

  memory::Region manifest_;
  std::span<memory::ManifestEntry> entries_;
  std::vector<EntryIndex> free_;  ///< lowest index last
  std::uint64_t next_id_ = 0;
};

/// Whether `fd` is what the entry says it is; errc::corrupt with the reason otherwise.
void check_kept_descriptor(const memory::ManifestEntry& entry, int fd);

}  // namespace busway::daemon
