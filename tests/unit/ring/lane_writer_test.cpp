// A publisher's lane: where frames go, what may be overwritten when, and who is waited for.
#include <gtest/gtest.h>

#include "tests/unit/ring/ring_fixture.hpp"

namespace busway::ring::test {
namespace {

/// A frame of exactly `units` units.
std::string units(std::size_t count, char fill = 'x') {
  return std::string(count * 64 - sizeof(memory::FrameHeader), fill);
}

TEST(Lane, NeverUsesUnitZeroNorWrapsAFrame) {
  Topic topic(64);
  Publisher ann(topic, 16);
  EXPECT_EQ(place_unit(ann.reserve(0).place), 1U);
  EXPECT_EQ(place_unit(ann.reserve(100).place), 2U) << "132 bytes are three units";
  EXPECT_EQ(place_unit(ann.reserve(200).place), 5U) << "and the next frame follows at once";
}

TEST(Lane, SkipsToItsStartWhenTheEndIsTooShort) {
  Topic topic(64);
  Publisher ann(topic, 8);
  ASSERT_EQ(ann.publish(units(3)).status, PublishStatus::committed);  // 1..3
  ASSERT_EQ(ann.publish(units(3)).status, PublishStatus::committed);  // 4..6
  topic.write_up_to(1);
  const Reservation<StdAtomics> at = ann.reserve(units(2).size());
  EXPECT_EQ(at.status, ReserveStatus::reserved);
  EXPECT_EQ(place_unit(at.place), 1U) << "unit 7 alone is too short for two";
}

TEST(Lane, RefusesWhatItCanNeverHold) {
  Topic topic(64);
  Publisher ann(topic, 8);
  EXPECT_EQ(ann.reserve(units(8).size()).status, ReserveStatus::too_large);
  EXPECT_EQ(ann.reserve(std::size_t{1} << 40).status, ReserveStatus::too_large);
  EXPECT_EQ(ann.reserve(units(7).size()).status, ReserveStatus::reserved);
}

TEST(Lane, WaitsForTheDaemonBeforeItOverwrites) {
  Topic topic(64);
  Publisher ann(topic, 4);
  for (int i = 0; i < 3; ++i) ASSERT_EQ(ann.publish(units(1)).status, PublishStatus::committed);
  const Reservation<StdAtomics> refused = ann.reserve(1);
  EXPECT_EQ(refused.status, ReserveStatus::wait_space);
  EXPECT_EQ(refused.blocker, ann.ledgers.back().get());
  topic.write_up_to(1);
  EXPECT_EQ(ann.reserve(1).status, ReserveStatus::reserved);
  EXPECT_EQ(topic.ring().reclaimed->load(), 1U) << "not further than needed";
}

TEST(Lane, AnOpenLoanHoldsUpItsOwnLaneOnly) {
  Topic topic(64);
  Publisher ann(topic, 4);
  const Reservation<StdAtomics> loan = ann.reserve(1);
  ASSERT_EQ(ann.publish(units(2)).status, PublishStatus::committed);
  topic.write_up_to(1);
  EXPECT_EQ(ann.reserve(1).status, ReserveStatus::loans);
  Publisher bob(topic, 4);
  EXPECT_EQ(bob.publish("b").status, PublishStatus::committed);
  ann.fill(loan, "loan");
  EXPECT_EQ(ann.commit(loan).offset, 2U) << "loans are published in any order";
  topic.write_up_to(3);
  EXPECT_EQ(ann.reserve(1).status, ReserveStatus::reserved);
}

TEST(Lane, AnAbandonedLoanGivesItsRoomBack) {
  Topic topic(64);
  Publisher ann(topic, 4);
  const Reservation<StdAtomics> first = ann.reserve(1);
  const Reservation<StdAtomics> second = ann.reserve(1);
  ann.lane.abandon(first.frame);
  EXPECT_EQ(ann.lane.remembered(), 2U);
  ann.lane.abandon(second.frame);
  EXPECT_TRUE(ann.lane.empty());
  EXPECT_EQ(ann.reserve(units(3).size()).status, ReserveStatus::reserved);
}

TEST(Lane, NeverOverwritesUnderALease) {
  Topic topic(64);
  Publisher ann(topic, 4);
  for (int i = 0; i < 3; ++i) ASSERT_EQ(ann.publish(units(1)).status, PublishStatus::committed);
  StdLease lease(topic.partition.wait.leases[7]);
  ASSERT_TRUE(lease.take(topic.ring(), 1));
  topic.write_up_to(3);
  EXPECT_EQ(ann.publish(units(1)).status, PublishStatus::committed) << "offset 0 is below the lease";
  EXPECT_EQ(ann.reserve(1).status, ReserveStatus::wait_lease);
  ann.now_ns += 999;
  EXPECT_EQ(ann.reserve(1).status, ReserveStatus::wait_lease);
  EXPECT_TRUE(lease.valid());
  EXPECT_TRUE(lease.release());
  EXPECT_EQ(ann.reserve(1).status, ReserveStatus::reserved);
}

TEST(Lane, TakesALeaseBackThatLastsTooLong) {
  Topic topic(64);
  Publisher ann(topic, 4);
  for (int i = 0; i < 3; ++i) ASSERT_EQ(ann.publish(units(1)).status, PublishStatus::committed);
  StdLease lease(topic.partition.wait.leases[0]);
  ASSERT_TRUE(lease.take(topic.ring(), 0));
  topic.write_up_to(3);
  EXPECT_EQ(ann.reserve(1).status, ReserveStatus::wait_lease);
  ann.now_ns += ann.lease_timeout_ns;
  EXPECT_EQ(ann.reserve(1).status, ReserveStatus::reserved);
  EXPECT_FALSE(lease.valid());
  EXPECT_FALSE(lease.release());
  EXPECT_EQ(topic.partition.wait.leases[0].load(), memory::kLeaseNone);
}

TEST(Lane, AReaderThatRenewsLowLeasesStallsNobody) {
  // H28: the renewed lease is another one; it was taken after `reclaimed` had passed what the publisher wants
  // to free, or it is refused. Here a hostile holder renews without looking.
  Topic topic(64);
  Publisher ann(topic, 4);
  for (int i = 0; i < 3; ++i) ASSERT_EQ(ann.publish(units(1)).status, PublishStatus::committed);
  topic.write_up_to(3);
  auto& cell = topic.partition.wait.leases[0];
  cell.store(lease_word(1, 0));
  EXPECT_EQ(ann.reserve(1).status, ReserveStatus::wait_lease);
  cell.store(lease_word(2, 0));
  EXPECT_EQ(ann.reserve(1).status, ReserveStatus::reserved);
}

TEST(Lane, KeepsWhatItLearntToTheRingItLearntItFrom) {
  // H30: the partition's next ring is reclaimed far beyond; frames of the old ring are still not written.
  Topic topic(8);
  Publisher ann(topic, 8);
  ASSERT_EQ(ann.publish(units(3)).offset, 0U);
  Ring old = topic.ring();
  Ring& next = topic.add_ring(16);
  open_ring(next, set_fence(old, FenceReason::grown).offset);
  announce_ring(topic.partition.marks, next.generation);
  ann.enter_newest_ring();
  ASSERT_EQ(ann.publish(units(4)).offset, 1U);
  EXPECT_TRUE(ann.lane.names(*ann.ledgers[0]));
  next.reclaimed->store(2, std::memory_order_relaxed);
  ann.ledgers[1]->safe = 2;
  EXPECT_EQ(ann.reserve(1).status, ReserveStatus::wait_space);
  topic.write_up_to(9);
  EXPECT_EQ(ann.reserve(units(3).size()).status, ReserveStatus::reserved);
  EXPECT_EQ(old.reclaimed->load(), 1U) << "never beyond the old ring's own fence (H26)";
  EXPECT_FALSE(ann.lane.names(*ann.ledgers[0])) << "nothing names the old ring any more";
}

TEST(Lane, GivesRoomThatIsNotTakenAgain) {
  Topic topic(64);
  Publisher ann(topic, 8);
  const auto room = ann.find_room(1);
  ASSERT_EQ(room.status, ReserveStatus::reserved);
  EXPECT_EQ(ann.find_room(1).place, room.place);
  EXPECT_TRUE(ann.lane.empty());
  ASSERT_EQ(ann.publish("x").offset, 0U);
  EXPECT_NE(ann.find_room(1).place, room.place);
}

TEST(Lane, FindsItsPlaceAgainAfterGivingBackFramesOnBothSidesOfItsEnd) {
  Topic topic(64, Reclaim::drop_oldest);
  Publisher ann(topic, 8);
  for (int i = 0; i < 4; ++i) ASSERT_EQ(ann.publish("x").status, PublishStatus::committed);
  const auto last = ann.reserve(units(2).size());
  const auto first = ann.reserve(units(2).size());
  ASSERT_EQ(last.status, ReserveStatus::reserved);
  ASSERT_EQ(first.status, ReserveStatus::reserved);
  ASSERT_LT(place_unit(first.place), place_unit(last.place)) << "it went round";
  ann.lane.abandon(last.frame);
  ann.lane.abandon(first.frame);
  EXPECT_EQ(ann.reserve(units(2).size()).place, last.place);
  EXPECT_EQ(ann.reserve(units(2).size()).place, first.place);
}

TEST(Lane, SettlesWithoutANewFrame) {
  Topic topic(64);
  Publisher ann(topic, 8);
  for (int i = 0; i < 3; ++i) ASSERT_EQ(ann.publish("x").status, PublishStatus::committed);
  topic.write_up_to(2);
  ann.lane.settle(LeasePatience<TestClock>{.now_ns = {&ann.now_ns}, .timeout_ns = 1});
  EXPECT_EQ(ann.lane.remembered(), 1U);
}

}  // namespace
}  // namespace busway::ring::test
