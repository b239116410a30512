// Publishing: the walk to the log end and the one compare-and-swap that commits.
//
// The CAS is the commit point and the linearization point: whoever is killed or stopped before it has
// published nothing, after it everything; nobody waits for anybody. Waking those who sleep is the caller's
// (bus/ring/sleep.hpp). Hot path: with nobody asleep a publish costs loads, two stores and this one locked
// instruction. No allocation, no exception. Thread safety: a Ledger belongs to one publisher and so to one
// thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "bus/ring/prefetch.hpp"
#include "bus/ring/reclaim.hpp"
#include "bus/ring/slot.hpp"
#include "bus/ring/views.hpp"

namespace busway::ring {

/// What one publisher knows of one ring. It belongs to the ring, never to the partition (H26, H30): a
/// partition that grew has one for each generation that still holds frames of this publisher.
template <class A>
struct Ledger {
  RingView<A> ring;
  const PartitionView<A>* partition = nullptr;
  std::uint64_t seen = 0;    ///< every slot below was seen set
  std::uint64_t safe = 0;    ///< frames at offsets below may be overwritten, for ever
  std::uint32_t frames = 0;  ///< remembered frames that name this ledger; it must outlive them
};

enum class PublishStatus : std::uint8_t {
  committed,
  fenced,        ///< the ring ends here: `reason` says why
  wait_slots,    ///< every slot but the fence's is taken and the oldest is not reclaimable yet
  wait_granted,  ///< the daemon has not yet persisted that this offset may be given
  corrupt,       ///< the ring holds what no publisher writes
};

struct [[nodiscard]] PublishOutcome {
  PublishStatus status = PublishStatus::corrupt;
  FenceReason reason = FenceReason::unknown;
  std::uint64_t offset = 0;  ///< committed: the record's; fenced: the fence's
};

/// How far beyond what a full ring needs its publisher moves `reclaimed`, in parts of the ring: the next
/// publishes then find room without a CAS, and most of the ring is still history.
inline constexpr std::uint64_t kReclaimShare = 16;

/// Publishes the frame at `place`, whose bytes are in the lane. `ledger.ring` must be entered. Returns only
/// what the caller must act upon; after wait_* it waits for space (and looks at the partition's state) and
/// calls again. Source of the algorithm: docs/ring.md.
template <class A>
PublishOutcome publish(Ledger<A>& ledger, std::uint32_t place) noexcept {
  const RingView<A>& ring = ledger.ring;
  const PartitionView<A>& partition = *ledger.partition;
  while (true) {
    A::restart();
    // The hint may lag behind or have gone back; `reclaimed` bounds it from below, or a regressed hint on an
    // idle ring would send every later publisher round for ever (H4). acquire: pairs with the release stores
    // of both.
    std::uint64_t offset =
        std::max(ring.tail->load(std::memory_order_acquire), ring.reclaimed->load(std::memory_order_acquire));
    while (true) {
      typename A::u64& slot = ring.slot(offset);
      const std::uint32_t lap = ring.lap(offset);
      // acquire: pairs with the commit: `seen` lets others' bytes be reclaimed, so what they did must be
      // seen.
      std::uint64_t word = slot.load(std::memory_order_acquire);
      const std::int32_t ahead = laps_ahead(word, lap);
      if (ahead == 0) {
        if (is_fence(word)) return {PublishStatus::fenced, fence_reason(word), offset};
        ++offset;
        continue;
      }
      if (ahead > 0) break;  // we are stale: reclaimed has moved on, so somebody made progress
      if (ahead < -1) return {PublishStatus::corrupt, FenceReason::unknown, offset};
      // acquire: pairs with the daemon's release store, made once the grant was persisted.
      if (offset >= partition.marks.granted->load(std::memory_order_acquire))
        return {PublishStatus::wait_granted, FenceReason::unknown, offset};
      // After the slot's load (H3): if the slot is free for this lap, and is not behind `reclaimed`, a full
      // turn of the ring would have been needed to make this CAS wrong, and the lap would have told. acquire:
      // pairs with advance().
      const std::uint64_t reclaimed = ring.reclaimed->load(std::memory_order_acquire);
      if (offset < reclaimed) break;
      // One slot always stays free for the daemon's fence (H27).
      if (offset - reclaimed >= ring.mask) {
        const std::uint64_t need = offset - ring.mask + 1;
        if (!advance(partition, ring, need, need + ring.size() / kReclaimShare, offset))
          return {PublishStatus::wait_slots, FenceReason::unknown, offset};
        break;
      }
      // THE COMMIT. release: the frame's bytes come before; seq_cst: a sleeper announces itself, then looks
      // at this slot, we set it, then look who sleeps (sleep.hpp). Failure learns nothing: the slot is loaded
      // again.
      if (!slot.compare_exchange_strong(word, slot_word(lap, place), std::memory_order_seq_cst,
                                        std::memory_order_relaxed))
        continue;
      ledger.seen = offset + 1;
      prefetch_to_write(&ring.slot(offset + limits::kCacheLine / sizeof(std::uint64_t)));
      ring.tail->store(offset + 1, std::memory_order_release);  // a hint; pairs with the walk's first load
      return {PublishStatus::committed, FenceReason::unknown, offset};
    }
  }
}

}  // namespace busway::ring
