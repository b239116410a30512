// Reading a segment through descriptors: from any offset or time, never past what is written, around what is
// damaged.
#include "bus/log/segment_reader.hpp"

#include <limits>

#include <fcntl.h>
#include <gtest/gtest.h>

#include "bus/base/fd.hpp"
#include "tests/unit/log/log_fixture.hpp"

namespace busway::log {
namespace {

using namespace testing;  // NOLINT: the fixture's words

constexpr std::int64_t kEverything = std::numeric_limits<std::int64_t>::max();

class SegmentReaderTest : public ::testing::Test {
 protected:
  static constexpr std::int64_t kBase = 500;
  static constexpr int kPerBatch = 10;

  // `batches` batches of ten records each, and their indexes; every third one compressed
  void given_segment(int batches, std::int32_t interval = 600) {
    builder_ = std::make_unique<SegmentBuilder>(directory_.path(), kBase, interval);
    for (int i = 0; i < batches; ++i) {
      const std::int64_t base = builder_->next_offset();
      const BuiltBatch plain = build_batch(numbered_records(base, kPerBatch), base, 4);
      builder_->add(compressed(plain, i % 3 == 2 ? static_cast<Codec>(1 + i / 3 % 4) : Codec::none));
    }
    builder_->write();
    open();
  }
  void open() {
    log_ = Fd(::open(builder_->path(SegmentFile::log).c_str(), O_RDONLY | O_CLOEXEC));
    index_ = Fd(::open(builder_->path(SegmentFile::index).c_str(), O_RDONLY | O_CLOEXEC));
    time_index_ = Fd(::open(builder_->path(SegmentFile::time_index).c_str(), O_RDONLY | O_CLOEXEC));
  }
  SegmentFiles files() const { return {log_.get(), index_.get(), time_index_.get(), kBase, false}; }
  void overwrite(std::int64_t position, std::span<const std::byte> bytes) {
    const Fd fd(::open(builder_->path(SegmentFile::log).c_str(), O_WRONLY | O_CLOEXEC));
    ASSERT_EQ(::pwrite(fd.get(), bytes.data(), bytes.size(), position), std::ssize(bytes));
  }
  void flip_bit(std::int64_t position) {
    const std::byte flipped = builder_->log()[static_cast<std::size_t>(position)] ^ std::byte{0x10};
    overwrite(position, {&flipped, 1});
  }
  std::int64_t end() const { return builder_->next_offset(); }

  // the offsets of all that comes, checking that each record is the one that was written there
  static std::vector<std::int64_t> offsets(SegmentReader& reader, std::int64_t written,
                                           ReadStatus* last = nullptr) {
    std::vector<std::int64_t> offsets;
    RecordView record;
    ReadStatus status = reader.next(written, record);
    for (; status == ReadStatus::ok; status = reader.next(written, record)) {
      EXPECT_EQ(record.value.text(), "value number " + std::to_string(record.offset));
      offsets.push_back(record.offset);
    }
    if (last != nullptr) {
      *last = status;
    } else {
      EXPECT_EQ(status, ReadStatus::end);
    }
    return offsets;
  }
  static std::vector<std::int64_t> range(std::int64_t first, std::int64_t end) {
    std::vector<std::int64_t> numbers;
    for (; first < end; ++first) numbers.push_back(first);
    return numbers;
  }

