// The clocks. Order never depends on one: timestamps are data, deadlines are monotonic.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include <time.h>

namespace busway {

/// A monotonic deadline. Deadline::never() does not pass.
class Deadline {
 public:
  using Clock = std::chrono::steady_clock;
  static Deadline after(std::chrono::nanoseconds span) noexcept {
    const auto now = Clock::now();
    return span > Clock::time_point::max() - now ? never() : Deadline(now + span);
  }
  static Deadline never() noexcept { return Deadline(Clock::time_point::max()); }
  static Deadline now() noexcept { return Deadline(Clock::now()); }

  bool passed() const noexcept { return at_ != Clock::time_point::max() && Clock::now() >= at_; }
  /// What is left, never negative.
  std::chrono::nanoseconds left() const noexcept {
    if (at_ == Clock::time_point::max()) return std::chrono::nanoseconds::max();
    const auto now = Clock::now();
    return now >= at_ ? std::chrono::nanoseconds{0} : std::chrono::nanoseconds{at_ - now};
  }

 private:
  explicit Deadline(Clock::time_point at) noexcept : at_(at) {}
  Clock::time_point at_;
};

/// A deadline whose time runs from when it is first asked for: a call that finds what it wants does not look
/// at the clock, which on a virtual machine takes longer than reading a record. Not thread safe.
class LazyDeadline {
 public:
  /// At once.
  LazyDeadline() noexcept = default;
  explicit LazyDeadline(std::chrono::nanoseconds span) noexcept : span_(span) {}
  LazyDeadline(const Deadline& started) noexcept : started_(started) {}

  const Deadline& get() noexcept {
    if (!started_) started_ = Deadline::after(span_);
    return *started_;
  }

 private:
  std::chrono::nanoseconds span_{0};
  std::optional<Deadline> started_;
};

constexpr std::int64_t unix_ms_of(const timespec& time) noexcept {
  return static_cast<std::int64_t>(time.tv_sec) * 1000 + time.tv_nsec / 1'000'000;
}

/// Milliseconds since 1970 with 1 to 4 ms steps; costs a few ns (CLOCK_REALTIME_COARSE).
inline std::int64_t coarse_unix_ms() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return unix_ms_of(now);
}

/// Milliseconds since 1970, precise.
inline std::int64_t precise_unix_ms() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return unix_ms_of(now);
}

/// Milliseconds since 1970 for who asks for each record: calls the kernel's vDSO (vdso(7)) without the C
/// library in between, where that can be found. A plain value.
class WallClock {
 public:
  /// `id`: CLOCK_REALTIME_COARSE (1 to 4 ms steps) or CLOCK_REALTIME.
  explicit WallClock(clockid_t id) noexcept;
  std::int64_t unix_ms() const noexcept {
    timespec now;  // written by a call that cannot fail; zeros would be stores that a publish waits for
    gettime_(id_, &now);
    return unix_ms_of(now);
  }

 private:
  int (*gettime_)(clockid_t, timespec*);
  clockid_t id_;
};

}  // namespace busway
