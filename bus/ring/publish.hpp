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
  std::uint64_t seen = 0;  ///< every slot below was seen set
  std::uint64_t safe = 0;  ///< frames at offsets below may be overwritten, for ever

  /// Enters the ring (RingView::enter()): nothing below its base is of this ring.
  bool enter() noexcept {
    if (!ring.enter()) return false;
    seen = std::max(seen, ring.base);
    safe = std::max(safe, ring.base);
    return true;
  }
};

enum class PublishStatus : std::uint8_t {
  committed,
  fenced,        ///< the ring ends here: `reason` says why
  wait_slots,    ///< every slot but the fence's is taken and the oldest is not reclaimable yet
  wait_granted,  ///< the daemon has not yet persisted that this offset may be given
  corrupt,       ///< the ring holds what no publisher writes
};

/// Instead of an offset: offsets are below 2^48.
inline constexpr std::uint64_t kNotPublished = ~std::uint64_t{0};

struct [[nodiscard]] PublishOutcome {
  PublishStatus status = PublishStatus::corrupt;
  FenceReason reason = FenceReason::unknown;
  std::uint64_t offset = 0;  ///< committed: the record's; fenced: the fence's
};

/// How far beyond what a full ring needs its publisher moves `reclaimed`, in parts of the ring: the next
/// publishes then find room without a CAS, and most of the ring is still history.
inline constexpr std::uint64_t kReclaimShare = 16;

/// What one look at an offset led to.
enum class Turn : std::uint8_t {
  settled,  ///< the outcome stands
  full,     ///< make_slots(), then afresh
  again,    ///< somebody else was quicker: the same offset
  further,  ///< it is taken: the next one
  afresh,   ///< we were behind, or `reclaimed` has moved: from the hints
};

/// The hint may lag behind or have gone back; `reclaimed` bounds it from below, or a regressed hint on an
/// idle ring would send every later publisher round for ever (H4).
template <class A>
std::uint64_t hinted_end(const RingView<A>& ring) noexcept {
  // acquire: pairs with the release stores of both.
  return std::max(ring.tail->load(std::memory_order_acquire),
                  ring.reclaimed->load(std::memory_order_acquire));
}

/// The ring is full: makes room behind `offset`. False: there is none to be made yet.
template <class A>
bool make_slots(const Ledger<A>& ledger, std::uint64_t offset) noexcept {
  const RingView<A>& ring = ledger.ring;
  const std::uint64_t need = offset - ring.mask + 1;
  return advance(*ledger.partition, ring, need, need + ring.size() / kReclaimShare, offset);
}

/// Commits at `offset` if it is the log end. Without a call.
template <class A>
[[gnu::always_inline]] inline Turn commit_at(Ledger<A>& ledger, std::uint32_t place, std::uint64_t offset,
                                             PublishOutcome& outcome) noexcept {
  const RingView<A>& ring = ledger.ring;
  typename A::u64& slot = ring.slot(offset);
  const std::uint32_t lap = ring.lap(offset);
  // acquire: pairs with the commit: `seen` lets others' bytes be reclaimed, so what they did must be seen.
  std::uint64_t word = slot.load(std::memory_order_acquire);
  const std::int32_t ahead = laps_ahead(word, lap);
  if (ahead != -1) [[unlikely]] {
    if (ahead > 0) return Turn::afresh;  // we are stale: reclaimed has moved on, so somebody made progress
    if (ahead == 0 && !is_fence(word)) return Turn::further;
    outcome = ahead == 0 ? PublishOutcome{PublishStatus::fenced, fence_reason(word), offset}
                         : PublishOutcome{PublishStatus::corrupt, FenceReason::unknown, offset};
    return Turn::settled;
  }
  // acquire: pairs with the daemon's release store, made once the grant was persisted.
  if (offset >= ledger.partition->marks.granted->load(std::memory_order_acquire)) [[unlikely]] {
    outcome = {PublishStatus::wait_granted, FenceReason::unknown, offset};
    return Turn::settled;
  }
  // After the slot's load (H3): if the slot is free for this lap, and is not behind `reclaimed`, a full turn
  // of the ring would have been needed to make this CAS wrong, and the lap would have told. acquire: pairs
  // with advance().
  const std::uint64_t reclaimed = ring.reclaimed->load(std::memory_order_acquire);
  if (offset < reclaimed) [[unlikely]]
    return Turn::afresh;
  // One slot always stays free for the daemon's fence (H27).
  if (offset >= reclaimed + ring.mask) [[unlikely]]
    return Turn::full;
  // THE COMMIT. release: the frame's bytes come before; seq_cst: a sleeper announces itself, then looks at
  // this slot, we set it, then look who sleeps (sleep.hpp). Failure learns nothing: the slot is loaded again.
  if (!slot.compare_exchange_strong(word, slot_word(lap, place), std::memory_order_seq_cst,
                                    std::memory_order_relaxed)) [[unlikely]]
    return Turn::again;
  ledger.seen = offset + 1;
  prefetch_to_write(&slot + limits::kCacheLine / sizeof slot);
  ring.tail->store(offset + 1, std::memory_order_release);  // a hint; pairs with hinted_end()
  outcome = {PublishStatus::committed, FenceReason::unknown, offset};
  return Turn::settled;
}

