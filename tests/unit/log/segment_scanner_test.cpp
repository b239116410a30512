// Telling valid batches from damaged regions, wherever in a segment the damage is.
#include "bus/log/segment_scanner.hpp"

#include <algorithm>
#include <cstring>

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <busway/error.hpp>

#include "bus/base/crc32c.hpp"
#include "tests/unit/log/log_fixture.hpp"

namespace busway::log {
namespace {

using namespace testing;  // NOLINT: the fixture's words

class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(ByteString bytes) : bytes_(std::move(bytes)) {}
  std::int64_t read(std::span<std::byte> into, std::int64_t position) const noexcept override {
    if (fails) return -EIO;
    const auto from = std::min(static_cast<std::size_t>(position), bytes_.size());
    const std::size_t count = std::min(into.size(), bytes_.size() - from);
    if (count > 0) std::memcpy(into.data(), bytes_.data() + from, count);
    return static_cast<std::int64_t>(count);
  }
  std::int64_t size() const noexcept override { return std::ssize(bytes_); }
  bool fails = false;

 private:
  ByteString bytes_;
};

/// What a scan told of.
struct Story {
  std::vector<std::int64_t> batches;  // base offsets
  std::vector<BadRegion> bad;
  std::int64_t position = 0;
  std::int64_t next_offset = 0;
  std::int64_t zero_tail = 0;
};

Story scan(const ByteString& bytes, std::int64_t base, const ScanOptions& options = {}) {
  const MemorySource source(bytes);
  SegmentScanner scanner(source, base, options);
  Story story;
  for (ScanEvent event = scanner.next(); event != ScanEvent::end; event = scanner.next()) {
    if (event == ScanEvent::batch) {
      story.batches.push_back(scanner.batch().base_offset());
    } else {
      story.bad.push_back(scanner.bad());
    }
  }
  story.position = scanner.position();
  story.next_offset = scanner.next_offset();
  story.zero_tail = scanner.zero_tail_bytes();
  return story;
}

class Scan : public ::testing::Test {
 protected:
  static constexpr std::int64_t kBase = 100;

  // `count` batches of five records
  void given_batches(int count) {
    for (int i = 0; i < count; ++i) add(numbered_records(next_, 5));
  }
  void add(const std::vector<OwnedRecord>& records, std::int32_t epoch = 3) {
    const BuiltBatch batch = build_batch(records, next_, epoch);
    starts_.push_back(bytes_.size());
    bases_.push_back(next_);
    bytes_.insert(bytes_.end(), batch.bytes.begin(), batch.bytes.end());
    next_ = batch.summary.next_offset();
  }
  std::size_t end_of(std::size_t batch) const {
    return batch + 1 < starts_.size() ? starts_[batch + 1] : bytes_.size();
  }
  std::vector<std::int64_t> bases_without(std::size_t batch) const {
    std::vector<std::int64_t> bases = bases_;
    bases.erase(bases.begin() + static_cast<std::ptrdiff_t>(batch));
    return bases;
  }

