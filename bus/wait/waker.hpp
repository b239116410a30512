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
  Waker(const BellsView& bells, const memory::MarksHeader* marks) noexcept : bells_(bells), marks_(marks) {}

  /// Is anybody to be rung who sleeps on this line? One word holds the bits of the first 64 processes.
  bool asleep(const Sleepers& sleepers) const noexcept {
    // seq_cst, both: after what the caller made true; the first pairs with announce(), the second with
    // Topic::give_bit(). Beyond one word nobody is told apart: wake_sleepers() looks.
    return sleepers.words[0].load(std::memory_order_seq_cst) != 0 ||
           marks_->sleeper_words.load(std::memory_order_seq_cst) > 1;
  }

  /// Rings everybody who sleeps on this line.
  void wake(const Sleepers& sleepers) const noexcept {
    if (asleep(sleepers)) [[unlikely]]
      wake_sleepers(sleepers);
  }

  /// Does the daemon know already that the partition with this ordinal has something to drain?
  bool is_dirty(std::uint32_t ordinal) const noexcept {
    // seq_cst: as in ring::mark_dirty().
    return ordinal < limits::kPartitionsPerDaemon &&
           (bells_.header->dirty[ordinal / 64].load(std::memory_order_seq_cst) &
            (std::uint64_t{1} << (ordinal % 64))) != 0;
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
  const memory::MarksHeader* marks_ = nullptr;
};

}  // namespace busway::wait
