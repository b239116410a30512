#include "bench/micro/cores.hpp"

#include <atomic>
#include <stdexcept>
#include <vector>

#include <sched.h>

#include "bench/micro/statistics.hpp"
#include "bus/base/limits.hpp"
#include "bus/wait/spin.hpp"

namespace busway::bench {
namespace {

std::vector<unsigned> read_usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  ::sched_getaffinity(0, sizeof set, &set);
  std::vector<unsigned> cores;
  for (unsigned core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) cores.push_back(core);
  }
  return cores;
}

/// As they were before anything was pinned.
const std::vector<unsigned>& cores() {
  static const std::vector<unsigned> all = read_usable_cores();
  return all;
}

struct alignas(2 * limits::kCacheLine) Line {
  std::atomic<std::uint32_t> value{0};
};

}  // namespace

unsigned usable_cores() { return static_cast<unsigned>(cores().size()); }

unsigned core_number(unsigned nth) { return cores().at(nth % cores().size()); }

void pin_this_thread(unsigned nth) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core_number(nth), &set);
  if (::sched_setaffinity(0, sizeof set, &set) != 0)
    throw std::runtime_error("cannot pin a thread to a core");
}

OtherCore::OtherCore() : thread_([this] { serve(); }) {
  // Until it is on its own core: whoever spins for it on this one would keep it from getting there.
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return ready_; });
}

OtherCore::~OtherCore() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void OtherCore::start(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    work_ = std::move(work);
  }
  changed_.notify_all();
}

void OtherCore::join() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !work_; });
}

void OtherCore::serve() {
  pin_this_thread(1);
  std::unique_lock lock(mutex_);
  ready_ = true;
  changed_.notify_all();
  while (true) {
    changed_.wait(lock, [this] { return work_ || stopping_; });
    if (stopping_) return;
    const std::function<void()> work = work_;
    lock.unlock();
    work();
    lock.lock();
    work_ = nullptr;
    changed_.notify_all();
  }
}

OtherCore& other_core() {
  static OtherCore core;
  return core;
}

void run_on_both(const std::function<void()>& there, const std::function<void()>& here) {
  std::atomic<bool> begun{false};
  other_core().start([&] {
    begun.store(true, std::memory_order_release);  // pairs with the wait below
    there();
  });
  while (!begun.load(std::memory_order_acquire)) continue;
  here();
  other_core().join();
}

double bare_round_trip_ns(std::uint32_t bursts) {
  Line ping;
  Line pong;
  std::vector<double> spans_ns;
  spans_ns.reserve(bursts);
  const std::uint32_t last = bursts * kRoundsPerBurst;
  run_on_both(
      [&] {
        for (std::uint32_t round = 1; round <= last; ++round) {
          while (ping.value.load(std::memory_order_acquire) != round) continue;
          pong.value.store(round, std::memory_order_release);
        }
      },
      [&] {
        for (std::uint32_t round = 1; round <= last;) {
          const std::int64_t start = now_ns();
          for (std::uint32_t i = 0; i < kRoundsPerBurst; ++i, ++round) {
            ping.value.store(round, std::memory_order_release);
            while (pong.value.load(std::memory_order_acquire) != round) continue;
          }
          spans_ns.push_back(static_cast<double>(now_ns() - start) / kRoundsPerBurst);
        }
      });
  return median(spans_ns);
}

Distance distance_of(double round_trip_ns) noexcept {
  // Between the three levels that such machines show (about 50, 130 and 550 ns) on a logarithmic scale.
  constexpr double kNearMost = 85;
  constexpr double kMiddleMost = 270;
  if (round_trip_ns < kNearMost) return Distance::near;
  return round_trip_ns < kMiddleMost ? Distance::middle : Distance::far;
}

const char* text(Distance distance) noexcept {
  switch (distance) {
    case Distance::near:
      return "near";
    case Distance::middle:
      return "middle";
    case Distance::far:
      return "far";
  }
  return "?";
}

}  // namespace busway::bench
