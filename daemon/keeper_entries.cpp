#include "daemon/keeper_entries.hpp"

#include <cstring>
#include <string>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace busway::daemon {
namespace {

using memory::ManifestEntry;
using memory::ManifestHeader;
using memory::ManifestKind;
using memory::ManifestState;

[[noreturn]] void corrupt(const ManifestEntry& entry, const std::string& what) {
  throw Error(errc::corrupt, "kept descriptor " + std::to_string(entry.keeper_fd) + " (kind " +
                                 std::to_string(static_cast<std::uint32_t>(entry.kind)) + ") " + what);
}

void check_region(const ManifestEntry& entry, int fd, const struct stat& status) {
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || (seals & F_SEAL_GROW) == 0) {
    corrupt(entry, "is not a memfd sealed against resizing");
  }
  if (static_cast<std::uint64_t>(status.st_size) < entry.bytes) {
    corrupt(entry, "has " + std::to_string(status.st_size) + " bytes where the manifest says " +
                       std::to_string(entry.bytes));
  }
}

void check_pidfd(const ManifestEntry& entry, int fd) {
  char target[64] = {};
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  if (::readlink(path.c_str(), target, sizeof(target) - 1) < 0 ||
      std::strcmp(target, "anon_inode:[pidfd]") != 0) {
    corrupt(entry, "is not a pidfd");
  }
}

}  // namespace

void check_kept_descriptor(const ManifestEntry& entry, int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) corrupt(entry, "is not open");
  switch (entry.kind) {
    case ManifestKind::ring:
    case ManifestKind::marks:
    case ManifestKind::wait:
    case ManifestKind::lane:
    case ManifestKind::bells:
      check_region(entry, fd, status);
      return;
    case ManifestKind::session:
      check_pidfd(entry, fd);
      return;
    case ManifestKind::segment:
      if (!S_ISREG(status.st_mode)) corrupt(entry, "is not a regular file");
      return;
    case ManifestKind::none:
      break;
  }
  corrupt(entry, "is of a kind that this version does not know");
}

memory::Region KeeperEntries::create_manifest(std::uint32_t entries) {
  const std::size_t bytes = memory::manifest_bytes(entries);
  memory::Region manifest = memory::Region::create("manifest", bytes);
  auto* header = manifest.as<ManifestHeader>();
  header->identity = {.magic = memory::kMagic,
                      .layout_version = memory::kLayoutVersion,
                      .kind = memory::Kind::manifest,
                      .owner = Uuid::random(),
                      .partition = 0,
                      .generation = 0,
                      .bytes = bytes,
                      .item_bytes = sizeof(ManifestEntry),
                      .item_count = entries};
  header->entries = entries;
  return manifest;
}

KeeperEntries::KeeperEntries(memory::Region manifest) : manifest_(std::move(manifest)) {
  const std::uint32_t count = header().entries;
  if (manifest_.bytes() < memory::manifest_bytes(count)) {
    throw Error(errc::corrupt, "the manifest is smaller than its own header says");
  }
  entries_ = {memory::manifest_entries(&header()), count};
  for (std::uint32_t i = count; i-- > 0;) {
    // acquire: pairs with the release that made the entry live, in the keeper or in an earlier worker
    const std::uint32_t state = entries_[i].state.load(std::memory_order_acquire);
    if (state == state_word(ManifestState::live)) continue;
    entries_[i].state.store(state_word(ManifestState::empty), std::memory_order_relaxed);
    free_.push_back(EntryIndex{i});
  }
}

std::vector<EntryIndex> KeeperEntries::take(std::span<const Deposit> deposits) {
  if (deposits.size() > free_.size()) {
    throw Error(errc::limit_reached,
                "the manifest's " + std::to_string(entries_.size()) +
                    " entries are used up: too many topics, lanes and sessions at once; lower "
                    "topics.max, sessions.max or lanes.per.uid.max");
  }
  std::vector<EntryIndex> taken;
  taken.reserve(deposits.size());
  for (const Deposit& deposit : deposits) {
    taken.push_back(free_.back());
    free_.pop_back();
    fill_in(at(taken.back()), deposit);
  }
  return taken;
}

void KeeperEntries::fill_in(ManifestEntry& entry, const Deposit& deposit) {
  // Unique while this keeper lives, which is as long as the entry can: the worker's number and a counter.
  const std::uint64_t number[2] = {header().worker_starts, ++next_id_};
  std::memcpy(entry.id.bytes.data(), number, sizeof(number));
  entry.kind = deposit.kind;
  entry.topic = deposit.topic;
  entry.index = deposit.index;
  entry.generation = deposit.generation;
  entry.owner_uid = deposit.owner_uid;
  entry.owner_session = deposit.owner_session;
  entry.owner_pid = deposit.owner_pid;
  entry.keeper_fd = -1;
  entry.bytes = deposit.bytes;
  entry.aux = deposit.aux;
  // release: whoever sees `pending` (the keeper, the next worker) sees the fields
  entry.state.store(state_word(ManifestState::pending), std::memory_order_release);
}

void KeeperEntries::give_back(std::span<const EntryIndex> entries) {
  for (const EntryIndex index : entries) {
    at(index).state.store(state_word(ManifestState::empty), std::memory_order_relaxed);
    free_.push_back(index);
  }
}

std::vector<EntryIndex> KeeperEntries::live() const {
  std::vector<EntryIndex> out;
  for (std::uint32_t i = 0; i < entries_.size(); ++i) {
    // acquire: pairs with the release of whoever made it live; its fields are read next
    const std::uint32_t state = entries_[i].state.load(std::memory_order_acquire);
    if (state == state_word(ManifestState::live)) out.push_back(EntryIndex{i});
  }
  return out;
}

}  // namespace busway::daemon
