// Sleeping without losing a wake, and waking without a syscall when nobody sleeps: who loads what in which
// order.
//
// The futex itself is not here: the callers give functions that ring a bell or wait on one (bus/wait).
//   sleeper: load the bell; set the sleeper's bit; look again; wait on the bell's loaded value
//   waker:   make it true; look at the bits; bell + 1; futex wake
// Both look after they have stored, all four accesses seq_cst: one of them sees the other. On x86 the loads
// are plain loads; on ARMv8 they must be ldar, since a CAS does not order its own store before a later plain
// load. Thread safety: all of it, any number of threads and processes.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <span>

#include "bus/ring/slot.hpp"
#include "bus/ring/views.hpp"

namespace busway::ring {

/// Sets this process's bit. The bell's word was loaded (acquire) before: a bell loaded after the last look
/// loses the wake (H17). Whatever is looked at afterwards, in whatever order, is seen as it was when a waker
/// found nobody asleep. Threads of one process share a bit: the process counts them under its own mutex and
/// announces at 0 -> 1, retracts at 1 -> 0 (H29).
template <class A>
void announce(const SleepersView<A>& sleepers, std::uint32_t bit) noexcept {
  sleepers.words[bit / 64].fetch_or(std::uint64_t{1} << (bit % 64),
                                    std::memory_order_relaxed);  // the fence orders it
  // Before the look that follows; pairs with the wakers' seq_cst loads in wake_all().
  A::fence(std::memory_order_seq_cst);
}

/// Clears it. Only its owner does: a waker that cleared it and was stopped before ringing would lose the wake
/// (H18).
template <class A>
void retract(const SleepersView<A>& sleepers, std::uint32_t bit) noexcept {
  // relaxed: a waker that still sees the bit rings once too often.
  sleepers.words[bit / 64].fetch_and(~(std::uint64_t{1} << (bit % 64)), std::memory_order_relaxed);
}

/// The look between announce() and the wait, of one who wants to read `offset`: is there reason to stay
/// awake? `fence_known`: the reader has met this ring's fence and waits for the next ring.
template <class A>
bool readable_now(const PartitionView<A>& partition, const RingView<A>& ring, std::uint64_t offset,
                  bool fence_known) noexcept {
  // acquire, all, behind announce()'s fence: pair with the commit, with advance(), with announce_ring().
  if (!fence_known && laps_ahead(ring.slot(offset).load(std::memory_order_acquire), ring.lap(offset)) >= 0)
    return true;
  return ring.reclaimed->load(std::memory_order_acquire) > offset ||
         partition.marks.ring_generation->load(std::memory_order_acquire) != ring.generation;
}

/// One sleep of one who shares his bit with nobody: bell first, then the bit, then the look, then the wait.
/// `stay_awake()` is the look; `wait(value)` is FUTEX_WAIT (shared) on `bell` while it is `value`, bounded.
template <class A, class StayAwake, class Wait>
void sleep_unless(typename A::u32& bell, const SleepersView<A>& sleepers, std::uint32_t bit,
                  StayAwake&& stay_awake, Wait&& wait) noexcept {
  const std::uint32_t before = bell.load(std::memory_order_acquire);  // pairs with nothing but the futex
  announce(sleepers, bit);
  if (!stay_awake()) wait(before);
  retract(sleepers, bit);
}

/// Rings everybody whose bit is set, once what they wait for is true. `ring_bell(bit)` adds 1 to that
/// sleeper's bell and makes the FUTEX_WAKE syscall. With nobody asleep: loads of one line.
template <class A, class RingBell>
void wake_all(const SleepersView<A>& sleepers, RingBell&& ring_bell) noexcept {
  for (std::uint32_t word = 0; word < sleepers.count; ++word) {
    // seq_cst: after our commit (or a seq_cst fence after our store); pairs with announce().
    std::uint64_t bits = sleepers.words[word].load(std::memory_order_seq_cst);
    for (; bits != 0; bits &= bits - 1)
      ring_bell(word * 64 + static_cast<std::uint32_t>(std::countr_zero(bits)));
  }
}

/// Tells the daemon that the partition of `bit` in `dirty` has something to drain. True: it sleeps (or is
/// about to), and the caller adds 1 to its bell and makes the FUTEX_WAKE syscall. While the bit is set: one
/// load.
template <class A>
[[nodiscard]] bool mark_dirty(typename A::u64& dirty, std::uint64_t bit,
                              typename A::u32& daemon_asleep) noexcept {
  // seq_cst: after our commit: a bit that is still set will be taken after it, and then our slot is seen.
  if ((dirty.load(std::memory_order_seq_cst) & bit) != 0) return false;
  dirty.fetch_or(bit, std::memory_order_seq_cst);
  // seq_cst: after our bit; pairs with daemon_sleep()'s exchange.
  return daemon_asleep.load(std::memory_order_seq_cst) != 0;
}

/// One turn of the idle daemon: sleeps unless somebody is dirty. `wait(value)` is FUTEX_WAIT on `bell`,
/// bounded.
template <class A, class Wait>
void daemon_sleep(typename A::u32& bell, typename A::u32& asleep, std::span<typename A::u64> dirty,
                  Wait&& wait) noexcept {
  const std::uint32_t before =
      bell.load(std::memory_order_acquire);  // first (H17); pairs with nothing but the futex
  asleep.exchange(1, std::memory_order_seq_cst);
  bool idle = true;
  for (typename A::u64& word : dirty)
    // seq_cst: after `asleep`; pairs with mark_dirty().
    if (word.load(std::memory_order_seq_cst) != 0) {
      idle = false;
      break;
    }
  if (idle) wait(before);
  asleep.store(0, std::memory_order_relaxed);  // whoever still sees 1 rings once too often
}

/// Takes one word of dirty bits; the slots are looked at afterwards.
template <class A>
std::uint64_t take_dirty(typename A::u64& dirty) noexcept {
  // Cheap first look: an idle word stays shared.
  if (dirty.load(std::memory_order_relaxed) == 0) return 0;
  // seq_cst: a publisher that found its bit still set committed before this...
  const std::uint64_t bits = dirty.exchange(0, std::memory_order_seq_cst);
  // ... and this makes its slot seen by the acquire loads that follow: without it the daemon may look at a
  // stale slot, find nothing and sleep on a record that nobody rings for again (docs/ring.md, C1).
  A::fence(std::memory_order_seq_cst);
  return bits;
}

}  // namespace busway::ring