  TempDirectory directory_;
  std::unique_ptr<SegmentBuilder> builder_;
  Fd log_;
  Fd index_;
  Fd time_index_;
};

TEST_F(SegmentReaderTest, GivesEveryRecordInOrder) {
  given_segment(50);
  SegmentReader reader(files());
  EXPECT_EQ(offsets(reader, kEverything), range(kBase, end()));
  EXPECT_EQ(reader.next_offset(), end());
}

TEST_F(SegmentReaderTest, WorksWithABufferSmallerThanABatch) {
  given_segment(20);
  SegmentReader reader(files(), 70);
  EXPECT_EQ(offsets(reader, kEverything), range(kBase, end()));
}

TEST_F(SegmentReaderTest, StartsAtAnyOffsetWithAndWithoutAnIndex) {
  given_segment(30);
  SegmentFiles bare = files();
  bare.index = -1;
  SegmentReader indexed(files());
  SegmentReader scanning(bare);
  for (std::int64_t offset = kBase - 3; offset < end(); ++offset) {
    ASSERT_EQ(indexed.seek(offset, kEverything), ReadStatus::ok);
    EXPECT_EQ(indexed.next_offset(), std::max(offset, kBase));
    ASSERT_EQ(scanning.seek(offset, kEverything), ReadStatus::ok);
    const auto expected = range(std::max(offset, kBase), end());
    ASSERT_EQ(offsets(indexed, kEverything), expected) << offset;
    ASSERT_EQ(offsets(scanning, kEverything), expected) << offset;
  }
  EXPECT_EQ(indexed.seek(end(), kEverything), ReadStatus::end);
}

TEST_F(SegmentReaderTest, UsesTheIndexAsAHintOnly) {
  given_segment(30);
  ByteString garbage = read_file(builder_->path(SegmentFile::index));
  for (std::size_t i = 7; i < garbage.size(); i += 8)
    garbage[i] ^= std::byte{0x05};  // positions off by a little
  write_file(builder_->path(SegmentFile::index), garbage);
  open();
  SegmentReader reader(files());
  for (const std::int64_t offset : {kBase, kBase + 55, kBase + 123, end() - 1}) {
    ASSERT_EQ(reader.seek(offset, kEverything), ReadStatus::ok);
    EXPECT_EQ(offsets(reader, kEverything), range(offset, end()));
  }
}

TEST_F(SegmentReaderTest, ReadsNothingAtOrAboveWritten) {
  given_segment(5);
  SegmentReader reader(files());
  EXPECT_EQ(offsets(reader, kBase + 20), range(kBase, kBase + 20));
  EXPECT_EQ(offsets(reader, kBase + 20), range(0, 0));
  EXPECT_EQ(offsets(reader, kBase + 29), range(0, 0)) << "a batch that is not whole below written";
  EXPECT_EQ(offsets(reader, kBase + 30), range(kBase + 20, kBase + 30));
  EXPECT_EQ(offsets(reader, kEverything), range(kBase + 30, end()));
}

TEST_F(SegmentReaderTest, DoesNotBelieveWhatItReadAheadOfWritten) {
  given_segment(5);
  const ByteString whole = read_file(builder_->path(SegmentFile::log));
  const auto third = static_cast<std::size_t>(builder_->positions()[2]);
  const ByteString unwritten(whole.size() - third);  // zeros, as a preallocated file shows before the write
  overwrite(static_cast<std::int64_t>(third), unwritten);
  SegmentReader reader(files());
  EXPECT_EQ(offsets(reader, kBase + 20), range(kBase, kBase + 20));
  overwrite(static_cast<std::int64_t>(third), std::span(whole).subspan(third));
  EXPECT_EQ(offsets(reader, kEverything), range(kBase + 20, end()));
}

TEST_F(SegmentReaderTest, EndsAtAZeroTailAndAtATornOne) {
  given_segment(5);
  const ByteString zeros(10'000);
  overwrite(std::ssize(builder_->log()), zeros);
  SegmentReader reader(files());
  EXPECT_EQ(offsets(reader, kEverything), range(kBase, end()));
}

TEST_F(SegmentReaderTest, FindsTheFirstRecordNotBeforeATime) {
  given_segment(40);
  SegmentReader reader(files());
  const std::int64_t start_ms = numbered_records(0, 1).front().timestamp_ms;
  for (std::int64_t offset = kBase; offset < end(); offset += 7) {
    ASSERT_EQ(reader.seek_time(start_ms + offset, kEverything), ReadStatus::ok);
    EXPECT_EQ(reader.next_offset(), offset);
    ASSERT_EQ(offsets(reader, kEverything), range(offset, end()));
  }
  ASSERT_EQ(reader.seek_time(0, kEverything), ReadStatus::ok);
  EXPECT_EQ(reader.next_offset(), kBase);
  EXPECT_EQ(reader.seek_time(start_ms + end(), kEverything), ReadStatus::end);
  EXPECT_EQ(reader.seek_time(start_ms + kBase + 20, kBase + 20), ReadStatus::end) << "not yet written";
}

TEST_F(SegmentReaderTest, FindsATimeAmongTimestampsOutOfOrder) {
  builder_ = std::make_unique<SegmentBuilder>(directory_.path(), kBase, 0);
  const std::vector<std::int64_t> times{50, 20, 90, 30, 90, 100, 40};
  for (std::size_t i = 0; i < times.size(); ++i) {
    const auto base = kBase + static_cast<std::int64_t>(i);
    builder_->add(build_batch({{times[i], "k", "value number " + std::to_string(base), {}}}, base, 4));
  }
  builder_->write();
  open();
  SegmentReader reader(files());
  for (std::int64_t time = 0; time <= 100; time += 5) {
    std::int64_t expected = kBase;
    while (times[static_cast<std::size_t>(expected - kBase)] < time) ++expected;
    ASSERT_EQ(reader.seek_time(time, kEverything), ReadStatus::ok);
    ASSERT_EQ(reader.next_offset(), expected) << time;
  }
}

TEST_F(SegmentReaderTest, ReportsADamagedBatchAndGoesOnBehindIt) {
  given_segment(6);
  flip_bit(builder_->positions()[2] + 100);
  SegmentReader reader(files());
  ReadStatus status = ReadStatus::ok;
  EXPECT_EQ(offsets(reader, kEverything, &status), range(kBase, kBase + 20));
  ASSERT_EQ(status, ReadStatus::corrupt);
  EXPECT_EQ(reader.defect().error, BatchError::bad_crc);
  EXPECT_EQ(reader.defect().position, builder_->positions()[2]);
  RecordView record;
  EXPECT_EQ(reader.next(kEverything, record), ReadStatus::corrupt) << "it stays there until told to go on";
  ASSERT_EQ(reader.skip_bad(kEverything), ReadStatus::ok);
  EXPECT_EQ(reader.defect().bytes, builder_->positions()[3] - builder_->positions()[2]);
  EXPECT_EQ(reader.defect().first_offset, kBase + 20);
  EXPECT_EQ(reader.defect().next_offset, kBase + 30);
  EXPECT_EQ(offsets(reader, kEverything), range(kBase + 30, end()));
}

TEST_F(SegmentReaderTest, SkipsToTheEndWhenNothingValidFollows) {
  given_segment(3);
  flip_bit(builder_->positions()[2] + 100);
  SegmentReader reader(files());
  ReadStatus status = ReadStatus::ok;
  EXPECT_EQ(offsets(reader, kEverything, &status), range(kBase, kBase + 20));
  ASSERT_EQ(status, ReadStatus::corrupt);
  EXPECT_EQ(reader.skip_bad(kEverything), ReadStatus::end);
  EXPECT_EQ(reader.defect().next_offset, -1);
}

TEST_F(SegmentReaderTest, SkipsABatchWhoseRecordsAreBeyondItsLimit) {
  given_segment(6);
  SegmentReader reader(files(), SegmentReader::kBufferBytes, 16);
  ReadStatus status = ReadStatus::ok;
  EXPECT_EQ(offsets(reader, kEverything, &status), range(kBase, kBase + 20));
  ASSERT_EQ(status, ReadStatus::corrupt);
  EXPECT_EQ(reader.defect().error, BatchError::too_large);
  ASSERT_EQ(reader.skip_bad(kEverything), ReadStatus::ok);
  EXPECT_EQ(offsets(reader, kEverything, &status), range(kBase + 30, kBase + 50));
}

TEST_F(SegmentReaderTest, LosesNothingToADamagedEpoch) {
  given_segment(4);
  flip_bit(builder_->positions()[0] + 14);
  flip_bit(builder_->positions()[2] + 14);
  SegmentReader reader(files());
  EXPECT_EQ(offsets(reader, kEverything), range(kBase, end()));
}

TEST_F(SegmentReaderTest, NoticesADamagedOffsetAndLosesOnlyItsBatch) {
  for (const std::int64_t byte : {5, 6, 7}) {
    given_segment(5);
    flip_bit(builder_->positions()[2] + byte);
    SegmentReader reader(files());
    ReadStatus status = ReadStatus::ok;
    EXPECT_EQ(offsets(reader, kEverything, &status), range(kBase, kBase + 20));
    ASSERT_EQ(status, ReadStatus::corrupt);
    EXPECT_EQ(reader.defect().error, BatchError::wrong_offset);
    ASSERT_EQ(reader.skip_bad(kEverything), ReadStatus::ok);
    EXPECT_EQ(offsets(reader, kEverything), range(kBase + 30, end()));
  }
}

TEST_F(SegmentReaderTest, TakesGapsOnlyInACompactedLog) {
  builder_ = std::make_unique<SegmentBuilder>(directory_.path(), kBase);
  builder_->add(build_batch(numbered_records(kBase, 10), kBase, 4));
  builder_->add(build_batch(numbered_records(kBase + 50, 10), kBase + 50, 4));
  builder_->add(build_batch(numbered_records(kBase + 60, 10), kBase + 60, 4));
  builder_->write();
  open();
  SegmentFiles compacted = files();
  compacted.gaps = true;
  SegmentReader reader(compacted);
  std::vector<std::int64_t> expected = range(kBase, kBase + 10);
  for (const std::int64_t offset : range(kBase + 50, end())) expected.push_back(offset);
  EXPECT_EQ(offsets(reader, kEverything), expected);

  SegmentReader strict(files());
  ReadStatus status = ReadStatus::ok;
  EXPECT_EQ(offsets(strict, kEverything, &status).size(), 10U);
  ASSERT_EQ(status, ReadStatus::corrupt);
  ASSERT_EQ(strict.skip_bad(kEverything), ReadStatus::ok);
  EXPECT_EQ(strict.defect().bytes, 0) << "nothing but offsets is missing";
  EXPECT_EQ(offsets(strict, kEverything), range(kBase + 50, end()));
}

TEST_F(SegmentReaderTest, HandsOutWholeBatches) {
  given_segment(4);
  SegmentReader reader(files());
  BatchView batch;
  std::int64_t expected = kBase;
  std::span<const std::byte> records;
  while (reader.next_batch(kEverything, batch) == ReadStatus::ok) {
    EXPECT_EQ(batch.base_offset(), expected);
    ASSERT_EQ(reader.batch_records(records), ReadStatus::ok);
    RecordCursor cursor(batch, records);
    RecordView record;
    while (cursor.next(record)) EXPECT_EQ(record.offset, expected++);
    EXPECT_EQ(reader.next_offset(), expected);
  }
  EXPECT_EQ(expected, end());
}

TEST_F(SegmentReaderTest, HandsOutTheBatchThatWasSought) {
  given_segment(30);
  SegmentReader reader(files());
  BatchView batch;
  for (std::int64_t offset = kBase; offset < end(); ++offset) {
    ASSERT_EQ(reader.seek(offset, kEverything), ReadStatus::ok);
    ASSERT_EQ(reader.next_batch(kEverything, batch), ReadStatus::ok);
    EXPECT_EQ(batch.base_offset(), offset - (offset - kBase) % kPerBatch);
    EXPECT_EQ(reader.next_offset(), batch.next_offset());
    const ReadStatus next = reader.next_batch(kEverything, batch);
    if (reader.next_offset() < end()) {
      EXPECT_EQ(next, ReadStatus::ok);
    }
  }
  RecordView record;
  ASSERT_EQ(reader.seek(kBase + 13, kEverything), ReadStatus::ok);
  ASSERT_EQ(reader.next(kEverything, record), ReadStatus::ok);
  ASSERT_EQ(reader.next_batch(kEverything, batch), ReadStatus::ok);
  EXPECT_EQ(batch.base_offset(), kBase + 20) << "a batch that was begun is not handed out again";
  ASSERT_EQ(reader.next(kEverything, record), ReadStatus::ok);
  EXPECT_EQ(record.offset, kBase + 30);
}

TEST_F(SegmentReaderTest, TakesUpAnotherSegmentWithTheSameBuffers) {
  given_segment(4);
  SegmentReader reader(files());
  EXPECT_EQ(offsets(reader, kEverything).size(), 40U);
  SegmentBuilder other(directory_.path(), 9000);
  other.add(build_batch(numbered_records(9000, 5), 9000, 9)).write();
  const Fd log(::open(other.path(SegmentFile::log).c_str(), O_RDONLY | O_CLOEXEC));
  reader.reset({log.get(), -1, -1, 9000, false});
  EXPECT_EQ(offsets(reader, kEverything), range(9000, 9005));
}

TEST_F(SegmentReaderTest, EndsQuietlyWhenTheFileIsCutBehindItsBack) {
  given_segment(400);
  SegmentReader reader(files(), 4096);
  RecordView record;
  for (int i = 0; i < 15; ++i) ASSERT_EQ(reader.next(kEverything, record), ReadStatus::ok);
  std::filesystem::resize_file(builder_->path(SegmentFile::log), 0);
  ReadStatus status = ReadStatus::ok;
  offsets(reader, kEverything, &status);
  EXPECT_EQ(status, ReadStatus::end);
}

TEST_F(SegmentReaderTest, TellsOfADescriptorThatCannotBeRead) {
  given_segment(1);
  SegmentReader reader({-1, -1, -1, kBase, false});
  RecordView record;
  EXPECT_EQ(reader.next(kEverything, record), ReadStatus::failed);
  EXPECT_EQ(reader.error_number(), EBADF);
}

TEST_F(SegmentReaderTest, AfterASeekTheNextBatchIsTheOneItStandsIn) {
  given_segment(6);
  SegmentReader reader(files());
  BatchView batch;
  ASSERT_EQ(reader.seek(kBase, kEverything), ReadStatus::ok);
  ASSERT_EQ(reader.next_batch(kEverything, batch), ReadStatus::ok);
  EXPECT_EQ(batch.base_offset(), kBase);
  ASSERT_EQ(reader.next_batch(kEverything, batch), ReadStatus::ok);
  EXPECT_EQ(batch.base_offset(), kBase + kPerBatch);
  ASSERT_EQ(reader.seek(kBase + 3 * kPerBatch + 4, kEverything), ReadStatus::ok);
  ASSERT_EQ(reader.next_batch(kEverything, batch), ReadStatus::ok);
  EXPECT_EQ(batch.base_offset(), kBase + 3 * kPerBatch);
}

TEST_F(SegmentReaderTest, ABatchWhoseRecordsWereAskedForIsPassedOver) {
  given_segment(6);
  SegmentReader reader(files());
  RecordView record;
  BatchView batch;
  ASSERT_EQ(reader.seek(kBase, kEverything), ReadStatus::ok);
  ASSERT_EQ(reader.next(kEverything, record), ReadStatus::ok);
  ASSERT_EQ(reader.next_batch(kEverything, batch), ReadStatus::ok);
  EXPECT_EQ(batch.base_offset(), kBase + kPerBatch);
}

}  // namespace
}  // namespace busway::log
