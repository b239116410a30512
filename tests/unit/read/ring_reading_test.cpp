// A reader in rings: copying, growth, fences, lanes, hostile frames, memory topics.
#include "tests/unit/read/reader_fixture.hpp"

namespace busway::read::test {
namespace {

using RingReading = ReaderTest;

TEST_F(RingReading, GivesWhatWasPublishedInOrder) {
  start_ring();
  publish_many(5);
  auto reader = make_reader();
  EXPECT_EQ(read_all(reader), expected(0, 5));
  EXPECT_EQ(last_, Progress::nothing_yet);
  publish_many(2);
  EXPECT_TRUE(reader.ready());
  EXPECT_EQ(read_all(reader), expected(5, 7));
  EXPECT_FALSE(reader.ready());
  EXPECT_EQ(reader.counters().delivered, 7u);
  EXPECT_EQ(reader.counters().from_log, 0u);
}

TEST_F(RingReading, StartsAnywhere) {
  start_ring();
  publish_many(5);
  auto reader = make_reader(3);
  EXPECT_EQ(read_all(reader), expected(3, 5));
  reader.seek(1);
  EXPECT_EQ(read_all(reader), expected(1, 5));
  reader.seek(9);
  EXPECT_EQ(read_all(reader), "");
  publish_many(5);
  EXPECT_EQ(read_all(reader), "9:r9");
}

TEST_F(RingReading, WaitsForARingThatIsNotThereYet) {
  auto reader = make_reader();
  EXPECT_EQ(read_once(reader), "");
  EXPECT_EQ(last_, Progress::nothing_yet);
  EXPECT_FALSE(reader.ready());
  start_ring();
  EXPECT_TRUE(reader.ready());
  publish_many(1);
  EXPECT_EQ(read_all(reader), "0:r0");
}

TEST_F(RingReading, FollowsRingsThatGrow) {
  start_ring(0, 4);
  auto reader = make_reader();
  publish_many(2);
  EXPECT_EQ(read_all(reader), expected(0, 2));
  grow(16);
  EXPECT_TRUE(reader.ready());
  publish_many(3);
  grow(64);  // twice before the reader looks
  publish_many(3);
  EXPECT_EQ(read_all(reader), expected(2, 8));
}

TEST_F(RingReading, DoesNotEnterARingBeforeMarksNamesIt) {
  start_ring(0, 8);
  auto reader = make_reader();
  publish_many(2);
  ring::Ring old = rings_.back().view;
  old.enter();
  fence(ring::FenceReason::grown);
  make_ring(32);
  EXPECT_EQ(read_all(reader), expected(0, 2));
  EXPECT_EQ(last_, Progress::nothing_yet) << "the fence stands, the next ring is not named";
  EXPECT_FALSE(reader.ready());
  open_ring(2);
  EXPECT_TRUE(reader.ready());
  publish_many(1);
  EXPECT_EQ(read_all(reader), "2:r2");
}

TEST_F(RingReading, AsksForALaneItDoesNotKnow) {
  start_ring();
  auto reader = make_reader();
  publish_many(1);
  EXPECT_EQ(read_all(reader), "0:r0");
  ASSERT_TRUE(try_publish(make_lane(2), "r1"));
  daemon_answers_ = false;
  EXPECT_EQ(read_once(reader), "");
  EXPECT_EQ(last_, Progress::stalled) << "never `nothing yet`";
  daemon_answers_ = true;
  EXPECT_EQ(read_all(reader), "1:r1");
}

TEST_F(RingReading, TellsALaneIdsGenerationsApart) {
  start_ring();
  auto reader = make_reader();
  ASSERT_TRUE(try_publish(make_lane(1), "r0"));
  EXPECT_EQ(read_all(reader), "0:r0");
  const auto old = std::move(lanes_[1]);
  ASSERT_TRUE(try_publish(make_lane(1), "r1"));  // the same id, other memory
  EXPECT_EQ(read_all(reader), "1:r1");
}

TEST_F(RingReading, SkipsAndCountsFramesThatDoNotCheckOut) {
  start_ring();
  publish_many(3);
  // The second record's frame now claims to be of another partition.
  auto* frame = lanes_[1]->region->as<std::byte>() + lanes_[1]->writer.oldest(1).unit() * limits::kUnitBytes;
  reinterpret_cast<memory::FrameHeader*>(frame)->partition = 7;
  auto reader = make_reader();
  EXPECT_EQ(read_all(reader), "0:r0 2:r2");
  EXPECT_EQ(reader.counters().skipped, 1u);
}

TEST_F(RingReading, DoesNotReadBeyondALanesEnd) {
  start_ring();
  publish_many(2);
  auto* frame = lanes_[1]->region->as<std::byte>() + lanes_[1]->writer.oldest(0).unit() * limits::kUnitBytes;
  reinterpret_cast<memory::FrameHeader*>(frame)->value_bytes = 0x7fffffff;
  auto reader = make_reader();
  EXPECT_EQ(read_all(reader), "1:r1");
  EXPECT_EQ(reader.counters().skipped, 1u);
}

TEST_F(RingReading, SaysSoWhenASlotHoldsGarbage) {
  start_ring();
  publish_many(1);
  rings_.back().view.slots[1].store(ring::slot_word(77, ring::place_word(1, 1)));
  auto reader = make_reader();
  EXPECT_EQ(read_once(reader), "0:r0");
  EXPECT_EQ(read_once(reader), "");
  EXPECT_EQ(last_, Progress::corrupt);
}

TEST_F(RingReading, EndsWithTheTopic) {
  start_ring();
  publish_many(2);
  fence(ring::FenceReason::deleted);
  auto reader = make_reader();
  EXPECT_EQ(read_once(reader), expected(0, 2)) << "what was published before comes first";
  read_once(reader);
  EXPECT_EQ(last_, Progress::deleted);
}

TEST_F(RingReading, WaitsForTheDaemonThatStopped) {
  start_ring();
  publish_many(1);
  fence(ring::FenceReason::stopped);
  auto reader = make_reader();
  EXPECT_EQ(read_once(reader), "0:r0");
  read_once(reader);
  EXPECT_EQ(last_, Progress::stopped);
  EXPECT_FALSE(reader.ready());
}

TEST_F(RingReading, ShowsOnlyWhatIsDurableIfAskedTo) {
  start_ring();
  publish_many(4);
  auto reader = make_reader(0, {.policy = Policy::to_earliest, .durable_only = true});
  EXPECT_EQ(read_all(reader), "");
  drain_to(3);
  EXPECT_EQ(read_all(reader), "");
  EXPECT_FALSE(reader.ready());
  sync();
  EXPECT_TRUE(reader.ready());
  EXPECT_EQ(read_all(reader), expected(0, 3));
  fence(ring::FenceReason::deleted);
  EXPECT_EQ(read_all(reader), "") << "record 3 never became durable";
  drain_to(4);
  sync();
  EXPECT_EQ(read_all(reader), "3:r3");
  EXPECT_EQ(last_, Progress::deleted) << "a fence is seen although it is not below `durable`";
}

TEST_F(RingReading, WaitsQuietlyForDurabilityWhileTheRingHasGrown) {
  start_ring();
  auto reader = make_reader(0, {.policy = Policy::to_earliest, .durable_only = true});
  publish_many(2);
  EXPECT_EQ(read_all(reader), "");
  grow();
  publish_many(2);
  EXPECT_EQ(read_all(reader), "");
  const unsigned asked = asked_;
  for (int look = 0; look < 10; ++look) EXPECT_EQ(read_all(reader), "");
  EXPECT_EQ(last_, Progress::nothing_yet);
  EXPECT_EQ(asked_, asked) << "there is nothing to ask the daemon for: its disk is full, say";
  drain_to(4);
  sync();
  EXPECT_EQ(read_all(reader), expected(0, 4));
}

TEST_F(RingReading, MakesRoomForALargeRecord) {
  start_ring();
  make_lane(1, 4 * 1024 * 1024);
  const std::string large(900'000, 'x');
  publish("r0");
  publish(large);
  publish("r2");
  auto reader = make_reader();
  EXPECT_EQ(read_all(reader), "0:r0 1:" + large + " 2:r2");
}

TEST_F(RingReading, CountsWhatAMemoryTopicOverwrote) {
  use_topic(memory::Storage::memory, memory::Overflow::drop_oldest);
  start_ring();
  auto reader = make_reader();
  publish_many(3);
  EXPECT_EQ(read_all(reader), expected(0, 3));
  publish_many(60);
  const std::string rest = read_all(reader);
  EXPECT_EQ(reader.offset(), 63u);
  EXPECT_GT(reader.counters().lost, 0u);
  EXPECT_EQ(reader.counters().delivered + reader.counters().lost, 63u);
  EXPECT_EQ(rest, expected(3 + reader.counters().lost, 63));
}

TEST_F(RingReading, JumpsToTheEndOrStopsAfterALossIfToldTo) {
  use_topic(memory::Storage::memory, memory::Overflow::drop_oldest);
  start_ring();
  publish_many(63);
  auto to_end = make_reader(0, {.policy = Policy::to_latest, .durable_only = false});
  EXPECT_EQ(read_all(to_end), "");
  EXPECT_EQ(to_end.counters().lost, 63u);
  auto stops = make_reader(0, {.policy = Policy::error, .durable_only = false});
  read_once(stops);
  EXPECT_EQ(last_, Progress::lost);
  EXPECT_EQ(stops.offset(), 0u);
  stops.seek(60);
  EXPECT_EQ(read_all(stops), expected(60, 63));
}

TEST_F(RingReading, ReadsAnOldRingThatNobodyHasOverwritten) {
  use_topic(memory::Storage::memory, memory::Overflow::drop_oldest);
  start_ring();
  publish_many(3);
  grow();
  publish_many(3);
  auto late = make_reader();
  EXPECT_EQ(late.earliest(), 0u);
  EXPECT_EQ(read_all(late), expected(0, 6));
}

TEST_F(RingReading, CountsWhatARetiredRingOfAMemoryTopicHad) {
  use_topic(memory::Storage::memory, memory::Overflow::drop_oldest);
  start_ring();
  auto reader = make_reader();
  publish_many(3);
  EXPECT_EQ(read_all(reader), expected(0, 3));
  grow();
  publish_many(3);
  grow();
  publish_many(3);
  rings_.erase(rings_.begin() + 1);
  EXPECT_EQ(read_all(reader), expected(6, 9));
  EXPECT_EQ(reader.counters().lost, 3u);
}

TEST_F(RingReading, AsksOnlyWhenThereIsSomethingNew) {
  start_ring();
  publish_many(3);
  auto reader = make_reader();
  read_all(reader);
  const unsigned before = asked_;
  publish_many(3);
  read_all(reader);
  EXPECT_EQ(reader.log_end(), 6u);
  EXPECT_EQ(asked_, before);
}

TEST_F(RingReading, ShowsRecordsInPlaceUnderALease) {
  start_ring();
  publish_many(4);
  auto reader = make_reader();
  read_once(reader);  // finds the ring and the lane
  reader.seek(0);
  ring::Lease<Atomics> lease(wait_words().leases[5]);
  std::string seen;
  bool held = false;
  const auto each = [&](const Record& record) {
    seen += std::string(record.value().text()) + " ";
    held = held || lease.held();
  };
  auto shown = reader.show(&lease, 3, batch_, each);
  if (shown.progress == Progress::records && shown.records < 4) shown = reader.show(&lease, 3, batch_, each);
  EXPECT_EQ(seen, "r0 r1 r2 r3 ");
  EXPECT_TRUE(held);
  EXPECT_TRUE(shown.valid);
  EXPECT_EQ(wait_words().leases[5].load(), memory::kLeaseNone);
}

TEST_F(RingReading, TellsWhenALeaseWasRevoked) {
  start_ring();
  publish_many(2);
  auto reader = make_reader(1);
  read_once(reader);
  publish_many(1);
  ring::Lease<Atomics> lease(wait_words().leases[5]);
  const auto shown = reader.show(&lease, 3, batch_, [&](const Record&) {
    wait_words().leases[5].store(memory::kLeaseRevoked);
    EXPECT_FALSE(lease.valid());
  });
  EXPECT_EQ(shown.records, 1u);
  EXPECT_FALSE(shown.valid);
}

TEST_F(RingReading, GivesTheLeaseBackWhenACallbackThrows) {
  start_ring();
  publish_many(1);
  auto reader = make_reader();
  read_once(reader);
  publish_many(1);
  ring::Lease<Atomics> lease(wait_words().leases[5]);
  EXPECT_THROW(reader.show(&lease, 3, batch_, [](const Record&) { throw std::runtime_error("enough"); }),
               std::runtime_error);
  EXPECT_EQ(wait_words().leases[5].load(), memory::kLeaseNone);
  EXPECT_EQ(reader.offset(), 2u) << "the record was handed out";
}

TEST_F(RingReading, LeavesOtherPartitionsRecordsAloneWhenItNeedsTheDaemon) {
  start_ring();
  publish_many(1);
  auto reader = make_reader();
  batch_.clear();
  batch_.places().front() =
      Record({.offset = 99, .timestamp_ms = 0, .partition = 1, .key = {}, .value = {}, .headers = {}});
  batch_.added(1);
  daemon_answers_ = false;
  EXPECT_EQ(reader.read(batch_), Progress::later);
  EXPECT_EQ(batch_.size(), 1u);
}

TEST_F(RingReading, FindsTheEndWhateverTheHintSays) {
  start_ring();
  publish_many(5);
  rings_.back().view.tail->store(0);
  auto reader = make_reader();
  EXPECT_EQ(reader.log_end(), 5u);
  grow();
  EXPECT_EQ(reader.log_end(), 5u);
  publish_many(2);
  EXPECT_EQ(reader.log_end(), 7u);
}

TEST_F(RingReading, RegistersACursorThatHoldsPublishersBack) {
  use_topic(memory::Storage::memory, memory::Overflow::block);
  start_ring();
  publish_many(4);
  auto reader = make_reader();
  EXPECT_EQ(reader.register_cursor(wait_words().cursors[2]), 4u);
  EXPECT_EQ(wait_words().cursors[2].load(), 4u);
  std::size_t more = 0;
  while (more < 100 && try_publish(*lanes_[1], "r" + std::to_string(4 + more))) ++more;
  EXPECT_EQ(more, kSlots - 1) << "up to a full ring beyond the cursor, less the fence's slot";
  reader.seek(4);
  EXPECT_EQ(read_all(reader), expected(4, 4 + more));
}

}  // namespace
}  // namespace busway::read::test
