// Sleeping on a bell and waking those who do.
#include <atomic>

#include "tests/unit/wait/wait_fixture.hpp"

namespace busway::wait::test {
namespace {

using Sleeping = WaitTest;

constexpr Spot kRecords0{.partition = 0, .line = Line::records};
constexpr Spot kRecords1{.partition = 1, .line = Line::records};
constexpr Spot kSpace0{.partition = 0, .line = Line::space};

std::chrono::steady_clock::duration time_of(const auto& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::steady_clock::now() - start;
}

TEST_F(Sleeping, IsBounded) {
  Sleeper sleeper(wait_header(), kPartitions, 3);
  const auto slept = time_of([&] {
    EXPECT_FALSE(sleeper.sleep(
        bells_of(1).own(), {&kRecords0, 1}, [] { return false; }, 30ms));
  });
  EXPECT_GE(slept, 25ms);
  EXPECT_EQ(bits(0), 0u) << "the bit is taken back";
}

TEST_F(Sleeping, DoesNotHappenWhenThereIsNoNeed) {
  Sleeper sleeper(wait_header(), kPartitions, 3);
  std::uint64_t seen = 0;
  const auto slept = time_of([&] {
    EXPECT_TRUE(sleeper.sleep(
        bells_of(1).own(), {&kRecords0, 1}, [&] { return (seen = bits(0)) != 0; }, 10s));
  });
  EXPECT_LT(slept, 5s);
  EXPECT_EQ(seen, 1u << 3) << "announced before the look";
}

TEST_F(Sleeping, EndsWithAWake) {
  give_bit(3, 1);
  Sleeper sleeper(wait_header(), kPartitions, 3);
  std::thread publisher([&] {
    while (bits(1) == 0) std::this_thread::yield();
    waker().wake(records(1));
  });
  const Spot spots[] = {kRecords0, kRecords1};
  const auto slept = time_of([&] {
    sleeper.sleep(
        bells_of(1).own(), spots, [] { return false; }, 10s);
  });
  publisher.join();
  EXPECT_LT(slept, 5s);
}

TEST_F(Sleeping, DoesNotLoseARingThatCameWithTheLook) {
  Sleeper sleeper(wait_header(), kPartitions, 3);
  give_bit(3, 1);
  const auto slept = time_of([&] {
    sleeper.sleep(
        bells_of(1).own(), {&kRecords0, 1},
        [&] {
          waker().wake(records(0));  // after the bell was loaded, before the futex
          return false;
        },
        10s);
  });
  EXPECT_LT(slept, 5s);
}

TEST_F(Sleeping, SharesOneBitAmongThreads) {
  Sleeper sleeper(wait_header(), kPartitions, 3);
  sleeper.announce({&kRecords0, 1});
  sleeper.announce({&kRecords0, 1});
  sleeper.retract({&kRecords0, 1});
  EXPECT_EQ(bits(0), 1u << 3) << "the other thread still sleeps";
  sleeper.retract({&kRecords0, 1});
  EXPECT_EQ(bits(0), 0u);
}

TEST_F(Sleeping, KeepsLinesApart) {
  Sleeper sleeper(wait_header(), kPartitions, 3);
  sleeper.announce({&kSpace0, 1});
  EXPECT_EQ(bits(0), 0u);
  EXPECT_EQ(partition(0).space.words[0].load(), 1u << 3);
  sleeper.retract({&kSpace0, 1});
}

TEST_F(Sleeping, WithoutABitIsShort) {
  Sleeper sleeper(wait_header(), kPartitions, std::nullopt);
  const auto slept = time_of([&] {
    sleeper.sleep(
        bells_of(1).own(), {&kRecords0, 1}, [] { return false; }, 10s);
  });
  EXPECT_LT(slept, 5s);
}

TEST_F(Sleeping, BacksOff) {
  Backoff backoff(10ms, 35ms);
  EXPECT_EQ(backoff.next(), 10ms);
  EXPECT_EQ(backoff.next(), 20ms);
  EXPECT_EQ(backoff.next(), 35ms);
  EXPECT_EQ(backoff.next(), 35ms);
  backoff.reset();
  EXPECT_EQ(backoff.next(), 10ms);
}

using Waking = WaitTest;

TEST_F(Waking, RingsExactlyThoseWhoSleep) {
  give_bit(3, 1);
  give_bit(70, 2);
  give_bit(5, 4);
  partition(0).records.words[0].store(1u << 3);
  partition(0).records.words[1].store(1u << 6);
  waker().wake(records(0));
  EXPECT_EQ(bells_of(1).own().load(), 1u);
  EXPECT_EQ(bells_of(2).own().load(), 1u);
  EXPECT_EQ(bells_of(4).own().load(), 0u);
  EXPECT_EQ(bits(0), 1u << 3) << "a waker leaves the sleeper's bit alone (H18)";
}

TEST_F(Waking, SurvivesGarbageInSharedMemory) {
  tables().sleeper_session[0].store(0);
  tables().sleeper_session[1].store(4'000'000);
  partition(0).records.words[0].store(3);
  waker().wake(records(0));
  waker().mark_dirty(~0u);
  waker().request_sync(~0u);
  for (std::uint32_t session = 0; session < kSessions; ++session)
    EXPECT_EQ(bells_of(session).own().load(), 0u);
}

TEST_F(Waking, RingsTheDaemonOnlyWhenItSleeps) {
  waker().mark_dirty(65);
  EXPECT_EQ(bells().dirty[1].load(), 2u);
  EXPECT_EQ(bells().daemon_bell.load(), 0u);
  bells().daemon_asleep.store(1);
  waker().mark_dirty(65);
  EXPECT_EQ(bells().daemon_bell.load(), 0u) << "the bit is set already: somebody has rung";
  waker().mark_dirty(66);
  EXPECT_EQ(bells().daemon_bell.load(), 1u);
  waker().request_sync(65);
  EXPECT_EQ(bells().sync[1].load(), 2u);
  EXPECT_EQ(bells().daemon_bell.load(), 2u) << "a request for a sync always rings (H21)";
}

TEST(Bells, RejectsHeadersThatCannotBeTrue) {
  const Region region = Region::create("wait-test", memory::bells_bytes(4));
  auto* header = region.as<memory::BellsHeader>();
  header->identity.item_count = 4;
  EXPECT_TRUE(view_bells(header, region.bytes(), 3));
  EXPECT_FALSE(view_bells(header, region.bytes(), 4));
  EXPECT_FALSE(view_bells(header, 64, 0));
  header->identity.item_count = 1u << 30;
  EXPECT_FALSE(view_bells(header, region.bytes(), 0));
}

}  // namespace
}  // namespace busway::wait::test
