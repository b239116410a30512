#include "tests/unit/drain/topic_fixture.hpp"

namespace busway::daemon {
namespace {

class TopicMemoryTest : public TopicFixture {
 protected:
  std::vector<LaneId> retire() {
    std::vector<LaneId> dropped;
    topic_->retire([&](const HeldLane& lane) { dropped.push_back(lane.id); });
    return dropped;
  }
};

TEST_F(TopicMemoryTest, StaysWithinWhatATopicMayCost) {
  make_topic();
  new_lane();
  // 1,000 topics of one partition with a publisher and a subscriber each: under 150 MiB.
  EXPECT_LT(topic_->bytes(), 150 * limits::kMiB / 1000);
}

TEST_F(TopicMemoryTest, ALaneGoesOnlyWhenItsRecordsAreWrittenAndNobodyLooksAtThem) {
  make_topic();
  start_drain();
  const auto lane = new_lane();
  publish(*lane, 1, "still wanted");
  EXPECT_TRUE(retire().empty()) << "its publisher has it";
  topic_->give_up(*lane);
  EXPECT_TRUE(retire().empty()) << "its record is only in memory";
  topic_->marks().lease_cells.store(6);
  topic_->partition(0).wait->leases[5].store(ring::lease_word(1, 0));
  drain_all();
  EXPECT_TRUE(retire().empty()) << "somebody looks at its record in place";
  topic_->partition(0).wait->leases[5].store(memory::kLeaseNone);
  EXPECT_EQ(retire(), (std::vector<LaneId>{lane->id}));
}

TEST_F(TopicMemoryTest, ALaneGoesAlthoughOthersPublishOnAndOn) {
  make_topic();
  start_drain();
  const auto gone = new_lane();
  const auto busy = new_lane();
  publish(*gone, 1, "the last one");
  topic_->give_up(*gone);
  publish(*busy, 1, "goes on");
  EXPECT_TRUE(retire().empty()) << "its record is only in memory";
  drain_all();
  publish(*busy, 2, "and on");
  EXPECT_EQ(retire(), (std::vector<LaneId>{gone->id})) << "what is not written yet is not its own";
}

TEST_F(TopicMemoryTest, OutOfLanesAMemoryTopicGivesUpItsOldestRecords) {
  TopicConfig config;
  config.storage = TopicStorage::memory;
  make_topic(config);
  const auto older = new_lane();
  publish(*older, 1, "oldest");
  topic_->give_up(*older);
  EXPECT_TRUE(retire().empty()) << "its record has not been overwritten";
  const auto newer = new_lane();
  publish(*newer, 1, "youngest");
  topic_->give_up(*newer);
  EXPECT_TRUE(retire().empty());
  std::size_t lanes = 2;
  for (; !topic_->out_of_lanes(); ++lanes) new_lane();
  EXPECT_EQ(lanes, limits::kLanesPerTopic);
  EXPECT_EQ(retire(), (std::vector<LaneId>{older->id}));
  EXPECT_TRUE(retire().empty()) << "there is a lane for the next publisher";
}

TEST_F(TopicMemoryTest, AnIdThatIsGivenOutAgainHasANewGeneration) {
  make_topic();
  const auto first = new_lane();
  topic_->give_up(*first);
  ASSERT_EQ(retire().size(), 1U);
  const auto second = new_lane();
  EXPECT_EQ(second->id, first->id);
  EXPECT_EQ(raw(second->generation), raw(first->generation) + 1);
}

TEST_F(TopicMemoryTest, AGrownRingGoesWhenItIsReadAndWritten) {
  make_topic();
  start_drain();
  const auto lane = new_lane();
  publish(*lane, 1, "old ring");
  ASSERT_TRUE(topic_->open_grown(0, topic_->make_ring(0, 2 * limits::kRingSlotsFirst)));
  retire();
  EXPECT_EQ(topic_->partition(0).rings.all().size(), 2U) << "its record is only in memory";
  drain_all();
  retire();
  EXPECT_EQ(topic_->partition(0).rings.all().size(), 1U);
}

TEST_F(TopicMemoryTest, TheNextWorkerFindsEverything) {
  make_topic();
  start_drain();
  const auto lane = new_lane();
  publish(*lane, 1, "one");
  drain_.reset();
  TopicMemory next(kept_, Uuid{}, "t", keeper_.live_entries());
  EXPECT_EQ(next.lanes()->find(lane->id)->generation, lane->generation);
  EXPECT_EQ(next.partition(0).rings.newest()->view.base, 0U);
  EXPECT_EQ(ring::find_log_end(next.partition(0).rings.newest()->view).offset, 1U);
}

TEST_F(TopicMemoryTest, OverTheBudgetNothingIsKept) {
  make_topic();
  const std::uint64_t used = budget_.used();
  budget_.set_limits(used + 1000, used + 1000);
  EXPECT_THROW(new_lane(), Error);
  EXPECT_THROW(topic_->make_ring(0, limits::kRingSlotsMost), Error);
  EXPECT_EQ(budget_.used(), used);
}

}  // namespace
}  // namespace busway::daemon
