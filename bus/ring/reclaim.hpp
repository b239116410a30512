// Moving `reclaimed`: what may be overwritten, decided by everybody for himself.
//
// Invariants: log end - N <= reclaimed <= max(base, reclaimable); it only grows; it never passes its own
// ring's fence (H26), since `seen` is bounded by what the caller saw set in this very ring. Thread safety:
// any number of threads and processes may advance one ring.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "bus/ring/slot.hpp"
#include "bus/ring/views.hpp"

namespace busway::ring {

/// Up to where `ring` of `partition` may be reclaimed, given that slot seen - 1 of this ring was seen set.
template <class A>
std::uint64_t reclaimable(const PartitionView<A>& partition, std::uint64_t seen) noexcept {
  switch (partition.reclaim) {
    case Reclaim::logged:
      // acquire: pairs with the daemon's release store: whoever reclaims knows that the bytes were copied
      // out.
      return std::min(seen, partition.marks.written->load(std::memory_order_acquire));
    case Reclaim::drop_oldest:
      return seen;
    case Reclaim::block:
      break;
  }
  // `seen` was read before this fence; a subscriber registers with cursor 0, fence, walk to the log end
  // (H13): either the scan below meets its cursor, or its walk starts at or beyond `seen`.
  A::fence(std::memory_order_seq_cst);
  std::uint64_t least = seen;
  const std::uint32_t cells = partition.wait.cells_in_use();
  for (std::uint32_t cell = 0; cell < cells; ++cell)
    // acquire: pairs with the subscriber's release store: it has done with the bytes below. An empty cell is
    // all ones.
    least = std::min(least, partition.wait.cursors[cell].load(std::memory_order_acquire));
  return least;
}

/// Sees to it that `ring`'s reclaimed is at least `need`; moves it to `want` if that may be, so that the next
/// callers find it done. `seen`: slot seen - 1 of this ring was seen set by the caller. False: not
/// reclaimable yet.
template <class A>
bool advance(const PartitionView<A>& partition, const RingView<A>& ring, std::uint64_t need,
             std::uint64_t want, std::uint64_t seen) noexcept {
  // acquire: pairs with the CAS below: who finds it advanced knows what the advancer knew.
  std::uint64_t now = ring.reclaimed->load(std::memory_order_acquire);
  while (now < need) {
    const std::uint64_t cap = reclaimable(partition, seen);
    if (cap < need) return false;
    const std::uint64_t to = std::clamp(want, need, cap);
    // A CAS: a plain store could move it back, a fetch_add counts twice (H14). release: whoever sees the new
    // value may overwrite, so it must see what was seen here; acquire: as above.
    if (ring.reclaimed->compare_exchange_strong(now, to, std::memory_order_acq_rel,
                                                std::memory_order_relaxed))
      return true;
    now = ring.reclaimed->load(std::memory_order_acquire);
  }
  return true;
}

/// Is every lease on this partition at or above `offset`, or gone? The caller has put a seq_cst fence between
/// what it learnt (reclaimed >= offset) and this scan; the holder puts one between its lease and its look at
/// `reclaimed`.
template <class A>
bool leases_above(const WaitView<A>& wait, std::uint64_t offset) noexcept {
  const std::uint32_t cells = wait.cells_in_use();
  for (std::uint32_t cell = 0; cell < cells; ++cell) {
    // acquire: pairs with the holder's release: its last look at the bytes is over.
    const std::uint64_t lease = wait.leases[cell].load(std::memory_order_acquire);
    if (lease_counts(lease) && lease_offset(lease) < offset) return false;
  }
  return true;
}

}  // namespace busway::ring
