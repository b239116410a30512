// Waking: other sessions through their bells, the daemon through its bitmaps and its bell.
//
// With nobody asleep and the partition's dirty bit still set this is loads alone: no store, no syscall. The
// caller has just made true what the others wait for, by a seq_cst operation or with a seq_cst fence behind
// it (bus/ring/sleep.hpp says why). Thread safety: a value over shared atomics; any thread may use it.
#pragma once

#include <cstdint>

#include "bus/memory/marks_layout.hpp"
#include "bus/ring/sleep.hpp"
#include "bus/ring/views.hpp"
#include "bus/wait/bells.hpp"

namespace busway::wait {

using Sleepers = ring::SleepersView<memory::StdAtomics>;

class Waker {
 public:
  Waker() = default;
  Waker(const BellsView& bells, const memory::MarksTables* tables) noexcept
      : bells_(bells), tables_(tables) {}

  /// Rings everybody who sleeps on this line.
  void wake(const Sleepers& sleepers) const noexcept {
    const memory::Atomic64* const words = sleepers.words;
    std::uint64_t any = 0;
#pragma GCC unroll 8
    for (std::uint32_t word = 0; word < limits::kSleepersPerTopic / 64; ++word)  // = sleepers.count
      // seq_cst: after what the caller made true; pairs with announce().
      any |= words[word].load(std::memory_order_seq_cst);
    if (any != 0) [[unlikely]]
      wake_sleepers(sleepers);
  }

  /// The partition with this ordinal has something to drain.
  void mark_dirty(std::uint32_t ordinal) const noexcept {
    if (ordinal >= limits::kPartitionsPerDaemon) return;
    memory::BellsHeader& header = *bells_.header;
    if (ring::mark_dirty<memory::StdAtomics>(header.dirty[ordinal / 64], std::uint64_t{1} << (ordinal % 64),
                                             header.daemon_asleep)) [[unlikely]]
      ring_daemon();
  }

  /// Somebody waits for the partition's durability. A request is cleared by a worker that may die before the
  /// sync: it is posted again at every turn of the wait (H21).
  void request_sync(std::uint32_t ordinal) const noexcept;

  /// Rings one session's bell, if there is such a session.
  void ring_session(std::uint32_t session) const noexcept;

 private:
  [[gnu::cold, gnu::noinline]] void wake_sleepers(const Sleepers& sleepers) const noexcept;
  [[gnu::cold, gnu::noinline]] void ring_daemon() const noexcept;

  BellsView bells_;
  const memory::MarksTables* tables_ = nullptr;
};

}  // namespace busway::wait
