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
  std::uint64_t clear =
      0;  ///< offsets below were granted, and have slots that are free once those before are set
  typename A::u64* front = nullptr;  ///< the slot of `seen`
  typename A::u64* end = nullptr;    ///< of the ring's slots
  std::uint32_t laps = 0;            ///< whole turns of the ring before `seen`
  /// The run of frames that this publisher's last one belongs to: LaneWriter says what becomes of it. It goes
  /// on with a frame at `run_place` that takes `run_units` and is committed at `seen`.
  std::uint32_t run_place = 0;
  std::uint64_t run_units = 0;  ///< 0 = it is over

  /// Enters the ring (RingView::enter()): nothing below its base is of this ring.
  bool enter() noexcept {
    if (!ring.enter()) return false;
    safe = std::max(safe, ring.base);
    end = ring.slots + ring.size();
    see(std::max(seen, ring.base));
    return true;
  }

  /// Others published meanwhile.
  void see(std::uint64_t offset) noexcept {
    run_units = 0;
    seen = offset;
    front = &ring.slot(offset);
    laps = ring.laps_before(offset);
  }
  /// see(seen + 1), without a shift.
  void see_next() noexcept {
    ++seen;
    if (++front == end) [[unlikely]] {
      front = ring.slots;
      ++laps;
    }
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

/// THE COMMIT, over `word`, which was free for this lap. False: somebody else was quicker.
template <class A>
[[gnu::always_inline]] inline bool commit_over(std::uint64_t word, typename A::u64& slot,
                                               std::uint32_t place) noexcept {
  // release: the frame's bytes come before; seq_cst: a sleeper announces itself, then looks at this slot, we
  // set it, then look who sleeps (sleep.hpp). Failure learns nothing: the slot is loaded again. If it
  // succeeds the slot was free all the while: laps do not wrap (H3).
  return slot.compare_exchange_strong(word, slot_word(slot_lap(word) + 1, place), std::memory_order_seq_cst,
                                      std::memory_order_relaxed);
}

/// Tells others of the record below `seen`, and asks for a line that will be wanted before long.
template <class A>
[[gnu::always_inline]] inline void note_commit(const Ledger<A>& ledger) noexcept {
  prefetch_to_write(ledger.front + limits::kCacheLine / sizeof *ledger.front - 1);
  ledger.ring.tail->store(ledger.seen, std::memory_order_release);  // a hint; pairs with hinted_end()
}

/// Asks for the slot's line that the next publish() will commit to: before the frame is written, for a reader
/// that waits has it, and its way back takes as long as the frame's lines.
template <class A>
[[gnu::always_inline]] inline void prefetch_commit(const Ledger<A>& ledger) noexcept {
  prefetch_to_write(ledger.front);
}

/// Publishes the frame at `place` as publish() does if nothing is in the way: behind this publisher's own
/// last record there is none, and what it knows of the bounds suffices. Its offset, or kNotPublished: nothing
/// was done, publish() sees to it.
template <class A>
[[gnu::always_inline]] inline std::uint64_t publish_at_once(Ledger<A>& ledger, std::uint32_t place) noexcept {
  const std::uint64_t offset = ledger.seen;
  if (offset >= ledger.clear) [[unlikely]]
    return kNotPublished;
  // relaxed: a free slot says nothing of others but that trying may be worth while, and the commit checks
  // that.
  const std::uint64_t word = ledger.front->load(std::memory_order_relaxed);
  if (slot_lap(word) != ledger.laps || !commit_over<A>(word, *ledger.front, place)) [[unlikely]]
    return kNotPublished;
  ledger.see_next();
  note_commit(ledger);
  return offset;
}

/// Looks how far records may be committed. Both bounds only grow as long as the ring has no fence, and behind
/// that no CAS succeeds: what was learnt once holds. Turn::further: beyond `offset`.
template <class A>
Turn look_how_far(Ledger<A>& ledger, std::uint64_t offset, PublishOutcome& outcome) noexcept {
  // acquire: pairs with the daemon's release store, made once the grant was persisted.
  const std::uint64_t granted = ledger.partition->marks.granted->load(std::memory_order_acquire);
  if (offset >= granted) {
    outcome = {PublishStatus::wait_granted, FenceReason::unknown, offset};
    return Turn::settled;
  }
  // acquire: pairs with advance(): who reclaimed a slot's record has done with it.
  const std::uint64_t reclaimed = ledger.ring.reclaimed->load(std::memory_order_acquire);
  if (offset < reclaimed) return Turn::afresh;
  // One slot always stays free for the daemon's fence (H27).
  const std::uint64_t slots_end = reclaimed + ledger.ring.mask;
  if (offset >= slots_end) return Turn::full;
  ledger.clear = std::min(granted, slots_end);
  return Turn::further;
}

/// Commits at `offset` if it is the log end.
template <class A>
Turn commit_at(Ledger<A>& ledger, std::uint32_t place, std::uint64_t offset,
               PublishOutcome& outcome) noexcept {
  typename A::u64& slot = ledger.ring.slot(offset);
  // acquire: pairs with the commit: `seen` lets others' bytes be reclaimed, so what they did must be seen.
  const std::uint64_t word = slot.load(std::memory_order_acquire);
  if (const std::int32_t ahead = laps_ahead(word, ledger.ring.lap(offset)); ahead != -1) {
    if (ahead > 0) return Turn::afresh;  // we are stale: reclaimed has moved on, so somebody made progress
    if (ahead == 0 && !is_fence(word)) return Turn::further;
    outcome = ahead == 0 ? PublishOutcome{PublishStatus::fenced, fence_reason(word), offset}
                         : PublishOutcome{PublishStatus::corrupt, FenceReason::unknown, offset};
    return Turn::settled;
  }
  if (offset >= ledger.clear) {
    const Turn turn = look_how_far(ledger, offset, outcome);
    if (turn != Turn::further) return turn;
  }
  if (!commit_over<A>(word, slot, place)) return Turn::again;
  if (offset != ledger.seen) ledger.see(offset);
  ledger.see_next();
  note_commit(ledger);
  outcome = {PublishStatus::committed, FenceReason::unknown, offset};
  return Turn::settled;
}

/// Publishes the frame at `place`, whose bytes are in the lane. `ledger` must be entered. Returns only
/// what the caller must act upon; after wait_* it waits for space (and looks at the partition's state) and
/// calls again. Source of the algorithm: docs/ring.md.
template <class A>
[[gnu::noinline]] PublishOutcome publish(Ledger<A>& ledger, std::uint32_t place) noexcept {
  PublishOutcome outcome;
  std::uint64_t offset = ledger.seen;
  bool hinted = false;
  A::restart();
  for (Turn turn = Turn::again; turn != Turn::settled; turn = commit_at(ledger, place, offset, outcome)) {
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
  }
  return outcome;
}

}  // namespace busway::ring
