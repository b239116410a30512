// The drain: one thread that moves records from the rings of all logged partitions into their logs.
//
// Each round: take the dirty and sync bits, give every partition with work a bounded turn, submit what is
// due, reap what is done. While writes are in flight, records gather and the next batches grow; with the disk
// idle a record goes out at once. With nothing to do it sleeps on the daemon's bell, which every publisher
// rings that finds it asleep.
//
// It also sweeps (active partitions every sweep.interval.ms, quiet ones every 5 s): a publisher that died
// between its commit and its bell, or between its commit and its dirty bit, is found that way (H22).
//
// Threads: start, stop, post, wake from any thread; everything posted runs on the drain thread between
// rounds.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "bus/memory/bells_layout.hpp"
#include "daemon/partition_drain.hpp"

namespace busway::daemon {

struct DrainOptions {
  std::chrono::microseconds spin{50};           ///< drain.spin.us: before sleeping
  std::chrono::milliseconds sweep_active{100};  ///< sweep.interval.ms
  std::chrono::milliseconds sweep_quiet{5000};
};

class Drain {
 public:
  /// `bells`, `disk` and `staging` outlive the drain. Nobody else uses disk and staging while it runs.
  Drain(memory::BellsHeader& bells, Disk& disk, StagingArena& staging, const DrainOptions& options);
  Drain(const Drain&) = delete;
  Drain& operator=(const Drain&) = delete;
  ~Drain();

  void start();
  /// Finishes what is in flight, then ends the thread. Does not drain what is left.
  void stop();
  /// Runs `work` on the drain thread.
  void post(std::function<void()> work);
  /// The same, and returns when it has run. Not from the drain thread.
  void run_and_wait(const std::function<void()>& work);
  void wake() noexcept;

  // On the drain thread only.

  void reconfigure(const DrainOptions& options) noexcept { options_ = options; }
  void add(std::shared_ptr<PartitionDrain> partition);
  PartitionDrain* find(std::uint32_t ordinal) noexcept;
  /// Takes a partition out once nothing of it is in flight, then calls `done` (on the drain thread) with it.
  void remove(std::uint32_t ordinal, std::function<void(std::shared_ptr<PartitionDrain>)> done);
  /// Drains every partition up to the fence that ends it and makes all of it durable, then calls `done`. A
  /// partition that cannot (its log has failed, or its disk is full) is left as it is, and so is one whose
  /// publishers spoilt its ring, so that the fence is not where the records end: it has not ended() then. The
  /// fences stand already.
  void finish_all(std::function<void()> done);

 private:
  struct Removal {
    std::uint32_t ordinal;
    std::function<void(std::shared_ptr<PartitionDrain>)> done;
  };

  void run();
  bool run_posted();
  bool take_bits();
  bool turns();
  bool reap(std::chrono::nanoseconds wait);
  void syncs();
  void sweep();
  void sweep_one(PartitionDrain& partition);
  void activate(std::uint32_t ordinal);
  void settle_removals();
  bool all_finished();
  bool any_in_flight() const noexcept { return disk_.in_flight() != 0; }
  bool spin();
  void sleep();
  bool has_bits() const noexcept;
  std::chrono::nanoseconds sleep_bound() const;

  memory::BellsHeader& bells_;
  Disk& disk_;
  StagingArena& staging_;
  DrainOptions options_;

  std::mutex posted_mutex_;
  std::vector<std::function<void()>> posted_;
  std::atomic<bool> has_posted_{false};
  std::atomic<bool> stopping_{false};
  std::thread thread_;

  std::vector<std::shared_ptr<PartitionDrain>> partitions_;  ///< by ordinal; nullptr: none
  std::vector<std::uint32_t> active_;  ///< ordinals with work or with something undurable
  std::vector<bool> is_active_;
  std::vector<Removal> removals_;
  std::function<void()> finished_;
  std::size_t words_ = 0;  ///< of the bitmaps, that have partitions
  std::int64_t now_ms_ = 0;
  std::int64_t swept_active_ms_ = 0;
  std::int64_t swept_quiet_ms_ = 0;
};

}  // namespace busway::daemon
