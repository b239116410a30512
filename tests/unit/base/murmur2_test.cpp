#include "bus/base/murmur2.hpp"

#include <string_view>

#include <gtest/gtest.h>

namespace busway {
namespace {

std::int32_t hash(std::string_view key) { return static_cast<std::int32_t>(murmur2(key.data(), key.size())); }

// The values that Kafka's own client documents for its partitioner (as signed 32-bit numbers).
TEST(Murmur2, GivesKafkasKnownValues) {
  EXPECT_EQ(hash("21"), -973932308);
  EXPECT_EQ(hash("foobar"), -790332482);
  EXPECT_EQ(hash("a-little-bit-long-string"), -985981536);
  EXPECT_EQ(hash("a-little-bit-longer-string"), -1486304829);
  EXPECT_EQ(hash("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8"), -58897971);
  EXPECT_EQ(hash("abc"), 479470107);
}

TEST(Murmur2, PartitionsLikeKafkasDefaultPartitioner) {
  // toPositive(hash) % partitions: the sign bit is cleared, not the value negated
  EXPECT_EQ(partition_of_key("21", 2, 7), (static_cast<std::uint32_t>(-973932308) & 0x7FFFFFFFU) % 7);
  EXPECT_EQ(partition_of_key("foobar", 6, 1), 0U);
  for (std::uint32_t partitions = 1; partitions < 50; ++partitions) {
    EXPECT_LT(partition_of_key("abc", 3, partitions), partitions);
  }
}

TEST(Murmur2, TakesEveryTailLengthAndTheEmptyKey) {
  EXPECT_EQ(hash(""), 275646681);
  EXPECT_NE(hash("a"), hash("ab"));
  EXPECT_NE(hash("abcd"), hash("abcde"));
}

}  // namespace
}  // namespace busway
