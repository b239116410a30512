// One thread, step by step: what a publish and a read do to a ring.
#include <gtest/gtest.h>

#include "tests/unit/ring/ring_fixture.hpp"

namespace busway::ring::test {
namespace {

TEST(Publish, GivesDenseOffsetsFromTheBaseAndReadersTheBytes) {
  Topic topic(8, Reclaim::logged, 100);
  Publisher ann(topic, 32);
  Publisher bob(topic, 32);
  EXPECT_EQ(ann.publish("one").offset, 100U);
  EXPECT_EQ(bob.publish("two").offset, 101U);
  EXPECT_EQ(ann.publish("").offset, 102U);
  EXPECT_EQ(take(topic, topic.ring(), 100).value, "one");
  EXPECT_EQ(take(topic, topic.ring(), 101).value, "two");
  EXPECT_EQ(take(topic, topic.ring(), 102).status, ReadStatus::record);
  EXPECT_EQ(take(topic, topic.ring(), 103).status, ReadStatus::nothing_yet);
}

TEST(Publish, LeavesOneSlotFreeForAFenceAndGoesOnWhenTheDaemonHasWritten) {
  Topic topic(4);
  Publisher ann(topic, 64);
  for (int i = 0; i < 3; ++i) ASSERT_EQ(ann.publish("x").status, PublishStatus::committed);
  EXPECT_EQ(ann.publish("x").status, PublishStatus::wait_slots);
  topic.write_up_to(1);
  EXPECT_EQ(ann.publish("y").offset, 3U);
  EXPECT_EQ(ann.publish("x").status, PublishStatus::wait_slots);
  EXPECT_EQ(set_fence(topic.ring(), FenceReason::failed).offset, 4U)
      << "a full ring has room for its fence (H27)";
  topic.write_up_to(4);
  const PublishOutcome outcome = ann.publish("z");
  EXPECT_EQ(outcome.status, PublishStatus::fenced);
  EXPECT_EQ(outcome.reason, FenceReason::failed);
}

TEST(Publish, WaitsAtTheGrantedOffset) {
  Topic topic(8);
  Publisher ann(topic, 32);
  topic.partition.marks.granted->store(1, std::memory_order_release);
  EXPECT_EQ(ann.publish("a").status, PublishStatus::committed);
  EXPECT_EQ(ann.publish("b").status, PublishStatus::wait_granted);
}

TEST(Publish, FindsTheLogEndFromARegressedHint) {
  Topic topic(4, Reclaim::drop_oldest);
  Publisher ann(topic, 64);
  for (std::uint64_t i = 0; i < 9; ++i) ASSERT_EQ(ann.publish("x").offset, i);
  topic.ring().tail->store(0, std::memory_order_relaxed);
  EXPECT_EQ(ann.publish("x").offset, 9U);
}

TEST(Publish, TellsASlotThatNoPublisherWrites) {
  Topic topic(4);
  Publisher ann(topic, 64);
  topic.ring().slots[0].store(slot_word(0xffff0000U, place_word(1, 1)), std::memory_order_relaxed);
  EXPECT_EQ(ann.publish("x").status, PublishStatus::corrupt);
  EXPECT_EQ(set_fence(topic.ring(), FenceReason::stopped).status, EndStatus::corrupt);
}

TEST(Fence, StopsThePublishersTellsTheReaderWhyAndCannotBeSetTwice) {
  Topic topic(8);
  Publisher ann(topic, 32);
  ASSERT_EQ(ann.publish("a").status, PublishStatus::committed);
  EXPECT_EQ(set_fence(topic.ring(), FenceReason::stopped).offset, 1U);
  const LogEnd second = set_fence(topic.ring(), FenceReason::deleted);
  EXPECT_EQ(second.offset, 1U);
  EXPECT_EQ(second.reason, FenceReason::stopped);
  EXPECT_EQ(ann.publish("b").status, PublishStatus::fenced);
  const Taken at_fence = take(topic, topic.ring(), 1);
  EXPECT_EQ(at_fence.status, ReadStatus::fenced);
  EXPECT_EQ(at_fence.found.reason, FenceReason::stopped);
}

TEST(Growth, CarriesOnAtTheFenceInTheNextRing) {
  Topic topic(2);
  Publisher ann(topic, 32);
  ASSERT_EQ(ann.publish("a").offset, 0U);
  Ring old = topic.ring();
  Ring& next = topic.add_ring(8);
  EXPECT_FALSE(next.enter()) << "not before its base is stored (H33)";
  const LogEnd end = set_fence(old, FenceReason::grown);
  ASSERT_EQ(end.offset, 1U);
  EXPECT_FALSE(newer_ring(topic.partition.marks, old));
  open_ring(next, end.offset);
  announce_ring(topic.partition.marks, next.generation);
  EXPECT_TRUE(newer_ring(topic.partition.marks, old));
  ann.enter_newest_ring();
  EXPECT_EQ(ann.publish("b").offset, 1U);
  EXPECT_EQ(take(topic, next, 1).value, "b");
  EXPECT_EQ(take(topic, old, 0).value, "a");
  Ring rings[] = {old, next};
  EXPECT_EQ(ring_for(topic.partition.marks, std::span<Ring>(rings), 0), &rings[0]);
  EXPECT_EQ(ring_for(topic.partition.marks, std::span<Ring>(rings), 1), &rings[1]);
}

TEST(TakeOver, FinishesAGrowthWhoseFenceStandsAndOnlyThat) {
  Topic topic(4);
  Publisher ann(topic, 32);
  ASSERT_EQ(ann.publish("a").offset, 0U);
  Ring current = topic.ring();
  Ring& offered = topic.add_ring(8);
  EXPECT_FALSE(resume_growth(topic.partition.marks, current, offered));
  ASSERT_EQ(set_fence(current, FenceReason::grown).offset, 1U);
  current.tail->store(0, std::memory_order_relaxed);  // the hint is never trusted alone
  EXPECT_TRUE(resume_growth(topic.partition.marks, current, offered));
  EXPECT_EQ(offered.base, 1U);
  EXPECT_EQ(topic.partition.marks.ring_generation->load(), offered.generation);
}

TEST(Read, FallsBehindWhereTheRingWasReclaimed) {
  Topic topic(4, Reclaim::drop_oldest);
  Publisher ann(topic, 64);
  for (int i = 0; i < 6; ++i) ASSERT_EQ(ann.publish(std::to_string(i)).status, PublishStatus::committed);
  const Taken taken = take(topic, topic.ring(), 1);
  EXPECT_EQ(taken.status, ReadStatus::behind);
  EXPECT_EQ(taken.found.reclaimed, 3U);
  EXPECT_EQ(take(topic, topic.ring(), 3).value, "3");
}

TEST(Read, AsksForRoom) {
  Topic topic(4);
  Publisher ann(topic, 64);
  ASSERT_EQ(ann.publish(std::string(300, 'x')).status, PublishStatus::committed);
  std::vector<std::byte> room(299);
  Found found;
  EXPECT_EQ(read_copy(topic.partition, topic.ring(), 0, topic.resolver(), room, found),
            ReadStatus::too_small);
  EXPECT_EQ(found.body_bytes, 300U);
}

TEST(Read, NamesALaneItDoesNotKnow) {
  Topic topic(4);
  Publisher ann(topic, 64);
  ASSERT_EQ(ann.publish("x").status, PublishStatus::committed);
  Found found;
  const auto none = [](std::uint32_t, std::uint32_t) { return LaneSpan{}; };
  EXPECT_EQ(read_copy(topic.partition, topic.ring(), 0, none, {}, found), ReadStatus::unknown_lane);
  EXPECT_EQ(found.lane, 1U);
  EXPECT_EQ(found.lane_generation, 1U);
}

/// A frame whose header lies in one way.
class HostileFrame : public testing::TestWithParam<void (*)(memory::FrameHeader&)> {};

TEST_P(HostileFrame, IsABadFrameAndNeverReadOutOfBounds) {
  Topic topic(4);
  Publisher eve(topic, 8);
  const Reservation<StdAtomics> at = eve.reserve(8);
  eve.fill(at, "12345678");
  memory::FrameHeader header;
  std::memcpy(&header, at.data, sizeof header);
  GetParam()(header);
  std::memcpy(at.data, &header, sizeof header);
  ASSERT_EQ(eve.commit(at).status, PublishStatus::committed);
  EXPECT_EQ(take(topic, topic.ring(), 0).status, ReadStatus::bad_frame);
  StdLease lease(topic.partition.wait.leases[0]);
  ASSERT_TRUE(lease.take(topic.ring(), 0));
  Found found;
  EXPECT_EQ(look_in_place(topic.partition, topic.ring(), lease, 0, topic.resolver(), found),
            ReadStatus::bad_frame);
}

INSTANTIATE_TEST_SUITE_P(Lies, HostileFrame,
                         testing::Values([](memory::FrameHeader& h) { h.place ^= 1; },
                                         [](memory::FrameHeader& h) { h.partition = 7; },
                                         [](memory::FrameHeader& h) { h.value_bytes = 1 << 20; },
                                         [](memory::FrameHeader& h) { h.value_bytes = -2; },
                                         [](memory::FrameHeader& h) { h.key_bytes = INT32_MIN; },
                                         [](memory::FrameHeader& h) { h.headers_bytes = 0xffffffffU; },
                                         [](memory::FrameHeader& h) { h.headers_bytes = 7 * 64 - 32 - 7; }));

TEST(Read, RefusesASlotThatPointsOutOfTheLane) {
  Topic topic(4);
  Publisher eve(topic, 8);
  for (const std::uint32_t place : {place_word(1, 0), place_word(1, 8), place_word(1, kUnitMask),
                                    place_word(1024, 1), place_word(kLaneMask, 1)}) {
    topic.ring().slots[0].store(slot_word(1, place), std::memory_order_release);
    EXPECT_EQ(take(topic, topic.ring(), 0).status, ReadStatus::bad_frame) << std::hex << place;
  }
  topic.ring().slots[0].store(slot_word(2, place_word(1, 1)), std::memory_order_release);
  EXPECT_EQ(take(topic, topic.ring(), 0).status, ReadStatus::corrupt);
  topic.ring().slots[0].store(slot_word(1, place_word(kFenceLane, 77)), std::memory_order_release);
  EXPECT_EQ(take(topic, topic.ring(), 0).found.reason, FenceReason::unknown);
}

TEST(Views, RefuseAHeaderThatCannotBeTrue) {
  RingMemory memory(16, 3);
  auto* header = memory.region.as<memory::RingHeader>();
  ASSERT_TRUE(view_ring(header, memory.region.bytes()));
  EXPECT_EQ(memory.view.generation, 3U);
  for (const std::uint64_t slots : {0UL, 1UL, 17UL, 1UL << 18, 1UL << 63, ~0UL}) {
    header->identity.item_count = slots;
    EXPECT_FALSE(view_ring(header, memory.region.bytes())) << slots;
  }
  header->identity.item_count = 16;
  EXPECT_FALSE(view_ring(header, 255));
  header->identity.kind = memory::Kind::lane;
  EXPECT_FALSE(view_ring(header, memory.region.bytes()));
}

TEST(Block, RegistersAtTheLogEndAndHoldsThePublisherBack) {
  Topic topic(4, Reclaim::block);
  Publisher ann(topic, 64);
  for (int i = 0; i < 5; ++i) ASSERT_EQ(ann.publish("x").status, PublishStatus::committed);
  auto& cursor = topic.partition.wait.cursors[3];
  EXPECT_EQ(register_cursor(cursor, topic.ring()).offset, 5U);
  for (int i = 0; i < 3; ++i) ASSERT_EQ(ann.publish("y").status, PublishStatus::committed);
  EXPECT_EQ(ann.publish("z").status, PublishStatus::wait_slots);
  cursor.store(6, std::memory_order_release);
  EXPECT_EQ(ann.publish("z").status, PublishStatus::committed);
  EXPECT_EQ(take(topic, topic.ring(), 6).value, "y");
}

TEST(Retire, AsksForReclaimedAndForLeases) {
  Topic topic(4);
  Publisher ann(topic, 64);
  ASSERT_EQ(ann.publish("x").status, PublishStatus::committed);
  EXPECT_FALSE(ring_retirable(topic.partition, topic.ring(), 1));
  topic.write_up_to(1);
  StdLease lease(topic.partition.wait.leases[5]);
  ASSERT_TRUE(lease.take(topic.ring(), 0));
  ASSERT_TRUE(advance(topic.partition, topic.ring(), 1, 1, 1));
  EXPECT_FALSE(ring_retirable(topic.partition, topic.ring(), 1));
  EXPECT_TRUE(lease.release());
  EXPECT_TRUE(ring_retirable(topic.partition, topic.ring(), 1));
}

}  // namespace
}  // namespace busway::ring::test
