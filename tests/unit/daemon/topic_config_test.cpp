// Topic settings: Kafka's names, units and bounds, and errors that name topic, key, value and what is
// allowed.
#include "daemon/topic_config.hpp"

#include <set>

#include <gtest/gtest.h>

#include <busway/error.hpp>

#include "bus/memory/marks_layout.hpp"

namespace busway::daemon {
namespace {

std::string topic_complaint(const Settings& settings, errc expected = errc::invalid_setting) {
  try {
    parse_topic_config("orders", settings);
  } catch (const Error& error) {
    EXPECT_EQ(error.error(), expected) << error.sentence();
    return error.sentence();
  }
  return "(no error)";
}

TEST(TopicConfig, EveryDefaultInTheTableIsTheStructsDefault) {
  for (const TopicSetting& row : topic_settings()) {
    EXPECT_EQ(parse_setting(row.about, row.about.standard), row.get(TopicConfig{})) << row.about.key;
  }
}

TEST(TopicConfig, EverySettingIsPrintedSoThatItCanBeReadBack) {
  TopicConfig config;
  for (const TopicSetting& row : topic_settings()) {  // something else than the default everywhere
    if (row.about.type == SettingType::choice) {
      row.set(config, row.about.choices.back().value);
    } else if (row.about.type == SettingType::boolean) {
      row.set(config, 1);
    } else {
      row.set(config, row.about.least + 1);
    }
  }
  const Settings printed = print_topic_config(config);
  EXPECT_EQ(printed.size(), topic_settings().size());
  EXPECT_EQ(parse_topic_config("orders", printed), config);
  EXPECT_EQ(parse_topic_config("orders", print_topic_overrides(config)), config);
}

TEST(TopicConfig, OnlyWhatDiffersIsAnOverride) {
  EXPECT_TRUE(print_topic_overrides({}).empty());
  const TopicConfig config = parse_topic_config("orders", {{"flush.ms", "5"}, {"retention.ms", "604800000"}});
  EXPECT_EQ(print_topic_overrides(config), (Settings{{"flush.ms", "5"}}));
}

TEST(TopicConfig, ReadsKafkasUnitsAndHumanOnes) {
  const TopicConfig config = parse_topic_config("orders", {{"retention.ms", "86400000"},
                                                           {"segment.bytes", "64MiB"},
                                                           {"segment.ms", "1h"},
                                                           {"retention.bytes", "-1"}});
  EXPECT_EQ(config.retention_ms, 86'400'000);
  EXPECT_EQ(config.segment_bytes, 64LL << 20);
  EXPECT_EQ(config.segment_ms, 3'600'000);
  EXPECT_EQ(config.retention_bytes, TopicConfig::kUnlimited);
}

TEST(TopicConfig, ABadValueNamesTopicKeyValueAndBounds) {
  EXPECT_EQ(topic_complaint({{"max.message.bytes", "17MiB"}}),
            "topic orders: max.message.bytes = 17MiB: must be bytes, or a number with KiB, MiB, GiB or TiB, "
            "1 to 16MiB");
  EXPECT_NE(topic_complaint({{"flush.ms", "soon"}}).find("flush.ms = soon"), std::string::npos);
  EXPECT_NE(topic_complaint({{"flush.ms", ""}}).find("flush.ms = :"), std::string::npos);
  EXPECT_NE(topic_complaint({{"preallocate", "1"}}).find("true or false"), std::string::npos);
  EXPECT_NE(topic_complaint({{"retention.ms", "-2"}}).find("at least -1"), std::string::npos);
}

TEST(TopicConfig, AnUnknownKeyNamesTheNearestKnownOne) {
  EXPECT_EQ(topic_complaint({{"retention.msec", "1"}}),
            "topic orders: unknown setting retention.msec (= 1), did you mean retention.ms?");
  EXPECT_EQ(topic_complaint({{"colour", "red"}}), "topic orders: unknown setting colour (= red)");
}

TEST(TopicConfig, CompactionIsRefusedAsNotSupportedNotAsMisspelt) {
  EXPECT_NE(topic_complaint({{"cleanup.policy", "compact"}}, errc::unsupported).find("does not compact"),
            std::string::npos);
  EXPECT_NE(
      topic_complaint({{"cleanup.policy", "compact,delete"}}, errc::unsupported).find("does not compact"),
      std::string::npos);
  EXPECT_NE(topic_complaint({{"cleanup.policy", "remove"}}).find("must be delete"), std::string::npos);
}

TEST(TopicConfig, BlockingOverflowBelongsToMemoryTopics) {
  EXPECT_NE(topic_complaint({{"overflow", "block"}}).find("storage=memory"), std::string::npos);
  EXPECT_EQ(parse_topic_config("orders", {{"overflow", "block"}, {"storage", "memory"}}).overflow,
            TopicOverflow::block);
}

TEST(TopicConfig, AlterChangesWhatMayChangeOnly) {
  const TopicConfig now = parse_topic_config("orders", {{"flush.ms", "5"}});
  const TopicConfig altered = alter_topic_config("orders", {{"retention.ms", "1000"}}, now);
  EXPECT_EQ(altered.retention_ms, 1000);
  EXPECT_EQ(altered.flush_ms, 5);
  EXPECT_NO_THROW(alter_topic_config("orders", {{"storage", "logged"}}, now));
  try {
    alter_topic_config("orders", {{"storage", "memory"}}, now);
    FAIL() << "a topic changed its storage";
  } catch (const Error& error) {
    EXPECT_EQ(error.sentence(),
              "topic orders: storage = memory: is fixed when a topic is created, and this one has logged; "
              "create another "
              "topic");
  }
}

TEST(TopicConfig, NumbersOfStorageAndOverflowAreTheMarksOwn) {
  EXPECT_EQ(static_cast<std::uint32_t>(TopicStorage::memory),
            static_cast<std::uint32_t>(memory::Storage::memory));
  EXPECT_EQ(static_cast<std::uint32_t>(TopicStorage::logged),
            static_cast<std::uint32_t>(memory::Storage::logged));
  EXPECT_EQ(static_cast<std::uint32_t>(TopicOverflow::block),
            static_cast<std::uint32_t>(memory::Overflow::block));
  EXPECT_EQ(static_cast<std::uint32_t>(TopicOverflow::drop_oldest),
            static_cast<std::uint32_t>(memory::Overflow::drop_oldest));
}

TEST(NearestKey, CountsEditsAndKnowsWhenToKeepQuiet) {
  const std::string_view known[] = {"flush.ms", "flush.messages", "segment.ms"};
  EXPECT_EQ(nearest_key("flush.m", known), "flush.ms");
  EXPECT_EQ(nearest_key("flush.message", known), "flush.messages");
  EXPECT_EQ(nearest_key("completely.different", known), "");
}

}  // namespace
}  // namespace busway::daemon
