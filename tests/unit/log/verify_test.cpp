// Verify and dump: every defect is named with its file, its offsets and its byte range; whole logs have none.
#include "bus/log/verify.hpp"

#include <gtest/gtest.h>

#include <busway/error.hpp>

#include "tests/unit/log/log_fixture.hpp"

namespace busway::log {
namespace {

using namespace testing;  // NOLINT: the fixture's words

class VerifyTest : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directory(partition()); }

  std::filesystem::path partition() const { return directory_.path() / "orders-0"; }

  // two segments: 20 batches of 10 records from offset 0, then 10 more
  void given_log() {
    first_ = std::make_unique<SegmentBuilder>(partition(), 0, 500);
    fill(*first_, 20);
    second_ = std::make_unique<SegmentBuilder>(partition(), first_->next_offset(), 500);
    fill(*second_, 10);
  }
  static void fill(SegmentBuilder& builder, int batches) {
    for (int i = 0; i < batches; ++i) {
      const std::int64_t base = builder.next_offset();
      builder.add(compressed(build_batch(numbered_records(base, 10), base, 1), static_cast<Codec>(i % 5)));
    }
    builder.write();
  }
  void change(const std::filesystem::path& file, std::int64_t position, unsigned mask = 0x40) {
    ByteString bytes = read_file(file);
    bytes.at(static_cast<std::size_t>(position)) ^= std::byte(mask);
    write_file(file, bytes);
  }
  void append(const std::filesystem::path& file, std::size_t zeros) {
    ByteString bytes = read_file(file);
    bytes.resize(bytes.size() + zeros);
    write_file(file, bytes);
  }
  VerifyReport verified(const VerifyOptions& options = {}) { return verify(directory_.path(), options); }
  Defect only_defect() {
    const VerifyReport report = verified();
    EXPECT_EQ(report.defects.size(), 1U);
    return report.defects.empty() ? Defect{} : report.defects.front();
  }

  TempDirectory directory_;
  std::unique_ptr<SegmentBuilder> first_;
  std::unique_ptr<SegmentBuilder> second_;
};

TEST_F(VerifyTest, FindsNothingWrongWithAWholeLog) {
  given_log();
  const VerifyReport report = verified();
  EXPECT_TRUE(report.ok());
  EXPECT_TRUE(report.gaps.empty());
  ASSERT_EQ(report.segments.size(), 2U);
  EXPECT_EQ(report.segments[0].records, 200);
  EXPECT_EQ(report.segments[0].batches, 20);
  EXPECT_EQ(report.segments[0].next_offset, 200);
  EXPECT_EQ(report.segments[0].bytes, report.segments[0].valid_bytes);
  EXPECT_GT(report.segments[0].index_entries, 3);
  EXPECT_GT(report.segments[0].time_index_entries, 3);
  EXPECT_EQ(report.segments[1].base_offset, 200);
  EXPECT_EQ(report.segments[1].next_offset, 300);
}

TEST_F(VerifyTest, TakesAFileAPartitionOrAWholeDataDirectory) {
  given_log();
  EXPECT_EQ(verify(first_->path(SegmentFile::log)).segments.size(), 1U);
  EXPECT_EQ(verify(first_->path(SegmentFile::index)).segments.size(), 1U);
  EXPECT_EQ(verify(partition()).segments.size(), 2U);
  EXPECT_EQ(verify(directory_.path()).segments.size(), 2U);
  EXPECT_THROW((void)verify(directory_.path() / "nothing"), Error);
  write_file(directory_.path() / "notes.txt", {});
  EXPECT_THROW((void)verify(directory_.path() / "notes.txt"), Error);
}

TEST_F(VerifyTest, NamesFileOffsetsAndBytesOfAFlippedBit) {
  given_log();
  const auto& batch = first_->summaries()[5];
  change(first_->path(SegmentFile::log), first_->positions()[5] + 90);
  const VerifyReport report = verified();
  ASSERT_FALSE(report.defects.empty());
  const Defect& defect = report.defects.front();
  EXPECT_EQ(defect.kind, DefectKind::bad_batch);
  EXPECT_EQ(defect.file, first_->path(SegmentFile::log));
  EXPECT_EQ(defect.position, first_->positions()[5]);
  EXPECT_EQ(defect.bytes, batch.bytes);
  EXPECT_EQ(defect.first_offset, 50);
  EXPECT_EQ(defect.last_offset, 59);
  const std::string sentence = defect.sentence();
  for (const std::string& part : {first_->path(SegmentFile::log).string(), std::string("checksum mismatch"),
                                  std::string("offsets 50 to 59"),
                                  "bytes " + std::to_string(defect.position) + " to " +
                                      std::to_string(defect.position + defect.bytes - 1)}) {
    EXPECT_NE(sentence.find(part), std::string::npos) << sentence;
  }
  EXPECT_EQ(report.segments[0].records, 190);
}

TEST_F(VerifyTest, TellsOfATornAndOfAZeroTail) {
  given_log();
  const auto size = std::filesystem::file_size(second_->path(SegmentFile::log));
  std::filesystem::resize_file(second_->path(SegmentFile::log), size - 3);
  VerifyReport report = verified();
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.defects.front().kind, DefectKind::torn_tail);
  EXPECT_EQ(report.defects.front().first_offset, 290);

  second_->write();
  append(second_->path(SegmentFile::log), 4096);
  const Defect defect = only_defect();
  EXPECT_EQ(defect.kind, DefectKind::zero_tail);
  EXPECT_EQ(defect.position, static_cast<std::int64_t>(size));
  EXPECT_EQ(defect.bytes, 4096);
  VerifyOptions running;
  running.active = true;
  EXPECT_TRUE(verified(running).ok()) << "a running daemon has a zero tail in its last segment";
}