/// From wherever the first look at `offset` led.
template <class A>
[[gnu::noinline]] PublishOutcome walk_to_end(Ledger<A>& ledger, std::uint32_t place, std::uint64_t offset,
                                             Turn turn) noexcept {
  PublishOutcome outcome;
  bool hinted = false;
  while (turn != Turn::settled) {
    if (turn == Turn::full) {
      if (!make_slots(ledger, offset)) return {PublishStatus::wait_slots, FenceReason::unknown, offset};
      turn = Turn::afresh;
    }
    if (turn == Turn::further) ++offset;
    if (turn == Turn::afresh || (turn == Turn::further && !hinted)) {
      A::restart();
      const std::uint64_t hint = hinted_end(ledger.ring);
      offset = turn == Turn::afresh ? hint : std::max(offset, hint);
      hinted = true;
    }
    turn = commit_at(ledger, place, offset, outcome);
  }
  return outcome;
}

/// Asks for the slot's line that the next publish() will commit to: before the frame is written, for a reader
/// that waits has it, and its way back takes as long as the frame's lines.
template <class A>
void prefetch_commit(const Ledger<A>& ledger) noexcept {
  prefetch_to_write(&ledger.ring.slot(ledger.seen));
}

/// Publishes the frame at `place` as publish() does if nothing is in the way: no walk, no full ring, no
/// fence. Its offset, or kNotPublished: nothing was done, publish() sees to it. Where this publisher's last
/// record was there is often nothing behind it: no need for the hints.
template <class A>
[[gnu::always_inline]] inline std::uint64_t publish_at_once(Ledger<A>& ledger, std::uint32_t place) noexcept {
  A::restart();
  PublishOutcome outcome;
  const std::uint64_t offset = ledger.seen;
  const Turn turn = commit_at(ledger, place, offset, outcome);
  return turn == Turn::settled && outcome.status == PublishStatus::committed ? offset : kNotPublished;
}

/// Publishes the frame at `place`, whose bytes are in the lane. `ledger` must be entered. Returns only
/// what the caller must act upon; after wait_* it waits for space (and looks at the partition's state) and
/// calls again. Source of the algorithm: docs/ring.md.
template <class A>
[[gnu::always_inline]] inline PublishOutcome publish(Ledger<A>& ledger, std::uint32_t place) noexcept {
  A::restart();
  const std::uint64_t offset = ledger.seen;  // as in publish_at_once()
  PublishOutcome outcome;
  const Turn turn = commit_at(ledger, place, offset, outcome);
  if (turn != Turn::settled) [[unlikely]]
    return walk_to_end(ledger, place, offset, turn);
  return outcome;
}

}  // namespace busway::ring
