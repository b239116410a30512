// Who rings whom; that no wake is lost is the interleaving checker's.
#include "bus/ring/sleep.hpp"

#include <gtest/gtest.h>

#include "tests/unit/ring/ring_fixture.hpp"

namespace busway::ring::test {
namespace {

std::vector<std::uint32_t> rung(const SleepersView<StdAtomics>& sleepers) {
  std::vector<std::uint32_t> bits;
  wake_all(sleepers, [&](std::uint32_t bit) { bits.push_back(bit); });
  return bits;
}

TEST(Sleep, RingsExactlyThoseWhoAnnouncedThemselves) {
  Topic topic(4);
  const auto& sleepers = topic.partition.wait.records;
  EXPECT_TRUE(rung(sleepers).empty());
  announce(sleepers, 3);
  announce(sleepers, 511);
  EXPECT_EQ(rung(sleepers), (std::vector<std::uint32_t>{3, 511}));
  EXPECT_EQ(rung(sleepers).size(), 2U) << "only the sleeper clears its bit (H18)";
  retract(sleepers, 3);
  EXPECT_EQ(rung(sleepers), (std::vector<std::uint32_t>{511}));
}

TEST(Sleep, StaysAwakeForARecordAFenceAReclaimedOffsetAndANewRing) {
  Topic topic(4, Reclaim::drop_oldest);
  Publisher ann(topic, 32);
  EXPECT_FALSE(readable_now(topic.partition, topic.ring(), 0, false));
  ASSERT_EQ(ann.publish("x").status, PublishStatus::committed);
  EXPECT_TRUE(readable_now(topic.partition, topic.ring(), 0, false));
  EXPECT_FALSE(readable_now(topic.partition, topic.ring(), 1, false));
  ASSERT_EQ(set_fence(topic.ring(), FenceReason::grown).offset, 1U);
  EXPECT_TRUE(readable_now(topic.partition, topic.ring(), 1, false));
  EXPECT_FALSE(readable_now(topic.partition, topic.ring(), 1, true)) << "a known fence is no news";
  Ring old = topic.ring();
  open_ring(topic.add_ring(8), 1);
  announce_ring(topic.partition.marks, 2);
  EXPECT_TRUE(readable_now(topic.partition, old, 1, true));
}

TEST(Sleep, TheDaemonIsRungOnceAndOnlyWhenItSleeps) {
  StdAtomics::u64 dirty[2] = {0, 0};
  StdAtomics::u32 asleep{0};
  StdAtomics::u32 bell{7};
  EXPECT_FALSE(mark_dirty<StdAtomics>(dirty[1], 4, asleep));
  bool waited = false;
  const auto wait = [&](std::uint32_t value) {
    EXPECT_EQ(value, 7U);
    EXPECT_EQ(asleep.load(), 1U);
    waited = true;
  };
  daemon_sleep<StdAtomics>(bell, asleep, std::span(dirty), wait);
  EXPECT_FALSE(waited) << "somebody is dirty";
  EXPECT_EQ(take_dirty<StdAtomics>(dirty[0]), 0U);
  EXPECT_EQ(take_dirty<StdAtomics>(dirty[1]), 4U);
  daemon_sleep<StdAtomics>(bell, asleep, std::span(dirty), wait);
  EXPECT_TRUE(waited);
  asleep.store(1);
  EXPECT_TRUE(mark_dirty<StdAtomics>(dirty[0], 1, asleep));
  EXPECT_FALSE(mark_dirty<StdAtomics>(dirty[0], 1, asleep)) << "the first to set the bit rings";
}

}  // namespace
}  // namespace busway::ring::test