TEST_F(VerifyTest, ChecksEveryEntryOfTheOffsetIndex) {
  given_log();
  const auto entries =
      static_cast<std::int64_t>(std::filesystem::file_size(first_->path(SegmentFile::index)) / 8);
  for (std::int64_t entry = 0; entry < entries; ++entry) {
    for (const std::int64_t byte : {3, 7}) {
      change(first_->path(SegmentFile::index), 8 * entry + byte, 0x01);
      const VerifyReport report = verified();
      ASSERT_FALSE(report.ok());
      EXPECT_EQ(report.defects.front().kind, DefectKind::offset_index);
      EXPECT_EQ(report.defects.front().position, 8 * entry);
      EXPECT_EQ(report.defects.front().bytes, 8);
      change(first_->path(SegmentFile::index), 8 * entry + byte, 0x01);
    }
  }
  EXPECT_TRUE(verified().ok());
}

TEST_F(VerifyTest, ChecksEveryEntryOfTheTimeIndex) {
  given_log();
  const auto entries =
      static_cast<std::int64_t>(std::filesystem::file_size(first_->path(SegmentFile::time_index)) / 12);
  for (std::int64_t entry = 0; entry < entries; ++entry) {
    for (const std::int64_t byte : {7, 11}) {
      change(first_->path(SegmentFile::time_index), 12 * entry + byte, 0x01);
      const VerifyReport report = verified();
      ASSERT_FALSE(report.ok());
      EXPECT_EQ(report.defects.front().kind, DefectKind::time_index);
      EXPECT_EQ(report.defects.front().position, 12 * entry);
      change(first_->path(SegmentFile::time_index), 12 * entry + byte, 0x01);
    }
  }
  EXPECT_TRUE(verified().ok());
}

TEST_F(VerifyTest, NoticesTailsOfIndexFiles) {
  given_log();
  append(first_->path(SegmentFile::index), 16);
  EXPECT_EQ(only_defect().kind, DefectKind::zero_tail);
  first_->write();
  append(first_->path(SegmentFile::time_index), 5);
  EXPECT_EQ(only_defect().kind, DefectKind::torn_index);
}

TEST_F(VerifyTest, NoticesAnIndexWithoutItsLog) {
  given_log();
  std::filesystem::remove(first_->path(SegmentFile::log));
  EXPECT_EQ(only_defect().kind, DefectKind::missing_log);
}

TEST_F(VerifyTest, TellsAGapBetweenSegmentsFromAnOverlap) {
  given_log();
  SegmentBuilder jumped(partition(), 1000);
  fill(jumped, 2);
  const VerifyReport report = verified();
  EXPECT_TRUE(report.ok());
  ASSERT_EQ(report.gaps.size(), 1U);
  EXPECT_EQ(report.gaps[0].first_offset, 300);
  EXPECT_EQ(report.gaps[0].next_offset, 1000);

  SegmentBuilder overlapping(partition(), 1005);
  fill(overlapping, 1);
  EXPECT_EQ(only_defect().kind, DefectKind::overlap);
}

TEST_F(VerifyTest, ShowsItsProgress) {
  given_log();
  std::int64_t calls = 0;
  VerifyOptions options;
  options.progress = [&](std::int64_t done, std::int64_t all) {
    ++calls;
    EXPECT_LE(done, all);
  };
  EXPECT_TRUE(verified(options).ok());
  EXPECT_GE(calls, 1);
}

TEST_F(VerifyTest, DumpsBatchesRecordsAndEntriesInOrder) {
  given_log();
  std::vector<std::string> files;
  std::int64_t batches = 0;
  std::int64_t next = 0;
  std::size_t offset_entries = 0;
  std::size_t time_entries = 0;
  DumpSink sink;
  sink.file = [&](const std::filesystem::path& file) { files.push_back(file.filename().string()); };
  sink.batch = [&](std::int64_t, const BatchView&) { ++batches; };
  sink.record = [&](const RecordView& record) {
    EXPECT_EQ(record.offset, next++);
    EXPECT_EQ(record.value.text(), "value number " + std::to_string(record.offset));
  };
  sink.offset_entry = [&](const OffsetPosition&) { ++offset_entries; };
  sink.time_entry = [&](const TimestampOffset&) { ++time_entries; };
  EXPECT_EQ(dump(directory_.path(), sink), 0);
  EXPECT_EQ(files.size(), 6U);
  EXPECT_EQ(batches, 30);
  EXPECT_EQ(next, 300);
  EXPECT_GT(offset_entries, 3U);
  EXPECT_GT(time_entries, 3U);
}

TEST_F(VerifyTest, DumpsOneFileOnlyAndGoesOnBehindADefect) {
  given_log();
  change(first_->path(SegmentFile::log), first_->positions()[5] + 90);
  std::int64_t records = 0;
  std::vector<Defect> defects;
  DumpSink sink;
  sink.record = [&](const RecordView&) { ++records; };
  sink.defect = [&](const Defect& defect) { defects.push_back(defect); };
  EXPECT_EQ(dump(first_->path(SegmentFile::log), sink), 1);
  EXPECT_EQ(records, 190);
  ASSERT_EQ(defects.size(), 1U);
  EXPECT_EQ(defects[0].position, first_->positions()[5]);
}

}  // namespace
}  // namespace busway::log
