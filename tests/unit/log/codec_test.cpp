// Compression: every codec gives back what went in, in the framing that Kafka's clients read, and hostile
// bytes cost neither more memory than the limit nor more than an error.
#include <random>

#include <gtest/gtest.h>

#include <busway/error.hpp>

#include "bus/base/crc32c.hpp"
#include "tests/unit/log/log_fixture.hpp"

namespace busway::log {
namespace {

using namespace testing;  // NOLINT: the fixture's words

class EveryCodec : public ::testing::TestWithParam<Codec> {
 protected:
  static std::vector<OwnedRecord> long_records() {
    std::vector<OwnedRecord> records;
    for (int i = 0; i < 40; ++i)
      records.push_back({1000 + i, "key", std::string(9000, static_cast<char>('a' + i % 7)), {}});
    return records;
  }
  static std::span<const std::byte> payload(const BuiltBatch& batch) {
    return std::span(batch.bytes).subspan(kBatchHeaderBytes);
  }
};

TEST_P(EveryCodec, GivesBackABatchOfManyBlocks) {
  const BuiltBatch plain = build_batch(long_records(), 77, 2);
  const BuiltBatch small = compressed(plain, GetParam());
  EXPECT_LT(small.bytes.size(), plain.bytes.size() / 4);
  EXPECT_EQ(small.summary.codec, GetParam());
  BatchView view;
  ASSERT_EQ(BatchView::parse(small.bytes, view), BatchError::none);
  EXPECT_EQ(view.codec(), GetParam());
  EXPECT_EQ(view.base_offset(), 77);
  EXPECT_EQ(view.record_count(), 40);
  const ReadBatch read = read_batch(small.bytes);
  EXPECT_EQ(read.error, BatchError::none);
  EXPECT_EQ(read.records, long_records());
}

TEST_P(EveryCodec, KeepsItsContextFromBatchToBatch) {
  Compressor compressor(GetParam());
  Decompressor decompressor;
  for (int round = 0; round < 5; ++round) {
    const BuiltBatch plain = build_batch(numbered_records(100 * round, 100));
    ByteString out(plain.bytes.size());
    BatchSummary summary = plain.summary;
    ASSERT_TRUE(compressor.compress(plain.bytes, out, summary));
    BatchView view;
    ASSERT_EQ(BatchView::parse(out, view), BatchError::none);
    std::span<const std::byte> records;
    ASSERT_EQ(decompressor.records(view, records), BatchError::none);
    ASSERT_TRUE(std::equal(records.begin(), records.end(), payload(plain).begin(), payload(plain).end()));
  }
}

TEST_P(EveryCodec, LeavesABatchAloneThatDoesNotGetSmaller) {
  std::mt19937 random(1);
  std::string noise(5000, '\0');
  for (char& c : noise) c = static_cast<char>(random());
  const BuiltBatch plain = build_batch({{1, std::nullopt, noise, {}}});
  ByteString out(plain.bytes.size());
  BatchSummary summary = plain.summary;
  EXPECT_FALSE(Compressor(GetParam()).compress(plain.bytes, out, summary));
  EXPECT_EQ(summary.codec, Codec::none);
  EXPECT_EQ(summary.bytes, plain.summary.bytes);
}

TEST_P(EveryCodec, DecompressesUpToItsLimitAndNoFurther) {
  const BuiltBatch plain = build_batch(long_records());
  const BuiltBatch small = compressed(plain, GetParam());
  BatchView view;
  ASSERT_EQ(BatchView::parse(small.bytes, view), BatchError::none);
  std::span<const std::byte> records;
  Decompressor exact(payload(plain).size());
  EXPECT_EQ(exact.records(view, records), BatchError::none);
  Decompressor tight(payload(plain).size() - 1);
  EXPECT_EQ(tight.records(view, records), BatchError::too_large);
  EXPECT_TRUE(records.empty());
}

TEST_P(EveryCodec, SurvivesDamagedAndCutBytes) {
  const BuiltBatch small = compressed(build_batch(numbered_records(0, 30)), GetParam());
  Decompressor decompressor(1 << 20);
  std::mt19937 random(7);
  for (int round = 0; round < 3000; ++round) {
    ByteString bytes = small.bytes;
    if (round % 2 == 0) bytes.resize(kBatchHeaderBytes + random() % (bytes.size() - kBatchHeaderBytes));
    if (bytes.size() > kBatchHeaderBytes) {
      bytes[kBatchHeaderBytes + random() % (bytes.size() - kBatchHeaderBytes)] ^=
          std::byte(1U << (random() % 8));
    }
    auto& header = *reinterpret_cast<BatchHeader*>(bytes.data());
    header.batch_length.set(static_cast<std::int32_t>(bytes.size() - kBatchLengthFrom));
    header.crc.set(crc32c(bytes.data() + kCrcFrom, bytes.size() - kCrcFrom));
    BatchView view;
    ASSERT_EQ(BatchView::parse(bytes, view), BatchError::none);
    std::span<const std::byte> records;
    if (decompressor.records(view, records) != BatchError::none) continue;
    RecordCursor cursor(view, records);
    RecordView record;
    while (cursor.next(record)) ASSERT_LE(record.value.length(), records.size());
  }
}

INSTANTIATE_TEST_SUITE_P(Codecs, EveryCodec,
                         ::testing::Values(Codec::gzip, Codec::snappy, Codec::lz4, Codec::zstd),
                         [](const auto& codec) { return std::string(codec_name(codec.param)); });

TEST(Codecs, AreNamedAsInKafkasSettings) {
  EXPECT_EQ(codec_by_name("gzip"), Codec::gzip);
  EXPECT_EQ(codec_by_name("uncompressed"), Codec::none);
  EXPECT_EQ(codec_by_name("none"), Codec::none);
  EXPECT_EQ(codec_by_name("brotli"), std::nullopt);
  EXPECT_EQ(codec_by_name(""), std::nullopt);
}

TEST(Codecs, RefuseLevelsTheyDoNotHave) {
  EXPECT_THROW(Compressor(Codec::none), Error);
  EXPECT_THROW(Compressor(Codec::gzip, 10), Error);
  EXPECT_THROW(Compressor(Codec::zstd, 23), Error);
  EXPECT_THROW(Compressor(Codec::snappy, 1), Error);
  EXPECT_NO_THROW(Compressor(Codec::lz4, 9));
}

TEST(Codecs, SnappyIsFramedAsKafkasJavaClientDoesIt) {
  const BuiltBatch small = compressed(build_batch(numbered_records(0, 30)), Codec::snappy);
  const auto* at = reinterpret_cast<const unsigned char*>(small.bytes.data()) + kBatchHeaderBytes;
  const std::vector<unsigned char> start(at, at + 16);
  EXPECT_EQ(start,
            (std::vector<unsigned char>{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1}));
}

TEST(Codecs, Lz4HasIndependentBlocksOf64KiB) {
  const BuiltBatch small = compressed(build_batch(numbered_records(0, 30)), Codec::lz4);
  const auto* at = reinterpret_cast<const unsigned char*>(small.bytes.data()) + kBatchHeaderBytes;
  EXPECT_EQ(std::vector<unsigned char>(at, at + 4), (std::vector<unsigned char>{0x04, 0x22, 0x4D, 0x18}));
  EXPECT_EQ(at[4] & 0xE0, 0x60) << "version 1, blocks independent of each other";
  EXPECT_EQ(at[5] & 0x70, 0x40) << "blocks of at most 64 KiB";
}

}  // namespace
}  // namespace busway::log
