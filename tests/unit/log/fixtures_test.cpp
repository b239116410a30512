// Batches that kafka-python made (fixtures/make_batches.py): ours have the same bytes, and theirs read as
// their records.
#include <gtest/gtest.h>

#include "tests/unit/log/log_fixture.hpp"

namespace busway::log {
namespace {

using namespace testing;  // NOLINT: the fixture's words

// The same list as in make_batches.py.
std::vector<OwnedRecord> the_records() {
  std::string long_value;
  for (int i = 0; i < 1024; ++i) long_value += "0123456789abcdef";
  std::vector<OwnedRecord> records{
      {1'700'000'000'000, "key", "value", {}},
      {1'700'000'000'001, std::nullopt, "no key", {}},
      {1'699'999'999'990, "tombstone", std::nullopt, {}},
      {1'700'000'000'500, "", "", {{"trace", "abc"}, {"trace", ""}, {"", "x"}}},
      {1'700'000'000'500, "null header", "v", {{"nothing", std::nullopt}}},
      {1'700'000'100'000, std::string(100, 'k'), std::string(300, 'v'), {}},
      {1'700'003'600'000, "long", long_value, {}},
  };
  for (int n = 0; n < 100; ++n)
    records.back().headers.emplace_back("h" + std::to_string(n), std::to_string(n));
  for (int n = 0; n < 100; ++n) {
    records.push_back(
        {1'700'000'000'000 + n, "key-" + std::to_string(n % 7), "value number " + std::to_string(n), {}});
  }
  return records;
}

ByteString fixture(Codec codec) {
  return read_file(std::filesystem::path(BUSWAY_LOG_FIXTURES) / (std::string(codec_name(codec)) + ".batch"));
}

TEST(KafkaPythonBatches, HaveTheVeryBytesOfOurs) {
  const ByteString theirs = fixture(Codec::none);
  ASSERT_GT(theirs.size(), kBatchHeaderBytes);
  EXPECT_EQ(build_batch(the_records(), 0, 0).bytes, theirs);
}

class KafkaPythonBatch : public ::testing::TestWithParam<Codec> {};

TEST_P(KafkaPythonBatch, ReadsAsItsRecords) {
  const ByteString theirs = fixture(GetParam());
  BatchView view;
  ASSERT_EQ(BatchView::parse(theirs, view), BatchError::none);
  EXPECT_EQ(view.codec(), GetParam());
  const ReadBatch read = read_batch(theirs);
  ASSERT_EQ(read.error, BatchError::none);
  EXPECT_EQ(read.records, the_records());
}

INSTANTIATE_TEST_SUITE_P(Codecs, KafkaPythonBatch,
                         ::testing::Values(Codec::none, Codec::gzip, Codec::snappy, Codec::lz4, Codec::zstd),
                         [](const auto& codec) { return std::string(codec_name(codec.param)); });

}  // namespace
}  // namespace busway::log
