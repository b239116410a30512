// A publisher's lane: where frames go, what may be overwritten when, and who is waited for.
#include <map>
#include <random>

#include <gtest/gtest.h>

#include "tests/unit/ring/ring_fixture.hpp"

namespace busway::ring::test {
namespace {

/// The value of a frame that takes exactly so many rooms.
std::string rooms(std::size_t count, char fill = 'x') {
  return std::string(count * kRoomBytes - sizeof(memory::FrameHeader), fill);
}

/// The number of the room, of the lane's, in which a frame begins.
std::uint32_t room_of(std::uint32_t place) { return place_unit(place) / 2; }

TEST(Lane, NeverUsesUnitZeroNorWrapsAFrame) {
  Topic topic(64);
  Publisher ann(topic, 16);
  EXPECT_EQ(place_unit(ann.reserve(0).place), 2U) << "the lane's header takes two";
  EXPECT_EQ(place_unit(ann.reserve(100).place), 3U) << "132 bytes are five units";
  EXPECT_EQ(place_unit(ann.reserve(200).place), 8U) << "and the next frame follows at once";
}

TEST(Lane, SkipsToItsStartWhenTheEndIsTooShort) {
  Topic topic(64);
  Publisher ann(topic, 8);
  ASSERT_EQ(ann.publish(rooms(3)).status, PublishStatus::committed);  // 1..3
  ASSERT_EQ(ann.publish(rooms(3)).status, PublishStatus::committed);  // 4..6
  topic.write_up_to(1);
  const Reservation<StdAtomics> at = ann.reserve(rooms(2).size());
  EXPECT_EQ(at.status, ReserveStatus::reserved);
  EXPECT_EQ(room_of(at.place), 1U) << "the last one is too short for two";
}

TEST(Lane, RefusesWhatItCanNeverHold) {
  Topic topic(64);
  Publisher ann(topic, 8);
  EXPECT_EQ(ann.reserve(rooms(8).size()).status, ReserveStatus::too_large);
  EXPECT_EQ(ann.reserve(std::size_t{1} << 40).status, ReserveStatus::too_large);
  EXPECT_EQ(ann.reserve(rooms(7).size()).status, ReserveStatus::reserved);
}

TEST(Lane, WaitsForTheDaemonBeforeItOverwrites) {
  Topic topic(64);
  Publisher ann(topic, 4);
  for (int i = 0; i < 3; ++i) ASSERT_EQ(ann.publish(rooms(1)).status, PublishStatus::committed);
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
  ASSERT_EQ(ann.publish(rooms(2)).status, PublishStatus::committed);
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
  EXPECT_EQ(ann.reserve(rooms(3).size()).status, ReserveStatus::reserved);
}

TEST(Lane, NeverOverwritesUnderALease) {
  Topic topic(64);
  Publisher ann(topic, 4);
  for (int i = 0; i < 3; ++i) ASSERT_EQ(ann.publish(rooms(1)).status, PublishStatus::committed);
  StdLease lease(topic.partition.wait.leases[7]);
  ASSERT_TRUE(lease.take(topic.ring(), 1));
  topic.write_up_to(3);
  EXPECT_EQ(ann.publish(rooms(1)).status, PublishStatus::committed) << "offset 0 is below the lease";
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
  for (int i = 0; i < 3; ++i) ASSERT_EQ(ann.publish(rooms(1)).status, PublishStatus::committed);
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
  for (int i = 0; i < 3; ++i) ASSERT_EQ(ann.publish(rooms(1)).status, PublishStatus::committed);
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
  ASSERT_EQ(ann.publish(rooms(3)).offset, 0U);
  Ring old = topic.ring();
  Ring& next = topic.add_ring(16);
  open_ring(next, set_fence(old, FenceReason::grown).offset);
  announce_ring(topic.partition.marks, next.generation);
  ann.enter_newest_ring();
  ASSERT_EQ(ann.publish(rooms(4)).offset, 1U);
  EXPECT_TRUE(ann.lane.names(*ann.ledgers[0]));
  next.reclaimed->store(2, std::memory_order_relaxed);
  ann.ledgers[1]->safe = 2;
  EXPECT_EQ(ann.reserve(1).status, ReserveStatus::wait_space);
  topic.write_up_to(9);
  EXPECT_EQ(ann.reserve(rooms(3).size()).status, ReserveStatus::reserved);
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
  const auto last = ann.reserve(rooms(2).size());
  const auto first = ann.reserve(rooms(2).size());
  ASSERT_EQ(last.status, ReserveStatus::reserved);
  ASSERT_EQ(first.status, ReserveStatus::reserved);
  ASSERT_LT(place_unit(first.place), place_unit(last.place)) << "it went round";
  ann.lane.abandon(last.frame);
  ann.lane.abandon(first.frame);
  EXPECT_EQ(ann.reserve(rooms(2).size()).place, last.place);
  EXPECT_EQ(ann.reserve(rooms(2).size()).place, first.place);
}

TEST(Lane, SettlesWithoutANewFrame) {
  Topic topic(64);
  Publisher ann(topic, 8);
  for (int i = 0; i < 3; ++i) ASSERT_EQ(ann.publish("x").status, PublishStatus::committed);
  topic.write_up_to(2);
  ann.lane.settle(LeasePatience<TestClock>{.now_ns = {&ann.now_ns}, .timeout_ns = 1});
  EXPECT_EQ(ann.lane.remembered(), 1U);
}

TEST(LaneRuns, AStreamOfEqualFramesIsOneEntry) {
  Topic topic(64);
  Publisher ann(topic, 16);
  for (std::uint64_t i = 0; i < 5; ++i) ASSERT_EQ(ann.stream("x").offset, i);
  EXPECT_EQ(ann.lane.remembered(), 1U);
  ASSERT_EQ(ann.stream(rooms(2)).offset, 5U);
  EXPECT_EQ(ann.lane.remembered(), 2U) << "another size";
  EXPECT_EQ(ann.lane.oldest(1).offset, 5U);
}

TEST(LaneRuns, IsFreedFromItsFront) {
  Topic topic(64);
  Publisher ann(topic, 6);
  for (int i = 0; i < 5; ++i) ASSERT_EQ(ann.stream("x").status, PublishStatus::committed);
  topic.write_up_to(2);
  ASSERT_EQ(ann.stream("x").status, PublishStatus::committed);
  EXPECT_EQ(topic.ring().reclaimed->load(), 1U) << "not further than needed";
  EXPECT_EQ(ann.lane.oldest().offset, 1U);
  EXPECT_EQ(room_of(static_cast<std::uint32_t>(ann.lane.oldest().unit())), 2U);
  ASSERT_EQ(ann.stream("x").status, PublishStatus::committed);
  EXPECT_EQ(ann.find_room(1).status, ReserveStatus::wait_space);
  EXPECT_EQ(ann.lane.oldest().offset, 2U);
}

TEST(LaneRuns, EndsWhereSomebodyElsePublished) {
  Topic topic(64);
  Publisher ann(topic, 16);
  Publisher bob(topic, 16);
  for (int i = 0; i < 3; ++i) ASSERT_EQ(ann.stream("a").status, PublishStatus::committed);
  ASSERT_EQ(bob.stream("b").offset, 3U);
  ASSERT_EQ(ann.stream("a").offset, 4U);
  EXPECT_EQ(ann.lane.remembered(), 2U);
  EXPECT_EQ(ann.lane.oldest(1).offset, 4U);
}

TEST(LaneRuns, EndsWhereALoanWasPublished) {
  Topic topic(64);
  Publisher ann(topic, 16);
  const Reservation<StdAtomics> loan = ann.reserve(1);
  ASSERT_EQ(ann.stream("a").offset, 0U);
  ann.fill(loan, "l");
  ASSERT_EQ(ann.commit(loan).offset, 1U);
  ASSERT_EQ(ann.stream("a").offset, 2U) << "the next room, but not the next offset";
  EXPECT_EQ(ann.lane.remembered(), 3U);
  EXPECT_EQ(ann.lane.oldest(2).offset, 2U);
}

TEST(LaneRuns, DoesNotOutliveItsEntry) {
  Topic topic(64);
  Publisher ann(topic, 8);
  for (int i = 0; i < 3; ++i) ASSERT_EQ(ann.stream("x").status, PublishStatus::committed);
  topic.write_up_to(3);
  ann.lane.settle(LeasePatience<TestClock>{.now_ns = {&ann.now_ns}, .timeout_ns = 1});
  ASSERT_TRUE(ann.lane.empty());
  ASSERT_EQ(ann.stream("x").offset, 3U);
  EXPECT_EQ(ann.lane.remembered(), 1U) << "or it would be overwritten unread";
}

TEST(LaneRuns, EndsWithItsLaneWhoeverGetsItsNumber) {
  Topic topic(64);
  Publisher ann(topic, 16);
  ASSERT_EQ(ann.stream("x").offset, 0U);
  std::vector<Remembered<StdAtomics>> book(StdLane::book_size(16 * kRoomBytes));
  StdLane next(ann.lane.lane(), topic.lane_data(ann.lane.lane()), 16 * kRoomBytes, book);
  StdLedger& ledger = *ann.ledgers.back();
  StdLedger other = ledger;
  next.take(2, other, 0);
  next.take(2, ledger, 1);
  EXPECT_EQ(next.remembered(), 2U) << "at the place where the old lane's run went on";
}

TEST(LaneRuns, EndsWhereTheLaneWasTooShortForTheNextFrame) {
  Topic topic(64);
  Publisher ann(topic, 8);
  for (int i = 0; i < 5; ++i) ASSERT_EQ(ann.stream("x").status, PublishStatus::committed);
  topic.write_up_to(3);
  ASSERT_EQ(room_of(ann.find_room(rooms(3).size()).place), 1U) << "rooms 6 and 7 stay empty";
  topic.write_up_to(5);
  ann.lane.settle(LeasePatience<TestClock>{.now_ns = {&ann.now_ns}, .timeout_ns = 1});
  EXPECT_TRUE(ann.lane.empty()) << "no frame is waited for that was never there";
}

TEST(LaneRuns, TakesBackAFrameThatWasNotCommitted) {
  Topic topic(64);
  Publisher ann(topic, 16);
  StdLedger& ledger = *ann.ledgers.back();
  ASSERT_EQ(ann.stream("x").offset, 0U);
  for (const std::size_t size :
       {std::size_t{1}, rooms(2).size()}) {  // in the run, and one that begins an entry
    const auto room = ann.find_room(size);
    ann.lane.take_to_commit(room.units, ledger);
    ann.lane.give_back(room.units, ledger);
    EXPECT_EQ(ann.find_room(size).place, room.place);
    EXPECT_EQ(ann.lane.remembered(), 1U);
  }
  ASSERT_EQ(ann.stream("x").offset, 1U);
  EXPECT_EQ(ann.lane.oldest(ann.lane.remembered() - 1).offset, 1U);
}

/// Everything that was ever put into a lane, and whether it may still be read.
class LaneModel {
 public:
  static constexpr std::uint64_t kOpen = ~std::uint64_t{0};

