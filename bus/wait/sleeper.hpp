// Sleeping on the session's bell until something becomes true in a topic.
//
// A process has one sleeper bit per topic, and its threads share it: they are counted per line under a mutex,
// the bit is set at 0 -> 1 and cleared at 1 -> 0 (H29). The order that loses no wake: load the bell,
// announce, look, wait on the loaded value, retract. Every sleep is bounded and whoever wakes looks again, so
// a wake that gets lost all the same costs latency, never a record. Thread safety: any number of threads.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "bus/memory/wait_layout.hpp"
#include "bus/ring/views.hpp"
#include "bus/wait/futex.hpp"

namespace busway::wait {

/// What one sleeps for.
enum class Line : std::uint8_t {
  records = 0,  ///< a record, a fence, a new ring
  space = 1,    ///< something became reclaimable, or may be granted
  durable = 2,  ///< `durable` or `written` moved
};
inline constexpr std::size_t kLines = 3;

struct Spot {
  std::uint32_t partition = 0;
  Line line = Line::records;
};

/// How long to sleep at most: longer from turn to turn, since the daemon sweeps quiet topics ever more
/// seldom.
class Backoff {
 public:
  constexpr Backoff(std::chrono::nanoseconds first, std::chrono::nanoseconds most) noexcept
      : next_(first), first_(first), most_(most) {}
  std::chrono::nanoseconds next() noexcept {
    const auto now = next_;
    next_ = next_ * 2 < most_ ? next_ * 2 : most_;
    return now;
  }
  void reset() noexcept { next_ = first_; }

 private:
  std::chrono::nanoseconds next_;
  std::chrono::nanoseconds first_;
  std::chrono::nanoseconds most_;
};

/// The bounds of ordinary sleeps.
constexpr Backoff sleep_backoff() noexcept {
  return {std::chrono::milliseconds{50}, std::chrono::seconds{5}};
}

class Sleeper {
 public:
  /// The longest sleep of a process that has no bit: nobody but the sweep wakes it.
  static constexpr std::chrono::nanoseconds kWithoutBit = std::chrono::milliseconds{100};

  /// `bit`: given by the daemon; none if more processes are attached than there are bits.
  Sleeper(memory::WaitHeader* wait, std::uint32_t partitions, std::optional<std::uint32_t> bit);

  /// Counts the calling thread in on these lines. `bell` was loaded before (H17), the look comes after.
  void announce(std::span<const Spot> spots) noexcept;
  void retract(std::span<const Spot> spots) noexcept;

  /// Sleeps until the bell rings or `bound` has passed, unless `ready()` (which must not throw) says that
  /// there is no need to. Returns what it said; after a sleep the caller looks again.
  template <class Ready>
  bool sleep(const memory::Atomic32& bell, std::span<const Spot> spots, Ready&& ready,
             std::chrono::nanoseconds bound) noexcept {
    // First (H17): a ring after this load makes the futex wait return at once. acquire: nothing below moves
    // up.
    const std::uint32_t before = bell.load(std::memory_order_acquire);
    announce(spots);
    const bool already = ready();
    if (!already) futex_wait(bell, before, bit_ ? bound : std::min(bound, kWithoutBit));
    retract(spots);
    return already;
  }

 private:
  std::uint32_t& count(const Spot& spot) noexcept {
    return counts_[spot.partition * kLines + static_cast<std::size_t>(spot.line)];
  }
  ring::SleepersView<memory::StdAtomics> line_of(const Spot& spot) const noexcept;

  memory::PartitionWait* partitions_;
  std::optional<std::uint32_t> bit_;
  std::mutex mutex_;
  std::vector<std::uint32_t> counts_;  // threads on each line; guarded by mutex_
};

}  // namespace busway::wait
