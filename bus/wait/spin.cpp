#include "bus/wait/spin.hpp"

#include <algorithm>

#include <sched.h>

namespace busway::wait {
namespace {

std::uint32_t measure_pauses() noexcept {
  constexpr std::uint32_t kRounds = 200;
  std::int64_t best_ns = INT64_MAX;
  for (int attempt = 0; attempt < 5;
       ++attempt) {  // the best of several: a preempted attempt measures the scheduler
    const auto start = Spinner::Clock::now();
    for (std::uint32_t i = 0; i < kRounds; ++i) pause_once();
    const auto span =
        std::chrono::duration_cast<std::chrono::nanoseconds>(Spinner::Clock::now() - start).count();
    best_ns = std::min<std::int64_t>(best_ns, span);
  }
  const double one = std::max(1.0, static_cast<double>(best_ns) / kRounds);
  return static_cast<std::uint32_t>(std::clamp(250.0 / one, 1.0, 250.0));
}

}  // namespace

std::uint32_t pauses_per_quarter_us() noexcept {
  static const std::uint32_t pauses = measure_pauses();
  return pauses;
}

void Spinner::yield() noexcept { ::sched_yield(); }

bool Spinner::before_bound() noexcept {
  const auto now = Clock::now();
  if (until_ == Clock::time_point{}) until_ = now + bound_;
  return now < until_;
}

}  // namespace busway::wait
