#include "bus/log/names.hpp"

#include <limits>

#include <gtest/gtest.h>

#include <busway/error.hpp>

namespace busway::log {
namespace {

TEST(Names, OfSegmentFilesHaveTwentyDigits) {
  EXPECT_EQ(segment_file_name(0, SegmentFile::log), "00000000000000000000.log");
  EXPECT_EQ(segment_file_name(42, SegmentFile::index), "00000000000000000042.index");
  EXPECT_EQ(segment_file_name(std::numeric_limits<std::int64_t>::max(), SegmentFile::time_index),
            "09223372036854775807.timeindex");
}

TEST(Names, OfSegmentFilesCanBeReadBack) {
  const auto name = parse_segment_file_name("00000000000000000042.timeindex");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->base_offset, 42);
  EXPECT_EQ(name->kind, SegmentFile::time_index);
}

TEST(Names, ThatAreNoSegmentFilesAreRefused) {
  for (const char* name :
       {"", "42.log", "00000000000000000042", "00000000000000000042.txt", "0000000000000000004x.log",
        "-0000000000000000042.log", "99999999999999999999.log", "000000000000000000042.log",
        "00000000000000000042.log.deleted", "+0000000000000000042.log"}) {
    EXPECT_FALSE(parse_segment_file_name(name)) << name;
  }
}

TEST(Names, OfPartitionsAreTopicHyphenNumber) {
  EXPECT_EQ(partition_directory("orders", 3), "orders-3");
  const auto name = parse_partition_directory("my-topic.v1-12");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->topic, "my-topic.v1");
  EXPECT_EQ(name->partition, 12U);
  for (const char* bad :
       {"", "orders", "orders-", "-3", "orders-03", "orders-x", "orders-4294967296", "a/b-1", "..-1"}) {
    EXPECT_FALSE(parse_partition_directory(bad)) << bad;
  }
}

TEST(TopicNames, FollowKafkasRules) {
  for (const std::string& good :
       {std::string("a"), std::string("A.b_c-9"), std::string(249, 'x'), std::string("...")}) {
    EXPECT_EQ(topic_name_problem(good), "") << good;
    EXPECT_NO_THROW(check_topic_name(good));
  }
  for (const std::string& bad :
       {std::string(), std::string("."), std::string(".."), std::string(250, 'x'), std::string("a b"),
        std::string("a/b"), std::string("\xC3\xA4"), std::string("a\0b", 3)}) {
    EXPECT_NE(topic_name_problem(bad), "") << bad;
  }
}

TEST(TopicNames, AreRefusedWithASentenceThatNamesThem) {
  try {
    check_topic_name("no spaces");
    FAIL() << "it was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.error(), errc::invalid_topic_name);
    EXPECT_NE(error.sentence().find("\"no spaces\""), std::string::npos);
    EXPECT_NE(error.sentence().find("position 3"), std::string::npos);
  }
  EXPECT_EQ(topic_name_problem("evil\x1B[2J\n").find('\x1B'), std::string::npos)
      << "no control characters in a message";
  EXPECT_NE(topic_name_problem(std::string(1000, 'x')).find("249"), std::string::npos);
}

}  // namespace
}  // namespace busway::log
