// What a configuration file may say, and what a person is told when it says something else.
#include "daemon/config.hpp"

#include <fstream>

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <busway/error.hpp>

namespace busway::daemon {
namespace {

Config parsed(const std::string& text, const ConfigSource& source = {}) {
  return parse_config(text, "busway.toml", source);
}

/// The sentence of the error that `text` causes.
std::string complaint(const std::string& text, const ConfigSource& source = {}) {
  try {
    parsed(text, source);
  } catch (const Error& error) {
    EXPECT_EQ(error.error(), errc::invalid_setting) << error.sentence();
    return error.sentence();
  }
  return "(no error)";
}

#define EXPECT_SAYS(sentence, part) EXPECT_NE((sentence).find(part), std::string::npos) << (sentence)

TEST(Config, AnEmptyFileGivesTheDefaults) {
  const Config config = parsed("");
  EXPECT_EQ(config.disk_backend, DiskBackend::automatic);
  EXPECT_FALSE(config.auto_create_topics);
  EXPECT_EQ(config.topic_defaults, TopicConfig{});
  EXPECT_FALSE(config.data_dir.empty());
  EXPECT_FALSE(config.socket_path.empty());
  EXPECT_GT(config.memory_max_bytes, 0);
  EXPECT_EQ(config.memory_per_uid_max_bytes, config.memory_max_bytes / 2);
}

TEST(Config, DottedKeysTablesAndQuotedKeysMeanTheSame) {
  for (const char* text : {"memory.max.bytes = \"64MiB\"", "[memory]\nmax.bytes = \"64MiB\"",
                           "[memory.max]\nbytes = 67108864", "\"memory.max.bytes\" = \"65536KiB\""}) {
    EXPECT_EQ(parsed(text).memory_max_bytes, 64LL << 20) << text;
  }
}

TEST(Config, EverySettingCanStandInOneFileWithPlainDottedKeys) {
  std::string text = print_config(parsed(""));
  const Config again = parsed(text);
  EXPECT_EQ(print_config(again), text);
}

TEST(Config, ReadsTextsNumbersTruthsModesAndDurations) {
  const Config config = parsed(R"(
    data.dir = "/srv/busway"
    socket.mode = "0660"
    disk.backend = "threads"
    drain.spin.us = "2ms"
    sweep.interval.ms = "1s"
    auto.create.topics.enable = true
    log.level = "debug"
    topic.defaults."retention.ms" = "1d"
    topic.defaults.compression.type = "zstd"
  )");
  EXPECT_EQ(config.data_dir, "/srv/busway");
  EXPECT_EQ(config.socket_mode, 0660);
  EXPECT_EQ(config.disk_backend, DiskBackend::threads);
  EXPECT_EQ(config.drain_spin_us, 2000);
  EXPECT_EQ(config.sweep_interval_ms, 1000);
  EXPECT_TRUE(config.auto_create_topics);
  EXPECT_EQ(config.log_level, LogLevel::debug);
  EXPECT_EQ(config.topic_defaults.retention_ms, 86'400'000);
  EXPECT_EQ(config.topic_defaults.compression, Compression::zstd);
}

TEST(Config, AnUnknownKeyNamesFileLineAndTheNearestKnownOne) {
  const std::string sentence = complaint("data.dir = \"/x\"\n\nsesions.max = 5\n");
  EXPECT_SAYS(sentence, "busway.toml:3:");
  EXPECT_SAYS(sentence, "unknown setting sesions.max");
  EXPECT_SAYS(sentence, "did you mean sessions.max?");
}

TEST(Config, AnUnknownKeyThatResemblesNothingIsNotGuessedAt) {
  EXPECT_EQ(complaint("zzzzzz = 1").find("did you mean"), std::string::npos);
}

TEST(Config, ABadValueNamesFileLineKeyValueAndBounds) {
  const std::string sentence = complaint("log.level = \"info\"\nsessions.max = 99999\n");
  EXPECT_SAYS(sentence, "busway.toml:2:");
  EXPECT_SAYS(sentence, "sessions.max = 99999");
  EXPECT_SAYS(sentence, "1 to 4096");
}

TEST(Config, RefusesWordsThatAreNoChoiceAndNumbersThatAreNone) {
  EXPECT_SAYS(complaint("disk.backend = \"uring\""), "auto, io_uring or threads");
  EXPECT_SAYS(complaint("memory.max.bytes = \"64MB\""), "KiB, MiB, GiB");
  EXPECT_SAYS(complaint("memory.max.bytes = \"9999999999TiB\""), "memory.max.bytes");
  EXPECT_SAYS(complaint("sweep.interval.ms = 1.5"), "must be a text, a whole number, true or false");
  EXPECT_SAYS(complaint("auto.create.topics.enable = \"yes\""), "true or false");
  EXPECT_SAYS(complaint("data.dir = 5"), "data.dir: must be a text, in quotes");
  EXPECT_SAYS(complaint("socket.mode = 0o660"), "socket.mode: must be a text, in quotes");
  EXPECT_SAYS(complaint("socket.mode = \"0999\""), "octal mode");
}

TEST(Config, WhatIsNotTomlNamesTheLineToo) {
  EXPECT_SAYS(complaint("data.dir = \"/x\"\nsocket path\n"), "busway.toml:2:");
}

TEST(Config, ABadTopicDefaultNamesItsLine) {
  const std::string sentence = complaint("[topic.defaults]\nsegment.bytes = 1\n");
  EXPECT_SAYS(sentence, "busway.toml:2:");
  EXPECT_SAYS(sentence, "segment.bytes = 1");
  EXPECT_SAYS(complaint("[topic.defaults]\nretention.mss = 1\n"), "did you mean retention.ms?");
}

TEST(Config, TheCommandLineComesBeforeTheFile) {
  const ConfigSource source{.file = {},
                            .overrides = {{"num.partitions", "7"}, {"topic.defaults.flush.ms", "5"}}};
  const Config config =
      parsed("num.partitions = 3\n[topic.defaults]\nflush.ms = 9\nsegment.ms = 77\n", source);
  EXPECT_EQ(config.num_partitions, 7);
  EXPECT_EQ(config.topic_defaults.flush_ms, 5);
  EXPECT_EQ(config.topic_defaults.segment_ms, 77);
  EXPECT_SAYS(complaint("", {.file = {}, .overrides = {{"num.partition", "7"}}}),
              "did you mean num.partitions?");
}

TEST(Config, ASharedUserShareFollowsTheBudgetUnlessItIsSet) {
  EXPECT_EQ(parsed("memory.max.bytes = \"1GiB\"").memory_per_uid_max_bytes, 512LL << 20);
  EXPECT_EQ(
      parsed("memory.max.bytes = \"1GiB\"\nmemory.per.uid.max.bytes = \"1GiB\"").memory_per_uid_max_bytes,
      1LL << 30);
}

TEST(Config, AFileThatWasAskedForAndIsMissingIsAnError) {
  EXPECT_THROW(load_config({.file = "/nonexistent/busway.toml", .overrides = {}}), Error);
}

TEST(Config, ADirectoryIsNoConfigurationFile) {
  EXPECT_THROW(load_config({.file = "/tmp", .overrides = {}}), Error);
}

TEST(Config, TheDefaultDataDirectoryFollowsXdgStateHome) {
  ASSERT_EQ(::setenv("XDG_STATE_HOME", "/home/somebody/state", 1), 0);
  EXPECT_EQ(default_data_dir(), "/home/somebody/state/busway");
  ::unsetenv("XDG_STATE_HOME");
  ASSERT_EQ(::setenv("HOME", "/home/somebody", 1), 0);
  EXPECT_EQ(default_data_dir(), ::geteuid() == 0 ? "/var/lib/busway" : "/home/somebody/.local/state/busway");
}

}  // namespace
}  // namespace busway::daemon
