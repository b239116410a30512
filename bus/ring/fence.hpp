// The daemon's side of a ring: fences, the log end, growth, take-over by a new worker, retirement.
//
// Publishers can write anything into a ring: every walk here is bounded, and no number read from it is
// trusted further than "this topic's publishers harm this topic". Thread safety: one daemon thread per
// partition calls these; publishers and readers run beside it.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>

#include "bus/ring/reclaim.hpp"
#include "bus/ring/slot.hpp"
#include "bus/ring/views.hpp"

namespace busway::ring {

enum class EndStatus : std::uint8_t {
  open,       ///< `offset` is the first unset slot
  fenced,     ///< the ring ends at `offset`: `reason`
  corrupt,    ///< the ring holds what no publisher writes
  contended,  ///< publishers moved on faster than the walk for too long: again later
};

struct [[nodiscard]] LogEnd {
  EndStatus status = EndStatus::corrupt;
  FenceReason reason = FenceReason::unknown;
  std::uint64_t offset = 0;
};

/// Slots that one walk looks at before it gives up, for a ring of `size`.
constexpr std::uint64_t walk_budget(std::uint64_t size) noexcept { return 4 * size + 4096; }

namespace detail {

/// Where a walk starts: never the hint alone (H4, H7), never below the base.
template <class A>
std::uint64_t walk_start(const RingView<A>& ring) noexcept {
  // acquire: pairs with the publishers' release stores.
  return std::max({ring.base, ring.tail->load(std::memory_order_acquire),
                   ring.reclaimed->load(std::memory_order_acquire)});
}

/// Walks to the first slot that is not set and offers its word to `at_end(offset, slot, word)`: true ends the
/// walk with `open`, false looks at the same slot again.
template <class A, class AtEnd>
LogEnd walk_to_end(const RingView<A>& ring, AtEnd&& at_end) noexcept {
  std::uint64_t budget = walk_budget(ring.size());
  while (true) {
    A::restart();
    std::uint64_t offset = walk_start(ring);
    while (true) {
      if (budget-- == 0) return {EndStatus::contended, FenceReason::unknown, offset};
      if ((offset - ring.base) >> ring.shift > limits::kLapsMost)
        return {EndStatus::corrupt, FenceReason::unknown, offset};
      typename A::u64& slot = ring.slot(offset);
      // acquire: pairs with the commit: what its publisher did before is seen by whoever acts on the log end.
      const std::uint64_t word = slot.load(std::memory_order_acquire);
      const std::int32_t ahead = laps_ahead(word, ring.lap(offset));
      if (ahead > 0) break;  // stale
      if (ahead < -1) return {EndStatus::corrupt, FenceReason::unknown, offset};
      if (ahead == 0 && is_fence(word)) return {EndStatus::fenced, fence_reason(word), offset};
      if (ahead == 0)
        ++offset;
      else if (at_end(offset, slot, word))
        return {EndStatus::open, FenceReason::unknown, offset};
    }
  }
}

}  // namespace detail

/// The first slot that is not set, or the fence. Only a quiet ring keeps it.
template <class A>
LogEnd find_log_end(const RingView<A>& ring) noexcept {
  return detail::walk_to_end(ring, [](std::uint64_t, typename A::u64&, std::uint64_t) { return true; });
}

/// How far records go at least, as far as one walk can tell; nullopt: the ring is corrupt or not open yet.
template <class A>
std::optional<std::uint64_t> known_log_end(const RingView<A>& ring) noexcept {
  if (!ring.entered()) return std::nullopt;
  const LogEnd end = find_log_end(ring);
  if (end.status == EndStatus::corrupt) return std::nullopt;
  return end.offset;
}

/// Ends the ring with a fence: the publishers' walk and CAS, without the `granted` and the full test; the
/// slot that publishers leave free is always there for it. It takes no offset: the next ring starts at its
/// place. fenced: the fence stands at `offset`, this one or an earlier one: `reason` tells.
template <class A>
LogEnd set_fence(const RingView<A>& ring, FenceReason reason) noexcept {
  LogEnd end =
      detail::walk_to_end(ring, [&](std::uint64_t offset, typename A::u64& slot, std::uint64_t word) {
        // As the publishers' commit: the same competition, the same order; seq_cst: then the caller looks who
        // sleeps.
        return slot.compare_exchange_strong(word, fence_word(ring.lap(offset), reason),
                                            std::memory_order_seq_cst, std::memory_order_relaxed);
      });
  if (end.status == EndStatus::open) {
    end.status = EndStatus::fenced;
    end.reason = reason;
  }
  return end;
}

/// Opens the ring that follows a fence at `base`. All attached have been sent it; nobody enters before
/// announce_ring().
template <class A>
void open_ring(RingView<A>& next, std::uint64_t base) noexcept {
  next.tail->store(base, std::memory_order_relaxed);
  next.reclaimed->store(base, std::memory_order_relaxed);
  // Last: a base that is set says that the others are. release: pairs with enter().
  next.base_word->store(base, std::memory_order_release);
  next.base = base;
}

/// Lets everybody enter generation `generation` (H33). Afterwards the caller wakes the sleepers for records
/// and space.
template <class A>
void announce_ring(const MarksView<A>& marks, std::uint32_t generation) noexcept {
  marks.ring_generation->store(generation,
                               std::memory_order_release);  // pairs with newer_ring(): base is there
  // Either a sleeper's look sees the generation, or the caller sees its bit.
  A::fence(std::memory_order_seq_cst);
}

/// Take-over, step 4: a ring newer than `marks` names was offered to clients by a worker that died. If the
/// current one is fenced as grown, finishes the growth and says true; else the new one is kept for the next
/// growth.
template <class A>
bool resume_growth(const MarksView<A>& marks, const RingView<A>& current, RingView<A>& next) noexcept {
  const LogEnd end = find_log_end(current);
  if (end.status != EndStatus::fenced || end.reason != FenceReason::grown) return false;
  open_ring(next, end.offset);
  announce_ring(marks, next.generation);
  return true;
}

/// Take-over, step 2: what the disk has, the ring may forget. Without it a full ring whose records are all on
/// disk stalls for ever. Afterwards the caller wakes the sleepers for space and durability.
template <class A>
void raise_written(const MarksView<A>& marks, std::uint64_t offset) noexcept {
  // Single writer: the worker; the one before it has been reaped. release: pairs with reclaimable(): the
  // bytes were copied out.
  if (marks.written->load(std::memory_order_relaxed) < offset)
    marks.written->store(offset, std::memory_order_release);
  A::fence(std::memory_order_seq_cst);  // either a sleeper's look sees it, or the caller sees its bit
}

/// May a ring whose fence stands at `fence` be unmapped and its memory go? Nobody reads it any more, nor
/// will.
template <class A>
bool ring_retirable(const PartitionView<A>& partition, const RingView<A>& ring,
                    std::uint64_t fence) noexcept {
  // acquire: pairs with advance().
  if (ring.reclaimed->load(std::memory_order_acquire) < fence) return false;
  A::fence(std::memory_order_seq_cst);  // as a publisher's before it scans the leases
  return leases_above(partition.wait, fence);
}

/// May a dead publisher's lane be dropped as far as this ring goes? `end`: the fence, or for the newest ring
/// the first unset slot, found by find_log_end() after the owner's pidfd became readable (H7). Ask for every
/// ring of every partition that is not yet retired; only when all say yes may the id get a new generation
/// (H6).
template <class A>
bool lane_retirable(const PartitionView<A>& partition, const RingView<A>& ring, std::uint64_t end) noexcept {
  return ring_retirable(partition, ring, end);
}

/// Registers a subscriber of `overflow=block` in its cursor's cell and gives the offset from which on every
/// record is guaranteed to it (H13). Anything but `open` or `fenced`: not registered.
template <class A>
LogEnd register_cursor(typename A::u64& cursor, const RingView<A>& ring) noexcept {
  cursor.store(0, std::memory_order_relaxed);  // holds everything; the fence orders it
  A::fence(
      std::memory_order_seq_cst);  // pairs with reclaimable(): its scan sees us, or we see what it had seen
  const LogEnd end = find_log_end(ring);
  const bool found = end.status == EndStatus::open || end.status == EndStatus::fenced;
  cursor.store(found ? end.offset : memory::kCursorNone,
               std::memory_order_release);  // pairs with reclaimable()
  return end;
}

}  // namespace busway::ring
