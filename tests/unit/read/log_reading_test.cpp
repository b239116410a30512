// A reader that fell behind: ring -> log -> ring, gaps, retention, damage.
#include "tests/unit/read/reader_fixture.hpp"

namespace busway::read::test {
namespace {

class LogReading : public ReaderTest {
 protected:
  /// Publishes `count` records while the daemon drains each `step` of them into the log.
  void publish_and_drain(std::size_t count, std::size_t step = 5) {
    for (std::size_t done = 0; done < count; done += step) {
      publish_many(std::min(step, count - done));
      drain_to(published_.rbegin()->first + 1);
    }
  }
};

TEST_F(LogReading, FindsInTheLogWhatTheRingHasForgotten) {
  start_ring();
  publish_and_drain(100);
  auto reader = make_reader();
  EXPECT_EQ(read_all(reader), expected(0, 100));
  EXPECT_EQ(reader.counters().delivered, 100u);
  EXPECT_GT(reader.counters().from_log, 0u);
  EXPECT_EQ(reader.counters().lost + reader.counters().skipped, 0u);
}

TEST_F(LogReading, ComesBackToTheRing) {
  start_ring(0, 64);
  publish_and_drain(200);
  auto reader = make_reader();
  EXPECT_EQ(read_all(reader), expected(0, 200));
  const auto from_log = reader.counters().from_log;
  publish_many(10);  // not drained: only the ring has them
  EXPECT_EQ(read_all(reader), expected(200, 210));
  EXPECT_EQ(reader.counters().from_log, from_log);
}

TEST_F(LogReading, ComesBackToANewerRingThanItLeft) {
  start_ring();
  auto reader = make_reader();
  publish_and_drain(3, 3);
  EXPECT_EQ(read_all(reader), expected(0, 3));
  publish_and_drain(40);
  grow();
  publish_and_drain(100);
  publish_many(3);
  EXPECT_EQ(read_all(reader), expected(3, 146));
}

TEST_F(LogReading, ReadsInTheLogWhatARetiredRingHad) {
  start_ring();
  auto reader = make_reader();
  publish_and_drain(10);
  EXPECT_EQ(read_all(reader), expected(0, 10));
  grow();
  publish_and_drain(10);
  grow();
  publish_and_drain(10);
  rings_.erase(rings_.begin() + 1);  // the one in between has been retired
  EXPECT_EQ(read_all(reader), expected(10, 30));
  publish_many(3);
  EXPECT_EQ(read_all(reader), expected(30, 33));
  auto late = make_reader(10);  // at the fence of the oldest
  EXPECT_EQ(read_all(late), expected(10, 33));
}

TEST_F(LogReading, StartsBelowTheOldestRing) {
  start_ring();
  publish_and_drain(10);
  // The service was restarted: rings begin where the log ended.
  rings_.clear();
  start_ring(10);
  publish_many(3);
  auto reader = make_reader();
  EXPECT_EQ(read_all(reader), expected(0, 13));
}

TEST_F(LogReading, CrossesSegmentsAskingForAFewAtATime) {
  segments_at_once_ = 2;
  start_ring();
  for (int segment = 0; segment < 5; ++segment) {
    start_segment(static_cast<std::uint64_t>(segment) * 20);
    publish_and_drain(20);
  }
  auto reader = make_reader(7);
  EXPECT_EQ(read_all(reader), expected(7, 100));
}

TEST_F(LogReading, SeesASegmentThatWasRolledMeanwhile) {
  start_ring();
  publish_and_drain(40);
  auto reader = make_reader();
  ASSERT_NE(read_once(reader), "");  // holds the first segment as the active one
  start_segment(40);
  publish_and_drain(40);
  std::string rest = read_all(reader);
  EXPECT_EQ(reader.offset(), 80u);
  EXPECT_EQ(reader.counters().delivered, 80u);
}

TEST_F(LogReading, PassesOverOffsetsThatCarryNoRecord) {
  start_ring();
  publish_many(5);
  drain_to(5, {0, 2, 4});
  publish_many(5);
  drain_to(10, {5, 6, 7, 8, 9});
  publish_and_drain(40);
  auto reader = make_reader();
  EXPECT_EQ(read_all(reader), "1:r1 3:r3 " + expected(10, 50));
  EXPECT_EQ(reader.counters().skipped, 8u);
  EXPECT_EQ(reader.counters().lost, 0u);
}

TEST_F(LogReading, PassesOverAJump) {
  start_ring();
  publish_and_drain(20);
  rings_.clear();
  start_segment(1000);  // the log end jumped to `granted`
  marks().written.store(1000);
  start_ring(1000);
  offset_shift_ = 980;
  publish_many(3);
  auto reader = make_reader();
  EXPECT_EQ(read_all(reader), expected(0, 20) + " " + expected(1000, 1003));
  EXPECT_EQ(reader.counters().skipped, 980u);
  EXPECT_EQ(reader.counters().lost, 0u);
}

TEST_F(LogReading, PassesOverAJumpThatNothingWasWrittenBehindYet) {
  start_ring();
  publish_and_drain(20);
  segments_.rbegin()->second.next_base = 20;  // it was closed, and no other begun
  marks().written.store(1000);
  rings_.clear();
  start_ring(1000);
  auto reader = make_reader();
  EXPECT_EQ(read_all(reader), expected(0, 20));
  EXPECT_EQ(reader.offset(), 1000u);
  EXPECT_EQ(reader.counters().skipped, 980u);
}

TEST_F(LogReading, CountsWhatRetentionDeleted) {
  start_ring();
  for (const std::uint64_t base : {0U, 20U, 40U}) {
    start_segment(base);
    publish_and_drain(20);
  }
  delete_oldest_segment();
  auto reader = make_reader(5);
  EXPECT_EQ(read_all(reader), expected(20, 60));
  EXPECT_EQ(reader.counters().lost, 15u);
  EXPECT_EQ(reader.earliest(), 20u);
  auto stops = make_reader(5, {.policy = Policy::error, .durable_only = false});
  read_once(stops);
  EXPECT_EQ(last_, Progress::lost);
}

TEST_F(LogReading, NoticesRetentionUnderItsHands) {
  start_ring();
  for (const std::uint64_t base : {0U, 20U, 40U}) {
    start_segment(base);
    publish_and_drain(20);
  }
  auto reader = make_reader();
  ASSERT_EQ(read_once(reader), expected(0, 5)) << "one batch a read";
  delete_oldest_segment();
  EXPECT_EQ(read_all(reader), expected(20, 60));
  EXPECT_EQ(reader.counters().lost, 15u);
}

TEST_F(LogReading, ReportsABatchThatDoesNotCheckOutAndGoesOn) {
  start_ring();
  publish_and_drain(50);
  const std::string path = newest_segment_path();
  const auto bytes = std::filesystem::file_size(path);
  const Fd file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  char byte = 0;  // a bit flips in the second of ten batches
  ASSERT_EQ(::pread(file.get(), &byte, 1, static_cast<off_t>(bytes / 10 + 80)), 1);
  byte = static_cast<char>(byte ^ 1);
  ASSERT_EQ(::pwrite(file.get(), &byte, 1, static_cast<off_t>(bytes / 10 + 80)), 1);
  auto reader = make_reader();
  EXPECT_EQ(read_all(reader), expected(0, 5) + " " + expected(10, 50));
  EXPECT_EQ(reader.counters().corrupt, 5u);
  EXPECT_EQ(reader.counters().lost, 0u);
}

TEST_F(LogReading, NeverLooksAtWhatIsBeingWritten) {
  start_ring();
  publish_and_drain(30);
  publish_many(5);
  append_batch(30, 35);  // in the file, not yet told
  const Fd file(::open(newest_segment_path().c_str(), O_RDWR | O_APPEND | O_CLOEXEC));
  ASSERT_EQ(::write(file.get(), "half a batch", 12), 12);
  auto reader = make_reader(0, {.policy = Policy::to_earliest, .durable_only = true});
  marks().durable.store(30);
  EXPECT_EQ(read_all(reader), expected(0, 30));
  EXPECT_EQ(reader.counters().lost, 0u);
}

TEST_F(LogReading, GivesALongBatchInSeveralReads) {
  start_ring(0, 64);
  publish_many(60);
  drain_to(60);
  publish_and_drain(60);
  batch_ = RecordBatch(7);
  auto reader = make_reader(3);
  EXPECT_EQ(read_once(reader), expected(3, 10));
  EXPECT_EQ(read_all(reader), expected(10, 120));
}

TEST_F(LogReading, StallsWhileTheDaemonIsAway) {
  start_ring();
  publish_and_drain(40);
  auto reader = make_reader();
  daemon_answers_ = false;
  read_once(reader);
  EXPECT_EQ(last_, Progress::stalled);
  daemon_answers_ = true;
  EXPECT_EQ(read_all(reader), expected(0, 40));
}

TEST_F(LogReading, ToTheEndSkipsWhatIsLeft) {
  start_ring();
  publish_and_drain(40);
  start_segment(40);
  publish_and_drain(40);
  delete_oldest_segment();
  auto reader = make_reader(0, {.policy = Policy::to_latest, .durable_only = false});
  EXPECT_EQ(read_all(reader), "");
  EXPECT_EQ(reader.counters().lost, 80u);
  publish_many(1);
  EXPECT_EQ(read_all(reader), "80:r80");
}

}  // namespace
}  // namespace busway::read::test
