// Record batches: what is encoded can be read back, and nothing that was damaged is taken for whole.
#include <algorithm>
#include <limits>
#include <random>

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "bus/base/crc32c.hpp"
#include "tests/unit/log/log_fixture.hpp"

namespace busway::log {
namespace {

using namespace testing;  // NOLINT: the fixture's words

std::vector<OwnedRecord> some_records() {
  return {{1000, "k", "v", {}},
          {1001, std::nullopt, "value", {{"trace", "abc"}, {"trace", std::nullopt}, {"", ""}}},
          {999, "", std::nullopt, {}},
          {5'000'000'000'000, std::string(200, 'k'), std::string(20'000, 'v'), {}},
          {1000, std::nullopt, "", {}}};
}

TEST(Batch, GivesBackWhatWasAppended) {
  const auto records = some_records();
  const BuiltBatch batch = build_batch(records, 42, 7);
  const ReadBatch read = read_batch(batch.bytes);
  ASSERT_EQ(read.error, BatchError::none);
  EXPECT_EQ(read.records, records);
  EXPECT_EQ(read.offsets, (std::vector<std::int64_t>{42, 43, 44, 45, 46}));
}

TEST(Batch, HasAHeaderThatSaysWhatIsInIt) {
  const BuiltBatch batch = build_batch(some_records(), 42, 7);
  BatchView view;
  ASSERT_EQ(BatchView::parse(batch.bytes, view), BatchError::none);
  EXPECT_EQ(view.base_offset(), 42);
  EXPECT_EQ(view.last_offset(), 46);
  EXPECT_EQ(view.record_count(), 5);
  EXPECT_EQ(view.leader_epoch(), 7);
  EXPECT_EQ(view.max_timestamp_ms(), 5'000'000'000'000);
  EXPECT_EQ(view.header().base_timestamp.get(), 1000);
  EXPECT_EQ(view.header().producer_id.get(), -1);
  EXPECT_EQ(view.header().producer_epoch.get(), -1);
  EXPECT_EQ(view.header().base_sequence.get(), -1);
  EXPECT_EQ(view.header().attributes.get(), 0);
  EXPECT_EQ(static_cast<std::size_t>(view.summary().bytes), batch.bytes.size());
  EXPECT_EQ(batch.summary.last_offset, view.summary().last_offset);
  EXPECT_EQ(batch.summary.max_timestamp_ms, view.summary().max_timestamp_ms);
  EXPECT_EQ(batch.summary.bytes, view.summary().bytes);
}

TEST(Batch, StepsOverSkippedOffsets) {
  ByteString buffer(1000);
  BatchEncoder encoder;
  encoder.begin(buffer, 10, Epoch{1});
  encoder.skip();
  EXPECT_EQ(encoder.append({5, "a", "b", {}}), AppendResult::appended);
  encoder.skip();
  EXPECT_EQ(encoder.append({6, "c", "d", {}}), AppendResult::appended);
  encoder.skip();
  const BatchSummary summary = encoder.finish();
  EXPECT_EQ(summary.base_offset, 10);
  EXPECT_EQ(summary.last_offset, 14);
  EXPECT_EQ(summary.record_count, 2);
  EXPECT_EQ(read_batch(buffer).offsets, (std::vector<std::int64_t>{11, 13}));
}

TEST(Batch, MayHoldNothingButSkippedOffsets) {
  const BuiltBatch batch = build_batch({}, 3);
  const ReadBatch read = read_batch(batch.bytes);
  EXPECT_EQ(read.error, BatchError::none);
  EXPECT_TRUE(read.records.empty());
  EXPECT_EQ(batch.summary.next_offset(), 4);
}

TEST(Batch, TakesNoRecordThatDoesNotFitAndStaysAsItWas) {
  ByteString buffer(BatchEncoder::batch_bytes_most(0, 3, 5));
  BatchEncoder encoder;
  encoder.begin(buffer, 0, Epoch{0});
  EXPECT_TRUE(encoder.fits(0, 3, 5));
  EXPECT_EQ(encoder.append({1, "key", "value", {}}), AppendResult::appended);
  const std::size_t size = encoder.size();
  EXPECT_EQ(encoder.append({1, "key", "value", {}}), AppendResult::full);
  EXPECT_EQ(encoder.size(), size);
  EXPECT_EQ(encoder.finish().record_count, 1);
  EXPECT_EQ(read_batch(buffer).records.size(), 1U);
}

TEST(Batch, RefusesHeadersThatAreNotKafkasEncodingAndStaysAsItWas) {
  ByteString buffer(1000);
  BatchEncoder encoder;
  encoder.begin(buffer, 0, Epoch{0});
  ASSERT_EQ(encoder.append({1, "first", "value", {}}), AppendResult::appended);
  const ByteString garbage{std::byte{0x04}, std::byte{0xFF}, std::byte{0x01}};
  EXPECT_EQ(encoder.append({1, "second", "value", garbage}), AppendResult::bad_headers);
  EXPECT_EQ(encoder.next_offset(), 1);
  encoder.skip();
  ASSERT_EQ(encoder.append({1, "third", "value", {}}), AppendResult::appended);
  encoder.finish();
  EXPECT_EQ(read_batch(buffer).offsets, (std::vector<std::int64_t>{0, 2}));
}

TEST(Batch, ReadsBytesOnlyThroughTheGivenCopy) {
  ByteString buffer(1000);
  BatchEncoder encoder;
  encoder.begin(buffer, 0, Epoch{0});
  std::size_t copied = 0;
  const auto counting = [&](std::byte* to, const std::byte* from, std::size_t bytes) {
    std::copy_n(from, bytes, to);
    copied += bytes;
  };
  const OwnedRecord record{1, "key", "value", {{"h", "x"}}};
  const ByteString headers = headers_of(record);
  EXPECT_EQ(encoder.append({1, "key", "value", headers}, counting), AppendResult::appended);
  EXPECT_EQ(copied, 3 + 5 + headers.size());
}

TEST(Batch, NoticesEveryFlippedBit) {
  const BuiltBatch batch = build_batch(some_records(), 1000, 3);
  ByteString damaged = batch.bytes;
  for (std::size_t bit = 0; bit < 8 * damaged.size(); ++bit) {
    damaged[bit / 8] ^= std::byte(1U << (bit % 8));
    BatchView view;
    BatchError error = BatchView::parse(damaged, view);
    // base offset and leader epoch lie before the CRC's bytes: their neighbours give them away
    if (error == BatchError::none) error = view.follows(1000, 3, false);
    ASSERT_NE(error, BatchError::none) << "bit " << bit;
    damaged[bit / 8] ^= std::byte(1U << (bit % 8));
  }
  EXPECT_EQ(read_batch(damaged).error, BatchError::none);
}

TEST(Batch, NoticesEveryTruncation) {
  const BuiltBatch batch = build_batch(some_records());
  for (std::size_t length = 0; length < batch.bytes.size(); ++length) {
    BatchView view;
    const ByteString cut(batch.bytes.begin(), batch.bytes.begin() + static_cast<std::ptrdiff_t>(length));
    ASSERT_EQ(BatchView::parse(cut, view), BatchError::incomplete) << length;
  }
}

TEST(Batch, FollowsOnlyWhatComesRightBefore) {
  const BuiltBatch batch = build_batch(some_records(), 1000, 3);
  BatchView view;
  ASSERT_EQ(BatchView::parse(batch.bytes, view), BatchError::none);
  EXPECT_EQ(view.follows(1000, 3, false), BatchError::none);
  EXPECT_EQ(view.follows(1000, -1, false), BatchError::none);
  EXPECT_EQ(view.follows(999, 3, false), BatchError::wrong_offset);
  EXPECT_EQ(view.follows(999, 3, true), BatchError::none);
  EXPECT_EQ(view.follows(1001, 3, true), BatchError::wrong_offset);
  EXPECT_EQ(view.follows(1000, 2, false), BatchError::wrong_epoch);
}

// A forged batch: its CRC matches, so only the checks behind it stand between the bytes and the reader.
void forge(ByteString& bytes, std::size_t at, unsigned value) {
  bytes.at(at) = static_cast<std::byte>(value);
  auto& header = *reinterpret_cast<BatchHeader*>(bytes.data());
  header.crc.set(crc32c(bytes.data() + kCrcFrom, bytes.size() - kCrcFrom));
}

TEST(Batch, SurvivesForgedRecordsOfEveryKind) {
  const BuiltBatch batch = build_batch({{7, "key", "value", {{"n", "v"}}}, {8, std::nullopt, "x", {}}}, 5);
  for (std::size_t at = kCrcFrom; at < batch.bytes.size(); ++at) {
    for (unsigned value = 0; value < 256; ++value) {
      ByteString forged = batch.bytes;
      forge(forged, at, value);
      const ReadBatch read = read_batch(forged);  // under the sanitizers this must stay inside its bytes
      for (const std::int64_t offset : read.offsets) ASSERT_GE(offset, 5);
    }
  }
}

TEST(Batch, TakesNoGarbageForABatch) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 20'000; ++round) {
    ByteString garbage(random() % 300);
    for (std::byte& byte : garbage) byte = static_cast<std::byte>(random());
    if (garbage.size() > 16)
      garbage[16] = std::byte{2};  // the magic, so that more than the first check is met
    BatchView view;
    ASSERT_NE(BatchView::parse(garbage, view), BatchError::none);
  }
}

TEST(Batch, RefusesALengthBeyondTheLimitBeforeAnythingElse) {
  BuiltBatch batch = build_batch(some_records());
  BatchView view;
  EXPECT_EQ(BatchView::parse(batch.bytes, view, batch.summary.bytes), BatchError::none);
  EXPECT_EQ(BatchView::parse(batch.bytes, view, batch.summary.bytes - 1), BatchError::bad_length);
}

rc::Gen<OwnedRecord> any_record() {
  const auto text = rc::gen::container<std::string>(rc::gen::arbitrary<char>());
  const auto maybe_text =
      rc::gen::oneOf(rc::gen::just(std::optional<std::string>()),
                     rc::gen::map(text, [](std::string t) { return std::optional(std::move(t)); }));
  const auto headers = rc::gen::container<std::vector<std::pair<std::string, std::optional<std::string>>>>(
      rc::gen::pair(text, maybe_text));
  return rc::gen::build<OwnedRecord>(
      rc::gen::set(&OwnedRecord::timestamp_ms), rc::gen::set(&OwnedRecord::key, maybe_text),
      rc::gen::set(&OwnedRecord::value, maybe_text), rc::gen::set(&OwnedRecord::headers, headers));
}

TEST(BatchProperties, AnyRecordsRoundTripPlainAndCompressed) {
  EXPECT_TRUE(rc::check([] {
    const auto records = *rc::gen::nonEmpty(rc::gen::container<std::vector<OwnedRecord>>(any_record()));
    const auto base = *rc::gen::inRange<std::int64_t>(0, std::numeric_limits<std::int64_t>::max() / 2);
    const auto codec = static_cast<Codec>(*rc::gen::inRange(0, 5));
    const BuiltBatch plain = build_batch(records, base);
    const ReadBatch read = read_batch(compressed(plain, codec).bytes);
    RC_ASSERT(read.error == BatchError::none);
    RC_ASSERT(read.records == records);
    RC_ASSERT(read.offsets.front() == base);
    std::int64_t latest = records.front().timestamp_ms;
    for (const OwnedRecord& record : records) latest = std::max(latest, record.timestamp_ms);
    RC_ASSERT(plain.summary.max_timestamp_ms == latest);
  }));
}

}  // namespace
}  // namespace busway::log
