// The two indexes: entries as Kafka writes them, searches that survive damaged files.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "bus/base/fd.hpp"
#include "tests/unit/log/log_fixture.hpp"

namespace busway::log {
namespace {

using namespace testing;  // NOLINT: the fixture's words

BatchSummary batch(std::int64_t base, std::int64_t last, std::int64_t max_ms, std::int32_t bytes) {
  BatchSummary summary;
  summary.base_offset = base;
  summary.last_offset = last;
  summary.max_timestamp_ms = max_ms;
  summary.bytes = bytes;
  summary.record_count = static_cast<std::int32_t>(last - base + 1);
  return summary;
}

std::vector<OffsetPosition> offsets_of(const SegmentIndexer& indexer) {
  return decode_offset_index(indexer.offset_bytes(), indexer.base_offset());
}
std::vector<TimestampOffset> times_of(const SegmentIndexer& indexer) {
  return decode_time_index(indexer.time_bytes(), indexer.base_offset());
}

TEST(SegmentIndexer, MakesAnEntryOnceAnIntervalOfBytesLiesBehindTheLast) {
  SegmentIndexer indexer(1000, 100);
  indexer.add(batch(1000, 1009, 5, 60), 0);
  indexer.add(batch(1010, 1019, 6, 60), 60);   // 60 bytes before it: none
  indexer.add(batch(1020, 1029, 7, 60), 120);  // 120 bytes before it: an entry
  indexer.add(batch(1030, 1039, 8, 60), 180);
  EXPECT_EQ(offsets_of(indexer), (std::vector<OffsetPosition>{{1029, 120}}));
  EXPECT_EQ(times_of(indexer), (std::vector<TimestampOffset>{{7, 1029}}));
}

TEST(SegmentIndexer, HasKafkasLayout) {
  SegmentIndexer indexer(1000, 0);
  indexer.add(batch(1000, 1001, 0x0102030405060708, 10), 0);
  indexer.add(batch(1002, 1515, 1, 10), 0x01020304);
  const auto bytes = indexer.offset_bytes();
  const std::vector<std::byte> expected{std::byte{0}, std::byte{0}, std::byte{2}, std::byte{3},
                                        std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};
  EXPECT_EQ(ByteString(bytes.begin(), bytes.end()), expected);
  const auto times = indexer.time_bytes();
  ASSERT_EQ(times.size(), 12U);
  for (unsigned i = 0; i < 8; ++i) EXPECT_EQ(times[i], std::byte(i + 1));
  EXPECT_EQ(times[11], std::byte{1}) << "the offset of the batch with that time, not of the entry's batch";
}

TEST(SegmentIndexer, KeepsTheTimeIndexStrictlyIncreasing) {
  SegmentIndexer indexer(0, 0);
  indexer.add(batch(0, 0, 50, 10), 0);
  indexer.add(batch(1, 1, 40, 10), 10);
  indexer.add(batch(2, 2, 50, 10), 20);
  indexer.add(batch(3, 3, 60, 10), 30);
  indexer.add(batch(4, 4, 10, 10), 40);
  EXPECT_EQ(times_of(indexer), (std::vector<TimestampOffset>{{50, 0}, {60, 3}}));
  EXPECT_EQ(offsets_of(indexer).size(), 4U);
  indexer.finish();
  EXPECT_EQ(times_of(indexer).size(), 2U) << "the largest timestamp has its entry already";
}

TEST(SegmentIndexer, GivesTheLargestTimestampItsEntryAtTheEnd) {
  SegmentIndexer indexer(0, 1000);
  indexer.add(batch(0, 4, 70, 10), 0);
  indexer.add(batch(5, 9, 60, 10), 10);
  EXPECT_TRUE(times_of(indexer).empty());
  indexer.finish();
  indexer.finish();
  EXPECT_EQ(times_of(indexer), (std::vector<TimestampOffset>{{70, 4}}));
  EXPECT_EQ(indexer.max_timestamp_ms(), 70);
}

TEST(SegmentIndexer, MakesNoTimeEntryForBatchesWithoutARecord) {
  SegmentIndexer indexer(0, 0);
  indexer.add(batch(0, 0, kNoTimestamp, 61), 0);
  indexer.add(batch(1, 1, kNoTimestamp, 61), 61);
  indexer.finish();
  EXPECT_TRUE(times_of(indexer).empty());
}

TEST(SegmentIndexer, HandsOutEachEntryOnce) {
  SegmentIndexer indexer(0, 0);
  indexer.add(batch(0, 0, 1, 10), 0);
  indexer.add(batch(1, 1, 2, 10), 10);
  indexer.taken();
  EXPECT_TRUE(indexer.offset_bytes().empty());
  indexer.add(batch(2, 2, 3, 10), 20);
  EXPECT_EQ(offsets_of(indexer), (std::vector<OffsetPosition>{{2, 20}}));
}

TEST(SegmentIndexer, GoesOnAfterACleanStopWithoutRepeatingATimestamp) {
  SegmentIndexer indexer(0, 0);
  indexer.resume(100, {500, 120});
  indexer.add(batch(130, 139, 500, 10), 1000);
  indexer.add(batch(140, 149, 400, 10), 1010);
  indexer.finish();
  EXPECT_TRUE(times_of(indexer).empty());
  indexer.add(batch(150, 159, 501, 10), 1020);
  EXPECT_EQ(times_of(indexer), (std::vector<TimestampOffset>{{501, 159}}));
}

TEST(SegmentIndexer, KnowsWhenThe32BitFieldsAreFull) {
  const SegmentIndexer indexer(1000);
  EXPECT_TRUE(indexer.fits(1000 + kRelativeMost, kRelativeMost));
  EXPECT_FALSE(indexer.fits(1001 + kRelativeMost, 0));
  EXPECT_FALSE(indexer.fits(1000, kRelativeMost + 1));
}

class IndexFiles : public ::testing::Test {
 protected:
  Fd written(std::span<const std::byte> bytes) {
    const auto path = directory_.path() / ("index" + std::to_string(count_++));
    write_file(path, bytes);
    return Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  }
  // batches of ten offsets, 100 bytes each
  static SegmentIndexer filled(std::int64_t base, int batches) {
    SegmentIndexer indexer(base, 0);
    for (int i = 0; i < batches; ++i)
      indexer.add(batch(base + 10 * i, base + 10 * i + 9, 1000 + i, 100), 100 * i);
    return indexer;
  }