  ByteString bytes_;
  std::vector<std::size_t> starts_;
  std::vector<std::int64_t> bases_;
  std::int64_t next_ = kBase;
};

TEST_F(Scan, FindsEveryBatchOfAWholeFile) {
  given_batches(8);
  const Story story = scan(bytes_, kBase);
  EXPECT_EQ(story.batches, bases_);
  EXPECT_TRUE(story.bad.empty());
  EXPECT_EQ(story.position, std::ssize(bytes_));
  EXPECT_EQ(story.next_offset, next_);
  EXPECT_EQ(story.zero_tail, 0);
}

TEST_F(Scan, OfAnEmptyFileEndsAtOnce) {
  const Story story = scan({}, kBase);
  EXPECT_EQ(story.position, 0);
  EXPECT_EQ(story.next_offset, kBase);
}

TEST_F(Scan, TellsAZeroTailFromATornOne) {
  given_batches(3);
  const auto whole = std::ssize(bytes_);
  bytes_.resize(bytes_.size() + 5000);
  Story story = scan(bytes_, kBase);
  EXPECT_TRUE(story.bad.empty());
  EXPECT_EQ(story.position, whole);
  EXPECT_EQ(story.zero_tail, 5000);

  bytes_.resize(static_cast<std::size_t>(whole) - 10);
  bytes_.resize(bytes_.size() + 5000);
  story = scan(bytes_, kBase);
  ASSERT_EQ(story.bad.size(), 1U);
  EXPECT_EQ(story.bad[0].next_offset, -1);
  EXPECT_EQ(story.bad[0].first_offset, bases_[2]);
  EXPECT_EQ(story.position, static_cast<std::int64_t>(starts_[2]));
  EXPECT_EQ(story.next_offset, bases_[2]);
}

TEST_F(Scan, TakesEveryTruncationForATornTail) {
  given_batches(3);
  for (std::size_t length = 0; length <= bytes_.size(); ++length) {
    const Story story =
        scan(ByteString(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(length)), kBase);
    std::size_t whole = 0;
    while (whole < starts_.size() && end_of(whole) <= length) ++whole;
    ASSERT_EQ(story.batches.size(), whole) << length;
    // up to seven bytes of a batch are the zeros that its offset begins with
    const std::size_t torn = length - (whole == 0 ? 0 : end_of(whole - 1));
    const bool clean = torn <= 7;
    ASSERT_EQ(story.bad.size(), clean ? 0U : 1U) << length;
    ASSERT_EQ(story.zero_tail, clean ? static_cast<std::int64_t>(torn) : story.zero_tail);
    if (!clean) {
      ASSERT_EQ(story.bad[0].next_offset, -1);
    }
  }
}

TEST_F(Scan, FindsEveryFlippedBitAndKeepsEveryOtherBatch) {
  given_batches(5);
  for (std::size_t bit = 0; bit < 8 * bytes_.size(); ++bit) {
    ByteString damaged = bytes_;
    damaged[bit / 8] ^= std::byte(1U << (bit % 8));
    const auto hit = static_cast<std::size_t>(std::upper_bound(starts_.begin(), starts_.end(), bit / 8) -
                                              starts_.begin() - 1);
    const Story story = scan(damaged, kBase);
    ASSERT_EQ(story.batches, bases_without(hit)) << "bit " << bit;
    ASSERT_EQ(story.bad.size(), 1U) << "bit " << bit;
    ASSERT_EQ(story.bad[0].position, static_cast<std::int64_t>(starts_[hit]));
    ASSERT_EQ(story.bad[0].first_offset, bases_[hit]);
    if (hit + 1 < starts_.size()) {
      ASSERT_EQ(story.bad[0].bytes, static_cast<std::int64_t>(end_of(hit) - starts_[hit])) << "bit " << bit;
      ASSERT_EQ(story.bad[0].next_offset, bases_[hit + 1]);
    } else {
      ASSERT_EQ(story.bad[0].next_offset, -1);
    }
  }
}

TEST_F(Scan, StepsOverAHoleOfZerosBetweenValidBatches) {
  given_batches(6);
  std::fill(bytes_.begin() + static_cast<std::ptrdiff_t>(starts_[2]) - 20,
            bytes_.begin() + static_cast<std::ptrdiff_t>(starts_[4]) - 20, std::byte{0});
  const Story story = scan(bytes_, kBase);
  EXPECT_EQ(story.batches, (std::vector<std::int64_t>{bases_[0], bases_[4], bases_[5]}));
  ASSERT_EQ(story.bad.size(), 1U);
  EXPECT_EQ(story.bad[0].position, static_cast<std::int64_t>(starts_[1]));
  EXPECT_EQ(story.bad[0].first_offset, bases_[1]);
  EXPECT_EQ(story.bad[0].next_offset, bases_[4]);
}

TEST_F(Scan, CallsABatchTwiceInTheFileWrong) {
  given_batches(3);
  const ByteString first(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(starts_[1]));
  bytes_.insert(bytes_.begin() + static_cast<std::ptrdiff_t>(starts_[1]), first.begin(), first.end());
  const Story story = scan(bytes_, kBase);
  EXPECT_EQ(story.batches, bases_);
  ASSERT_EQ(story.bad.size(), 1U);
  EXPECT_EQ(story.bad[0].error, BatchError::wrong_offset);
}

TEST_F(Scan, ReportsMissingOffsetsWithoutGivingUpABatch) {
  given_batches(2);
  next_ += 1000;
  given_batches(2);
  const Story story = scan(bytes_, kBase);
  EXPECT_EQ(story.batches, bases_);
  ASSERT_EQ(story.bad.size(), 1U);
  EXPECT_EQ(story.bad[0].bytes, 0);
  EXPECT_EQ(story.bad[0].first_offset, bases_[2] - 1000);
  EXPECT_EQ(story.bad[0].next_offset, bases_[2]);
  ScanOptions compacted;
  compacted.gaps = true;
  EXPECT_TRUE(scan(bytes_, kBase, compacted).bad.empty());
}

TEST_F(Scan, BelievesNoOffsetBeyondTheGrantedOnes) {
  given_batches(4);
  ScanOptions options;
  options.offset_limit = bases_[3];
  const Story story = scan(bytes_, kBase, options);
  EXPECT_EQ(story.batches.size(), 3U);
  ASSERT_EQ(story.bad.size(), 1U);
  EXPECT_EQ(story.bad[0].error, BatchError::wrong_offset);
  options.offset_limit = next_;
  EXPECT_EQ(scan(bytes_, kBase, options).batches, bases_);
}

TEST_F(Scan, StartsInTheMiddleWhenTold) {
  given_batches(4);
  ScanOptions options;
  options.position = static_cast<std::int64_t>(starts_[2]);
  options.next_offset = bases_[2];
  EXPECT_EQ(scan(bytes_, kBase, options).batches, (std::vector<std::int64_t>{bases_[2], bases_[3]}));
}

TEST_F(Scan, AcceptsRisingEpochsOnlyFromKafka) {
  add(numbered_records(next_, 5), 3);
  add(numbered_records(next_, 5), 3);
  add(numbered_records(next_, 5), 4);
  EXPECT_EQ(scan(bytes_, kBase).batches.size(), 2U);
  ScanOptions foreign;
  foreign.epochs_may_rise = true;
  EXPECT_EQ(scan(bytes_, kBase, foreign).batches, bases_);
}

TEST_F(Scan, ChecksRecordsOnlyWhenAsked) {
  given_batches(3);
  // a record that lies about its value's length, under a CRC that matches
  auto& header = *reinterpret_cast<BatchHeader*>(bytes_.data() + starts_[1]);
  const std::size_t size = end_of(1) - starts_[1];
  bytes_[starts_[1] + kBatchHeaderBytes + 4] ^= std::byte{0x02};
  header.crc.set(crc32c(bytes_.data() + starts_[1] + kCrcFrom, size - kCrcFrom));
  EXPECT_EQ(scan(bytes_, kBase).batches, bases_);
  ScanOptions thorough;
  thorough.check_records = true;
  const Story story = scan(bytes_, kBase, thorough);
  EXPECT_EQ(story.batches, bases_without(1));
  ASSERT_EQ(story.bad.size(), 1U);
  EXPECT_EQ(story.bad[0].error, BatchError::bad_record);
  EXPECT_EQ(story.bad[0].bytes, static_cast<std::int64_t>(size));
}

// A value that is itself a piece of a log, with the very offsets that are expected next.
TEST_F(Scan, IsNotFooledByBatchesInsideARecord) {
  given_batches(2);
  ByteString inner;
  for (std::int64_t base = next_; base < next_ + 20; base += 5) {
    const BuiltBatch batch = build_batch(numbered_records(base, 5), base, 3);
    inner.insert(inner.end(), batch.bytes.begin(), batch.bytes.end());
  }
  const std::string value(reinterpret_cast<const char*>(inner.data()), inner.size());
  add({{1, "k", value, {}}, {1, "k", value, {}}, {1, "k", std::string(100, 'x'), {}}});
  given_batches(3);
  // its records are damaged, its length is not
  ByteString damaged = bytes_;
  damaged[starts_[2] + kBatchHeaderBytes] ^= std::byte{1};
  EXPECT_EQ(scan(damaged, kBase).batches, bases_without(2));
  // its length is damaged as well
  damaged[starts_[2] + 9] ^= std::byte{1};
  EXPECT_EQ(scan(damaged, kBase).batches, bases_without(2));
}

TEST_F(Scan, KeepsWhatIsValidBetweenTwoDamagedHeaders) {
  given_batches(9);
  for (const std::size_t hit : {std::size_t{2}, std::size_t{6}}) {
    std::fill_n(bytes_.begin() + static_cast<std::ptrdiff_t>(starts_[hit]), 61, std::byte{0xEE});
  }
  std::vector<std::int64_t> expected = bases_;
  expected.erase(expected.begin() + 6);
  expected.erase(expected.begin() + 2);
  const Story story = scan(bytes_, kBase);
  EXPECT_EQ(story.batches, expected);
  EXPECT_EQ(story.bad.size(), 2U);
}

// The batch behind a damaged one has a damaged offset, which its CRC does not cover.
TEST_F(Scan, DoesNotLoseTheRestToAnOffsetThatIsTooHigh) {
  given_batches(8);
  bytes_[starts_[2] + 80] ^= std::byte{1};
  bytes_[starts_[3] + 5] ^= std::byte{1};
  std::vector<std::int64_t> expected = bases_;
  expected.erase(expected.begin() + 2, expected.begin() + 4);
  EXPECT_EQ(scan(bytes_, kBase).batches, expected);
}

// Zeros over the end of a batch and the whole base offset of the next one, which makes that 0: a possible
// offset here.
TEST(ScanFromZero, GivesNoBatchAnOffsetThatIsNotItsOwn) {
  ByteString bytes;
  std::vector<std::size_t> starts;
  for (std::int64_t base = 0; base < 30; base += 5) {
    const BuiltBatch batch = build_batch(numbered_records(base, 5), base, 3);
    starts.push_back(bytes.size());
    bytes.insert(bytes.end(), batch.bytes.begin(), batch.bytes.end());
  }
  for (std::size_t at = starts[1] - 100; at < starts[1] + 8; ++at) bytes[at] = std::byte{0};
  const Story story = scan(bytes, 0);
  EXPECT_EQ(story.batches, (std::vector<std::int64_t>{10, 15, 20, 25}));
  ASSERT_EQ(story.bad.size(), 1U);
  EXPECT_EQ(story.bad[0].bytes, static_cast<std::int64_t>(starts[2]));
}

TEST_F(Scan, DoesNotLoseTheRestOfACompactedLogToAnOffsetThatIsTooHigh) {
  given_batches(3);
  next_ += 100;
  given_batches(3);
  ScanOptions compacted;
  compacted.gaps = true;
  EXPECT_EQ(scan(bytes_, kBase, compacted).batches, bases_);
  bytes_[starts_[1] + 5] ^= std::byte{1};
  EXPECT_EQ(scan(bytes_, kBase, compacted).batches, bases_without(1));
}

TEST_F(Scan, ThrowsWhatTheDiskSays) {
  given_batches(2);
  MemorySource source(bytes_);
  source.fails = true;
  SegmentScanner scanner(source, kBase);
  EXPECT_THROW((void)scanner.next(), Error);
}

TEST(ScanProperties, GarbageNeverYieldsABatchNorLosesOneBehindIt) {
  EXPECT_TRUE(rc::check([] {
    const auto garbage =
        *rc::gen::nonEmpty(rc::gen::container<std::vector<std::uint8_t>>(rc::gen::arbitrary<std::uint8_t>()));
    ByteString bytes;
    for (const std::uint8_t byte : garbage) bytes.push_back(static_cast<std::byte>(byte));
    const BuiltBatch batch = build_batch(numbered_records(7, 3), 7, 1);
    bytes.insert(bytes.end(), batch.bytes.begin(), batch.bytes.end());
    const Story story = scan(bytes, 0);
    RC_ASSERT(story.batches == std::vector<std::int64_t>{7});
    RC_ASSERT(story.bad.size() == 1U);
    RC_ASSERT(story.bad[0].bytes == std::ssize(garbage));
  }));
}

// Stretches of the file are overwritten; wherever they are, what they did not touch is kept, and nothing else
// appears.
TEST(ScanProperties, KeepsExactlyTheBatchesThatWereNotTouched) {
  EXPECT_TRUE(rc::check([] {
    const int count = *rc::gen::inRange(1, 12);
    ByteString bytes;
    std::vector<std::size_t> ends;
    std::vector<std::int64_t> bases;
    std::int64_t next = 50;
    for (int i = 0; i < count; ++i) {
      const int records = *rc::gen::inRange(1, 6);
      const BuiltBatch batch = build_batch(numbered_records(next, records), next, 2);
      bytes.insert(bytes.end(), batch.bytes.begin(), batch.bytes.end());
      ends.push_back(bytes.size());
      bases.push_back(next);
      next = batch.summary.next_offset();
    }
    const ByteString whole = bytes;
    const int stretches = *rc::gen::inRange(0, 4);
    for (int i = 0; i < stretches; ++i) {
      const auto at = *rc::gen::inRange<std::size_t>(0, bytes.size());
      const auto length = std::min(bytes.size() - at, *rc::gen::inRange<std::size_t>(1, 200));
      const bool zeros = *rc::gen::arbitrary<bool>();
      for (std::size_t k = at; k < at + length; ++k) {
        bytes[k] = zeros ? std::byte{0} : static_cast<std::byte>(*rc::gen::arbitrary<std::uint8_t>());
      }
    }
    std::vector<std::int64_t> expected;
    for (std::size_t i = 0; i < ends.size(); ++i) {
      const auto from = static_cast<std::ptrdiff_t>(i == 0 ? 0 : ends[i - 1]);
      const auto to = static_cast<std::ptrdiff_t>(ends[i]);
      if (std::equal(bytes.begin() + from, bytes.begin() + to, whole.begin() + from))
        expected.push_back(bases[i]);
    }
    ScanOptions options;
    options.leader_epoch = 2;
    options.offset_limit = next;
    RC_ASSERT(scan(bytes, 50, options).batches == expected);
  }));
}

}  // namespace
}  // namespace busway::log
