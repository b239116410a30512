// The two cores that every figure runs on, and the probe that says how far apart they are.
//
// A virtual machine's cores wander over those of its host: whether the two share a cache changes within
// minutes, and with it everything that bounces a line between them. So each comparison is taken between two
// probes, and only what was measured in one class of distance is compared.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>

namespace busway::bench {

/// CPUs that this process may use.
unsigned usable_cores();
/// Pins the calling thread to the nth of them.
void pin_this_thread(unsigned nth);
/// Number of that CPU, for taskset of another process.
unsigned core_number(unsigned nth);

/// Monotonic nanoseconds.
inline std::int64_t now_ns() noexcept {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

/// A thread on the second core that does one thing at a time and sleeps in between. Belongs to one thread.
class OtherCore {
 public:
  OtherCore();
  OtherCore(const OtherCore&) = delete;
  OtherCore& operator=(const OtherCore&) = delete;
  ~OtherCore();

  void start(std::function<void()> work);
  /// Returns when the work is done.
  void join();

 private:
  void serve();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> work_;  // guarded by mutex_; empty: nothing to do
  bool ready_ = false;          // guarded by mutex_
  bool stopping_ = false;       // guarded by mutex_
  std::thread thread_;
};

/// The one of this process.
OtherCore& other_core();

/// Runs `there` on the second core beside `here` on this one, begun together; returns when both are done.
void run_on_both(const std::function<void()>& there, const std::function<void()>& here);

/// Round trips that are timed as one, so that a thread that is preempted spoils few of them.
inline constexpr std::uint32_t kRoundsPerBurst = 64;

/// The probe, and the raw limit of every round trip: A writes a cache line, B answers in another, both pinned
/// and without a pause. The median of `bursts`, in nanoseconds for one round trip.
double bare_round_trip_ns(std::uint32_t bursts = 60);

/// What the probe measured, in classes within which figures may be compared.
enum class Distance : std::uint8_t { near = 0, middle = 1, far = 2 };
Distance distance_of(double round_trip_ns) noexcept;
const char* text(Distance distance) noexcept;

}  // namespace busway::bench