 private:
  TempDirectory directory_;
  int count_ = 0;
};

TEST_F(IndexFiles, AreSearchedForTheLastEntryNotAboveTheTarget) {
  const SegmentIndexer indexer = filled(5000, 100);
  const auto entries = offsets_of(indexer);
  const Fd fd = written(indexer.offset_bytes());
  const OffsetIndexReader reader(fd.get(), 5000);
  for (std::int64_t offset = 4990; offset < 6020; ++offset) {
    OffsetPosition expected{5000, 0};
    for (const OffsetPosition& entry : entries) {
      if (entry.offset <= offset) expected = entry;
    }
    ASSERT_EQ(reader.find(offset), expected) << offset;
  }
}

TEST_F(IndexFiles, OfTimesAreSearchedForTheLastEntryBelowTheTarget) {
  const SegmentIndexer indexer = filled(5000, 100);
  const auto entries = times_of(indexer);
  const Fd fd = written(indexer.time_bytes());
  const TimeIndexReader reader(fd.get(), 5000);
  for (std::int64_t time = 990; time < 1110; ++time) {
    TimestampOffset expected{kNoTimestamp, 4999};
    for (const TimestampOffset& entry : entries) {
      if (entry.timestamp_ms < time) expected = entry;
    }
    ASSERT_EQ(reader.find_before(time), expected) << time;
  }
  EXPECT_EQ(reader.last(), entries.back());
}

TEST_F(IndexFiles, MayBeMissingEmptyTornOrEndInZeros) {
  const SegmentIndexer indexer = filled(0, 10);
  EXPECT_EQ(OffsetIndexReader(-1, 7).find(100), (OffsetPosition{7, 0}));
  EXPECT_EQ(TimeIndexReader(-1, 7).find_before(100), (TimestampOffset{kNoTimestamp, 6}));
  const Fd empty = written({});
  EXPECT_EQ(OffsetIndexReader(empty.get(), 7).find(100), (OffsetPosition{7, 0}));

  ByteString longer(indexer.offset_bytes().begin(), indexer.offset_bytes().end());
  longer.resize(longer.size() + 803);  // a hundred entries of zeros and a torn one
  const Fd tailed = written(longer);
  EXPECT_EQ(OffsetIndexReader(tailed.get(), 0).find(1'000'000), (OffsetPosition{99, 900}));
  EXPECT_EQ(decode_offset_index(longer, 0).size(), 9U);
}

TEST_F(IndexFiles, FullOfGarbageGiveAHintInRangeOrNone) {
  rc::check([&] {
    const auto bytes = *rc::gen::container<std::vector<std::uint8_t>>(rc::gen::arbitrary<std::uint8_t>());
    const Fd fd = written(std::as_bytes(std::span(bytes)));
    const auto offset = *rc::gen::arbitrary<std::int32_t>();
    const OffsetPosition found = OffsetIndexReader(fd.get(), 0).find(offset);
    RC_ASSERT(found.position >= 0);
    RC_ASSERT(found.offset >= 0);
  });
}

}  // namespace
}  // namespace busway::log