  /// A frame begins at `place`. It must cover nothing at or beyond `reclaimed`, and no loan.
  void put(std::uint32_t place, std::uint64_t units, std::uint64_t offset, std::uint64_t reclaimed) {
    const std::uint64_t begin = place_unit(place);
    std::erase_if(frames_, [&](const auto& old) {
      const auto& [old_begin, frame] = old;
      if (old_begin >= begin + units || old_begin + frame.units <= begin) return false;
      EXPECT_NE(frame.offset, kOpen) << "a loan was overwritten";
      EXPECT_LT(frame.offset, reclaimed) << "a record was overwritten that may still be read";
      return true;
    });
    frames_[begin] = {.units = units, .offset = offset};
  }
  void published(std::uint32_t place, std::uint64_t offset) { frames_.at(place_unit(place)).offset = offset; }
  void abandoned(std::uint32_t place) { frames_.erase(place_unit(place)); }

 private:
  struct Frame {
    std::uint64_t units = 0;
    std::uint64_t offset = kOpen;
  };
  std::map<std::uint64_t, Frame> frames_;
};

TEST(LaneRuns, WhateverIsPublishedHoweverNothingIsOverwrittenTooEarly) {
  for (std::uint32_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const auto one_of = [&](std::size_t count) { return std::size_t{random()} % count; };
    Topic topic(64);
    Publisher ann(topic, 8 + one_of(24));
    Publisher bob(topic, 64);
    LaneModel model;
    std::vector<Reservation<StdAtomics>> loans;
    StdLedger& ledger = *ann.ledgers.back();
    const auto reclaimed = [&] { return topic.ring().reclaimed->load(); };
    std::size_t usual = 1;
    for (int step = 0; step < 400; ++step) {
      if (one_of(8) == 0) usual = 1 + one_of(3);
      const std::size_t what = one_of(16);
      if (what < 10) {
        const auto room = ann.find_room(rooms(usual).size());
        if (room.status != ReserveStatus::reserved) continue;
        ann.fill(room, rooms(usual));
        const auto outcome = publish(ledger, room.place);
        if (outcome.status != PublishStatus::committed) continue;
        ann.lane.take(room.units, ledger, outcome.offset);
        model.put(room.place, room.units, outcome.offset, reclaimed());
      } else if (what == 10) {
        (void)bob.stream("b");
      } else if (what == 11 && loans.size() < 2) {
        const auto loan = ann.reserve(1);
        if (loan.status != ReserveStatus::reserved) continue;
        model.put(loan.place, 2, LaneModel::kOpen, reclaimed());
        loans.push_back(loan);
      } else if (what == 12 && !loans.empty()) {
        const auto loan = loans[one_of(loans.size())];
        std::erase_if(loans, [&](const auto& open) { return open.frame == loan.frame; });
        ann.fill(loan, "l");
        const auto outcome = ann.commit(loan);
        if (outcome.status == PublishStatus::committed) {
          model.published(loan.place, outcome.offset);
        } else {
          ann.lane.abandon(loan.frame);
          model.abandoned(loan.place);
        }
      } else if (what == 13) {
        const auto room = ann.find_room(rooms(usual).size());
        if (room.status != ReserveStatus::reserved) continue;
        ann.lane.take_to_commit(room.units, ledger);
        ann.lane.give_back(room.units, ledger);
      } else {
        topic.write_up_to(
            std::max(topic.partition.marks.written->load(), ledger.seen - one_of(3) * (ledger.seen > 3)));
      }
      ASSERT_FALSE(::testing::Test::HasFailure());
    }
    for (const auto& loan : loans) ann.lane.abandon(loan.frame);
    topic.write_up_to(std::max(ledger.seen, bob.ledgers.back()->seen));
    EXPECT_EQ(ann.find_room(rooms(5).size()).status, ReserveStatus::reserved)
        << "in the end all is free again";
  }
}

}  // namespace
}  // namespace busway::ring::test
