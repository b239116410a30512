#include "daemon/drain.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <future>

#include "bus/base/clock.hpp"
#include "bus/ring/sleep.hpp"
#include "bus/wait/futex.hpp"
#include "bus/wait/spin.hpp"

namespace busway::daemon {
namespace {

using memory::StdAtomics;
using namespace std::chrono_literals;

/// A partition's share of one round, so that a busy one does not starve the others.
constexpr std::size_t kTurnBytes = 1024 * 1024;
/// How long a look at the completions may keep us from the dirty bits.
constexpr auto kReapWait = 200us;
/// Partitions count as active that had records within this time.
constexpr std::int64_t kActiveMs = 10'000;

}  // namespace

Drain::Drain(memory::BellsHeader& bells, Disk& disk, StagingArena& staging, const DrainOptions& options)
    : bells_(bells), disk_(disk), staging_(staging), options_(options) {}

Drain::~Drain() { stop(); }

void Drain::start() {
  thread_ = std::thread([this] { run(); });
}

void Drain::stop() {
  if (!thread_.joinable()) return;
  stopping_.store(true, std::memory_order_release);  // pairs with run()
  wake();
  thread_.join();
}

void Drain::post(std::function<void()> work) {
  {
    const std::lock_guard lock(posted_mutex_);
    posted_.push_back(std::move(work));
    has_posted_.store(true, std::memory_order_seq_cst);  // before the bell; pairs with sleep()
  }
  wake();
}

void Drain::run_and_wait(const std::function<void()>& work) {
  std::promise<void> ran;
  post([&] {
    work();
    ran.set_value();
  });
  ran.get_future().wait();
}

void Drain::wake() noexcept {
  bells_.daemon_bell.fetch_add(1,
                               std::memory_order_seq_cst);  // a sleeper that loaded it before will not sleep
  wait::futex_wake_all(bells_.daemon_bell);
}

void Drain::add(std::shared_ptr<PartitionDrain> partition) {
  const std::uint32_t ordinal = partition->ordinal();
  if (ordinal >= partitions_.size()) {
    partitions_.resize(ordinal + 1);
    is_active_.resize(ordinal + 1);
    words_ = ordinal / 64 + 1;
  }
  partitions_[ordinal] = std::move(partition);
  activate(ordinal);
}

PartitionDrain* Drain::find(std::uint32_t ordinal) noexcept {
  return ordinal < partitions_.size() ? partitions_[ordinal].get() : nullptr;
}

void Drain::remove(std::uint32_t ordinal, std::function<void(std::shared_ptr<PartitionDrain>)> done) {
  removals_.push_back({ordinal, std::move(done)});
}

void Drain::finish_all(std::function<void()> done) {
  finished_ = std::move(done);
  for (const auto& partition : partitions_) {
    if (!partition) continue;
    partition->want_sync();
    activate(partition->ordinal());
  }
}

void Drain::activate(std::uint32_t ordinal) {
  if (ordinal >= partitions_.size() || !partitions_[ordinal] || is_active_[ordinal]) return;
  is_active_[ordinal] = true;
  active_.push_back(ordinal);
}

void Drain::run() {
  while (!stopping_.load(std::memory_order_acquire) || any_in_flight()) {
    now_ms_ = coarse_unix_ms();
    bool progress = run_posted();
    progress |= take_bits();
    progress |= turns();
    progress |= reap(0ns);
    syncs();
    settle_removals();
    if (finished_ && all_finished()) std::exchange(finished_, nullptr)();
    sweep();
    if (progress) continue;
    if (any_in_flight()) {
      reap(kReapWait);
    } else if (!spin()) {
      sleep();
    }
  }
}

bool Drain::run_posted() {
  if (!has_posted_.load(std::memory_order_acquire)) return false;
  std::vector<std::function<void()>> work;
  {
    const std::lock_guard lock(posted_mutex_);
    work.swap(posted_);
    has_posted_.store(false, std::memory_order_relaxed);
  }
  for (const auto& each : work) each();
  return true;
}

bool Drain::take_bits() {
  bool any = false;
  for (std::size_t word = 0; word < words_; ++word) {
    std::uint64_t dirty = ring::take_dirty<StdAtomics>(bells_.dirty[word]);
    std::uint64_t sync = ring::take_dirty<StdAtomics>(bells_.sync[word]);
    any |= (dirty | sync) != 0;
    for (std::uint64_t bits = dirty | sync; bits != 0; bits &= bits - 1) {
      const auto ordinal =
          static_cast<std::uint32_t>(word * 64) + static_cast<std::uint32_t>(std::countr_zero(bits));
      PartitionDrain* partition = find(ordinal);
      if (partition == nullptr) continue;  // anybody may set any bit
      if ((sync & bits & -bits) != 0) partition->want_sync();
      activate(ordinal);
    }
  }
  return any;
}

bool Drain::turns() {
  bool progress = false;
  for (const std::uint32_t ordinal : active_) {
    const DrainTurn turn = partitions_[ordinal]->turn(now_ms_, kTurnBytes);
    progress |= turn == DrainTurn::progress;
  }
  return progress;
}

void Drain::syncs() {
  const PartitionDrain::SyncOccasion occasion{.hurry = staging_.is_short(), .alone = active_.size() == 1};
  std::erase_if(active_, [&](std::uint32_t ordinal) {
    PartitionDrain& partition = *partitions_[ordinal];
    partition.sync_if_due(now_ms_, occasion);
    if (partition.busy()) return false;
    is_active_[ordinal] = false;
    return true;
  });
}

bool Drain::reap(std::chrono::nanoseconds wait) {
  std::array<DiskCompletion, 64> completions;
  const std::size_t count = disk_.reap(completions, wait);
  for (std::size_t i = 0; i < count; ++i) {
    if (PartitionDrain* partition = find(PartitionLog::tag_of(completions[i].token))) {
      partition->complete(completions[i]);
    }
  }
  return count != 0;
}

void Drain::settle_removals() {
  std::erase_if(removals_, [this](Removal& removal) {
    PartitionDrain* partition = find(removal.ordinal);
    if (partition != nullptr && !partition->quiet_on_disk()) return false;
    std::erase(active_, removal.ordinal);
    if (partition != nullptr) is_active_[removal.ordinal] = false;
    removal.done(partition != nullptr ? std::move(partitions_[removal.ordinal]) : nullptr);
    return true;
  });
}

bool Drain::all_finished() {
  return std::all_of(partitions_.begin(), partitions_.end(), [](const auto& partition) {
    if (!partition || partition->log().health() != LogHealth::running) return true;
    return partition->at_rest() && !partition->busy();
  });
}

void Drain::sweep_one(PartitionDrain& partition) {
  if (partition.pending()) {
    activate(partition.ordinal());
    partition.ring_readers();
  }
  partition.tick(now_ms_);
}

void Drain::sweep() {
  if (now_ms_ - swept_active_ms_ < options_.sweep_active.count()) return;
  swept_active_ms_ = now_ms_;
  const bool quiet_too = now_ms_ - swept_quiet_ms_ >= options_.sweep_quiet.count();
  if (quiet_too) swept_quiet_ms_ = now_ms_;
  for (const auto& partition : partitions_) {
    if (!partition) continue;
    if (quiet_too || partition->busy() || now_ms_ - partition->last_active_ms() < kActiveMs)
      sweep_one(*partition);
  }
}

bool Drain::has_bits() const noexcept {
  for (std::size_t word = 0; word < words_; ++word) {
    // seq_cst: after daemon_asleep; pairs with mark_dirty().
    if (bells_.dirty[word].load(std::memory_order_seq_cst) != 0) return true;
    if (bells_.sync[word].load(std::memory_order_seq_cst) != 0) return true;
  }
  return has_posted_.load(std::memory_order_seq_cst);
}

bool Drain::spin() {
  auto spinner = wait::Spinner::for_the_disk(options_.spin, wait::Pace::stream);
  while (spinner.turn()) {
    if (has_bits()) return true;
  }
  return false;
}

std::chrono::nanoseconds Drain::sleep_bound() const {
  std::int64_t until = swept_quiet_ms_ + options_.sweep_quiet.count();
  for (const auto& partition : partitions_) {
    if (partition && now_ms_ - partition->last_active_ms() < kActiveMs) {
      until = std::min(until, swept_active_ms_ + options_.sweep_active.count());
      break;
    }
  }
  for (const std::uint32_t ordinal : active_) {
    if (partitions_[ordinal]->log().health() != LogHealth::running) {
      until = std::min(until, now_ms_ + options_.sweep_active.count());  // whatever is due, it has to wait
    } else if (const auto due = partitions_[ordinal]->sync_due_ms()) {
      until = std::min(until, *due);
    }
  }
  return std::chrono::milliseconds(
      std::clamp<std::int64_t>(until - now_ms_, 1, options_.sweep_quiet.count()));
}

void Drain::sleep() {
  const std::uint32_t before = bells_.daemon_bell.load(std::memory_order_acquire);  // first (H17)
  bells_.daemon_asleep.exchange(1, std::memory_order_seq_cst);  // before the looks; pairs with mark_dirty()
  if (!has_bits() && !stopping_.load(std::memory_order_seq_cst)) {
    wait::futex_wait(bells_.daemon_bell, before, sleep_bound());
  }
  bells_.daemon_asleep.store(0, std::memory_order_relaxed);  // whoever still sees 1 rings once too often
}

}  // namespace busway::daemon
