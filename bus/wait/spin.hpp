// Bounded spinning before a sleep.
//
// Each look at an empty slot pulls its cache line away from the publisher, so a reader that looks without a
// pause slows down the very record it waits for; a pause of about 250 ns triples the throughput of a stream
// of small records, but costs that much on a round trip. So a reader that met the end of a stream (it read
// several records since it last waited) pauses long; one that waits for an answer looks without a pause for
// the first microseconds and pauses once between looks from then on.
#pragma once

#include <chrono>
#include <cstdint>

namespace busway::wait {

inline void pause_once() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

/// Until the loads before it are done, none behind it begins. Without it a core has several looks under way
/// at once, and when the line changes throws them all away and starts over.
inline void finish_loads() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_lfence();
#elif defined(__aarch64__)
  asm volatile("dsb ld" ::: "memory");
#endif
}

/// How many pause_once() last about 250 ns on this machine; measured once, at first use.
std::uint32_t pauses_per_quarter_us() noexcept;

inline void pause_quarter_us() noexcept {
  for (std::uint32_t left = pauses_per_quarter_us(); left != 0; --left) pause_once();
}

/// How often one who waits looks.
enum class Pace : std::uint8_t {
  eager,   ///< for an answer that is on its way: without a pause at first
  steady,  ///< a pause between looks
  stream,  ///< long pauses: the look itself slows down what is waited for
};

/// One wait's worth of spinning. Not thread safe.
class Spinner {
 public:
  using Clock = std::chrono::steady_clock;
  Spinner(std::chrono::nanoseconds bound, Pace pace) noexcept
      : bound_(bound),
        pauses_(pace == Pace::stream ? pauses_per_quarter_us() : 1),
        eager_turns_(pace == Pace::eager ? kEagerTurns : 0) {}

  /// For somebody who waits for the disk, or for work for it: lets others have the core now and then. The
  /// kernel's own threads do the writing, and one that has been queued behind a spinner waits for the next
  /// tick, 4 ms.
  static Spinner for_the_disk(std::chrono::nanoseconds bound, Pace pace) noexcept {
    Spinner spinner(bound, pace);
    spinner.yields_ = true;
    return spinner;
  }

  /// Pauses. False once the bound has passed: go to sleep.
  bool turn() noexcept {
    if (eager_turns_ != 0) {
      --eager_turns_;
      finish_loads();
    } else {
      for (std::uint32_t i = 0; i < pauses_; ++i) pause_once();
    }
    if (++turns_ % kTurnsPerClock != 0) return bound_ > std::chrono::nanoseconds::zero();
    if (yields_) yield();
    return before_bound();
  }

 private:
  /// An answer is on its way: a pause, 25 ns on some machines, would be part of every round trip.
  static constexpr std::uint32_t kEagerTurns = 1024;
  static constexpr std::uint32_t kTurnsPerClock = 16;
  bool before_bound() noexcept;
  static void yield() noexcept;

  std::chrono::nanoseconds bound_;
  Clock::time_point until_{};
  std::uint32_t pauses_;
  std::uint32_t eager_turns_;
  std::uint32_t turns_ = 0;
  bool yields_ = false;
};

}  // namespace busway::wait
