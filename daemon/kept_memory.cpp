#include "daemon/kept_memory.hpp"

namespace busway::daemon {
namespace {

memory::ManifestKind manifest_kind(memory::Kind kind) noexcept {
  return static_cast<memory::ManifestKind>(kind);
}
static_assert(static_cast<int>(memory::ManifestKind::ring) == static_cast<int>(memory::Kind::ring));
static_assert(static_cast<int>(memory::ManifestKind::marks) == static_cast<int>(memory::Kind::marks));
static_assert(static_cast<int>(memory::ManifestKind::wait) == static_cast<int>(memory::Kind::wait));
static_assert(static_cast<int>(memory::ManifestKind::lane) == static_cast<int>(memory::Kind::lane));
static_assert(static_cast<int>(memory::ManifestKind::bells) == static_cast<int>(memory::Kind::bells));

}  // namespace

KeptRegion KeptMemory::create(const RegionSpec& spec, const std::string& name) {
  budget_.charge(spec.owner_uid, spec.bytes, name);
  try {
    KeptRegion kept{memory::Region::create(name, spec.bytes), EntryIndex{}, spec.owner_uid};
    *kept.region.as<memory::Identity>() = memory::Identity{.magic = memory::kMagic,
                                                           .layout_version = memory::kLayoutVersion,
                                                           .kind = spec.kind,
                                                           .owner = spec.topic,
                                                           .partition = spec.index,
                                                           .generation = raw(spec.generation),
                                                           .bytes = spec.bytes,
                                                           .item_bytes = spec.item_bytes,
                                                           .item_count = spec.item_count};
    return kept;
  } catch (...) {
    budget_.release(spec.owner_uid, spec.bytes);
    throw;
  }
}

void KeptMemory::keep(KeptRegion& kept, const RegionSpec& spec) {
  try {
    kept.entry = keeper_.deposit(Deposit{.kind = manifest_kind(spec.kind),
                                         .topic = spec.topic,
                                         .index = spec.index,
                                         .generation = raw(spec.generation),
                                         .owner_uid = spec.owner_uid,
                                         .owner_session = spec.owner_session,
                                         .bytes = spec.bytes,
                                         .aux = spec.item_bytes,
                                         .fd = kept.region.fd()});
  } catch (...) {
    budget_.release(spec.owner_uid, spec.bytes);
    throw;
  }
}

KeptRegion KeptMemory::take_up(EntryIndex entry) {
  const memory::ManifestEntry& about = keeper_.entry(entry);
  KeptRegion kept{memory::Region::map_known(keeper_.take(entry), static_cast<memory::Kind>(about.kind),
                                            memory::Access::read_write),
                  entry, about.owner_uid};
  budget_.charge_taken_up(kept.uid, about.bytes);
  return kept;
}

void KeptMemory::drop(KeptRegion& kept) {
  budget_.release(kept.uid, keeper_.entry(kept.entry).bytes);
  keeper_.drop(kept.entry);
  kept.region = memory::Region();
}

}  // namespace busway::daemon
