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

TEST(PublishCost, IsOneLockedInstructionWithNobodyAsleep) {
  std::array<Counted::u64, 64> slots;
  Counted::u64 base;
  Counted::u64 tail;
  Counted::u64 reclaimed;
  Counted::u64 granted;
  Counted::u64 written;
  Counted::u64 sleepers;
  Counted::u64 dirty;
  Counted::u32 daemon_asleep;
  granted.value = 1000;
  dirty.value = 1;  // the daemon has not come round yet: the usual case of a stream
  PartitionView<Counted> partition;
  partition.marks.granted = &granted;
  partition.marks.written = &written;
  Ledger<Counted> ledger{.ring = {.base_word = &base,
                                  .tail = &tail,
                                  .reclaimed = &reclaimed,
                                  .slots = slots.data(),
                                  .base = 0,
                                  .mask = 63,
                                  .shift = 6,
                                  .generation = 1},
                         .partition = &partition,
                         .seen = 0,
                         .safe = 0,
                         .frames = 0};
  alignas(64) std::array<std::byte, 64 * 64> bytes{};
  std::array<Remembered<Counted>, 64> book;
  LaneWriter<Counted> lane(1, bytes.data(), bytes.size(), 6, book);
  for (int record = 0; record < 60; ++record) {
    cost = {};
    const Reservation<Counted> at = lane.reserve(64, LeasePatience<NoClock>{.now_ns = {}, .timeout_ns = 1});
    ASSERT_EQ(at.status, ReserveStatus::reserved);
    const PublishOutcome outcome = publish(ledger, at.place);
    ASSERT_EQ(outcome.status, PublishStatus::committed);
    lane.published(at.frame, ledger, outcome.offset);
    wake_all(SleepersView<Counted>{&sleepers, 1}, [](std::uint32_t) { FAIL() << "nobody sleeps"; });
    EXPECT_FALSE(mark_dirty<Counted>(dirty, 1, daemon_asleep));
    EXPECT_EQ(cost.locked, 1) << record;
    EXPECT_EQ(cost.stores, 1) << "the hint";
    EXPECT_LE(cost.loads, 7);
  }
}

}  // namespace
}  // namespace busway::ring
