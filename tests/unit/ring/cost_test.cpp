// What a publish costs, counted, not timed: locked instructions and full fences are what an access costs
// beyond a plain load or store on x86.
#include <array>
#include <atomic>
#include <cstring>

#include <gtest/gtest.h>

#include "bus/ring/lane_writer.hpp"
#include "bus/ring/sleep.hpp"

namespace busway::ring {
namespace {

struct Cost {
  int locked = 0;  ///< read-modify-writes, seq_cst stores and seq_cst fences
  int loads = 0;
  int stores = 0;
};
Cost cost;

struct Counted {
  template <class T>
  struct Word {
    std::atomic<T> value{0};
    T load(std::memory_order order) const {
      ++cost.loads;
      return value.load(order);
    }
    void store(T to, std::memory_order order) {
      ++(order == std::memory_order_seq_cst ? cost.locked : cost.stores);
      value.store(to, order);
    }
    T fetch_or(T bits, std::memory_order order) {
      ++cost.locked;
      return value.fetch_or(bits, order);
    }
    bool compare_exchange_strong(T& expected, T to, std::memory_order success, std::memory_order failure) {
      ++cost.locked;
      return value.compare_exchange_strong(expected, to, success, failure);
    }
  };
  using u32 = Word<std::uint32_t>;
  using u64 = Word<std::uint64_t>;
  static constexpr std::uint32_t kLeaseCells = 1;
  static void restart() {}
  static void fence(std::memory_order order) { cost.locked += order == std::memory_order_seq_cst ? 1 : 0; }
  static void copy_to_shared(void* to, const void* from, std::size_t bytes) { std::memcpy(to, from, bytes); }
};

struct NoClock {
  std::int64_t operator()() const { return 1; }
};

/// A logged partition with a ring of 64 slots, one publisher with a lane of 64 units, and nobody asleep.
class PublishCost : public ::testing::Test {
 protected:
  PublishCost() {
    granted_.value = 1'000'000;
    dirty_.value = 1;  // the daemon has not come round yet: the usual case of a stream
    partition_.marks.granted = &granted_;
    partition_.marks.written = &written_;
    partition_.wait.leases = &lease_;
    partition_.wait.cells = 1;
  }

  /// Publishes a record and gives what that cost.
  Cost of_a_publish() {
    cost = {};
    const auto room = lane_.find_room(64, LeasePatience<NoClock>{.now_ns = {}, .timeout_ns = 1});
    EXPECT_EQ(room.status, ReserveStatus::reserved);
    const PublishOutcome outcome = publish(ledger_, room.place);
    EXPECT_EQ(outcome.status, PublishStatus::committed);
    lane_.take(room.units, ledger_, outcome.offset);
    wake_all(SleepersView<Counted>{&sleepers_, 1}, [](std::uint32_t) { FAIL() << "nobody sleeps"; });
    EXPECT_FALSE(mark_dirty<Counted>(dirty_, 1, daemon_asleep_));
    return cost;
  }
  /// The drain has copied everything out.
  void drained(std::uint64_t to) { written_.value = to; }

 private:
  std::array<Counted::u64, 64> slots_;
  Counted::u64 base_;
  Counted::u64 tail_;
  Counted::u64 reclaimed_;
  Counted::u64 granted_;
  Counted::u64 written_;
  Counted::u64 sleepers_;
  Counted::u64 dirty_;
  Counted::u64 lease_;
  Counted::u32 daemon_asleep_;
  PartitionView<Counted> partition_;
  Ledger<Counted> ledger_{.ring = {.base_word = &base_,
                                   .tail = &tail_,
                                   .reclaimed = &reclaimed_,
                                   .slots = slots_.data(),
                                   .base = 0,
                                   .mask = 63,
                                   .shift = 6,
                                   .generation = 1},
                          .partition = &partition_,
                          .seen = 0,
                          .safe = 0};
  alignas(64) std::array<std::byte, 64 * 64> bytes_{};
  std::array<Remembered<Counted>, 128> book_;
  LaneWriter<Counted> lane_{1, bytes_.data(), bytes_.size(), book_};
};

TEST_F(PublishCost, IsOneLockedInstructionWithNobodyAsleep) {
  for (int record = 0; record < 60; ++record) {
    const Cost one = of_a_publish();
    EXPECT_EQ(one.locked, 1) << record;
    EXPECT_EQ(one.stores, 1) << "the hint";
    EXPECT_LE(one.loads, 7);
  }
}

TEST_F(PublishCost, MakingRoomCostsLittleForEachRecord) {
  constexpr int kRecords = 6400;
  int locked = 0;
  for (int record = 0; record < kRecords; ++record) {
    locked += of_a_publish().locked;
    drained(static_cast<std::uint64_t>(record) + 1);
  }
  EXPECT_GT(locked, kRecords) << "reclaiming and looking at the leases take locked instructions of their own";
  EXPECT_LT(locked, kRecords + kRecords / 2);
}

}  // namespace
}  // namespace busway::ring
