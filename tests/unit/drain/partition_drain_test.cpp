#include "tests/unit/drain/topic_fixture.hpp"

namespace busway::daemon {
namespace {

using Values = std::vector<std::string>;

class PartitionDrainTest : public TopicFixture {};

TEST_F(PartitionDrainTest, MovesRecordsIntoTheLogAndSaysSo) {
  make_topic();
  start_drain();
  const auto lane = new_lane();
  publish(*lane, 1, "one");
  publish(*lane, 3, "two");
  drain_all();
  EXPECT_EQ(stored_values(), (Values{"one", "two"}));
  EXPECT_EQ(topic_->partition(0).marks->written.load(), 2U);
  EXPECT_EQ(topic_->partition(0).marks->durable.load(), 0U)
      << "nobody asked for a sync, and flush.ms has not passed";
  sync();
  EXPECT_EQ(topic_->partition(0).marks->durable.load(), 2U);
}

TEST_F(PartitionDrainTest, SkipsFramesThatDoNotCheckOutAndKeepsEverybodyElses) {
  make_topic();
  start_drain();
  const auto honest = new_lane();
  const auto liar = new_lane();
  publish(*honest, 1, "before");
  const std::vector<std::uint64_t> spoilt = {
      publish_spoilt(*liar, 1, [](memory::FrameHeader& h) { h.value_bytes = 1 << 30; }),
      publish_spoilt(*liar, 3, [](memory::FrameHeader& h) { h.value_bytes = -2; }),
      publish_spoilt(*liar, 5, [](memory::FrameHeader& h) { h.key_bytes = INT32_MIN; }),
      publish_spoilt(*liar, 7, [](memory::FrameHeader& h) { h.headers_bytes = 0xFFFFFFFF; }),
      publish_spoilt(*liar, 9, [](memory::FrameHeader& h) { h.partition = 1; }),
      publish_spoilt(
          *liar, 11,
          [&](memory::FrameHeader& h) { h.place = ring::place_word(raw(honest->id), unit_of(1)); }),
      publish_spoilt(*liar, 13,
                     [](memory::FrameHeader& h) { h.headers_bytes = 3; }),  // "spo" is no list of headers
      commit(*liar, 0),                                                     // the lane's own header
      commit(*liar, 1),                                                     // within it
      commit(*liar, limits::kLaneBytesFirst / limits::kUnitBytes),          // beyond the lane
  };
  publish(*honest, 3, "after");
  drain_all();
  EXPECT_EQ(stored_values(), (Values{"before", "after"}));
  EXPECT_EQ(events_.bad_frames, spoilt);
  EXPECT_EQ(stored().back().offset, static_cast<std::int64_t>(spoilt.back() + 1))
      << "offsets are kept, not closed up";
  EXPECT_EQ(drain_->counters()->skipped.load(), spoilt.size());
}

TEST_F(PartitionDrainTest, ASlotThatNamesALaneThatDoesNotExistIsSkipped) {
  make_topic();
  start_drain();
  const auto lane = new_lane();
  HeldLane nowhere;
  nowhere.id = static_cast<LaneId>(900);
  const std::uint64_t offset = commit(nowhere, 1);
  publish(*lane, 1, "after");
  drain_all();
  EXPECT_EQ(events_.bad_frames, (std::vector<std::uint64_t>{offset}));
  EXPECT_EQ(stored_values(), (Values{"after"}));
}

TEST_F(PartitionDrainTest, ReportsExactlyWhatWasOverwrittenBeforeItWasRead) {
  make_topic();
  start_drain();
  const auto lane = new_lane();
  for (std::uint32_t i = 0; i < 5; ++i) publish(*lane, 1 + i, std::to_string(i));
  // A publisher of the topic can move `reclaimed` as it likes: what lies below may be overwritten.
  topic_->partition(0).rings.newest()->view.reclaimed->store(3);
  drain_all();
  EXPECT_EQ(events_.gaps, (std::vector<NotedEvents::Gap>{{0, 3}}));
  EXPECT_EQ(stored_values(), (Values{"3", "4"}));
}

TEST_F(PartitionDrainTest, AReclaimedBeyondWhatIsGrantedCannotSendItAstray) {
  make_topic({}, 100);
  start_drain();
  const auto lane = new_lane();
  publish(*lane, 1, "lost");
  topic_->partition(0).rings.newest()->view.reclaimed->store(std::uint64_t{1} << 50);
  for (int turn = 0; turn < 10; ++turn) drain_all();
  EXPECT_LE(drain_->next_offset(), 100U);
}

TEST_F(PartitionDrainTest, BoundsTimestamps) {
  TopicConfig config;
  config.timestamp_after_max_ms = 1000;
  config.timestamp_before_max_ms = 2000;
  make_topic(config);
  start_drain();
  const auto lane = new_lane();
  publish_spoilt(*lane, 1,
                 [](memory::FrameHeader& h) { h.timestamp_ms = 4'102'444'800'000; });  // the year 2100
  publish_spoilt(*lane, 3, [](memory::FrameHeader& h) { h.timestamp_ms = 0; });
  const std::int64_t now_ms = coarse_unix_ms();
  drain_all();
  ASSERT_EQ(stored().size(), 2U);
  EXPECT_LE(stored()[0].timestamp_ms, coarse_unix_ms() + 1000);
  EXPECT_GE(stored()[1].timestamp_ms, now_ms - 2000 - 10);
  EXPECT_EQ(drain_->counters()->clamped_timestamps.load(), 2U);
}

TEST_F(PartitionDrainTest, FollowsAGrowingRingWithoutAGap) {
  make_topic();
  start_drain();
  const auto lane = new_lane();
  publish(*lane, 1, "old ring");
  const auto next = topic_->make_ring(0, limits::kRingSlotsFirst * limits::kRingGrowth);
  ASSERT_TRUE(topic_->open_grown(0, next));
  publish(*lane, 3, "new ring");
  drain_all();
  EXPECT_EQ(stored_values(), (Values{"old ring", "new ring"}));
  EXPECT_FALSE(drain_->ended());
}

TEST_F(PartitionDrainTest, EndsAtAFence) {
  make_topic();
  start_drain();
  const auto lane = new_lane();
  publish(*lane, 1, "last");
  EXPECT_EQ(topic_->fence(0, ring::FenceReason::stopped), 1U);
  drain_all();
  EXPECT_EQ(drain_->ended(), ring::FenceReason::stopped);
  EXPECT_EQ(stored_values(), (Values{"last"}));
}

TEST_F(PartitionDrainTest, AsksForAGrantBeforeItRunsOut) {
  make_topic({}, 700);  // granted_step is 1000: half of it is less than what is left
  start_drain();
  const auto lane = new_lane();
  for (std::uint32_t i = 0; i < 150; ++i) publish(*lane, 1 + i, "x");
  drain_all();
  EXPECT_EQ(events_.grants, 0) << "550 left";
  for (std::uint32_t i = 150; i < 250; ++i) publish(*lane, 1 + i, "x");
  drain_all();
  EXPECT_EQ(events_.grants, 1) << "450 left";
}

TEST_F(PartitionDrainTest, WritesARecordLargerThanABatch) {
  make_topic();
  start_drain();
  const auto lane = topic_->make_lane(4 * limits::kMiB, 0, 0);
  const std::string large(3 * limits::kMiB, 'x');
  publish(*lane, 1, "small");
  publish(*lane, 3, large);
  drain_all();
  EXPECT_EQ(stored_values(), (Values{"small", large}));
}

TEST_F(PartitionDrainTest, CompressesWhatBecomesSmaller) {
  TopicConfig config;
  config.compression = Compression::zstd;
  make_topic(config);
  start_drain();
  const auto lane = new_lane();
  Values expected;
  for (std::uint32_t i = 0; i < 20; ++i) {
    expected.push_back(std::string(90, static_cast<char>('a' + i)));
    publish(*lane, 1 + 2 * i, expected.back());
  }
  drain_all();
  EXPECT_EQ(stored_values(), expected);
  EXPECT_LT(drain_->counters()->bytes.load(), 1000U);
}

}  // namespace
}  // namespace busway::daemon
