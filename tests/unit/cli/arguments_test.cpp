// What command lines mean.
#include "clients/cli/arguments.hpp"

#include <vector>

#include <gtest/gtest.h>

namespace busway::cli {
namespace {

template <class T>
T parsed(std::vector<const char*> words) {
  words.insert(words.begin(), "busway");
  const auto result = parse_arguments(static_cast<int>(words.size()), words.data());
  if (!std::holds_alternative<Invocation>(result)) throw std::runtime_error("not accepted");
  return std::get<T>(std::get<Invocation>(result).command);
}

int refused(std::vector<const char*> words) {
  words.insert(words.begin(), "busway");
  const auto result = parse_arguments(static_cast<int>(words.size()), words.data());
  return std::holds_alternative<Finished>(result) ? std::get<Finished>(result).status : -1;
}

TEST(Arguments, TopicCreateTakesSettingsBeforeAndAfterTheName) {
  const auto create = parsed<TopicCreate>(
      {"topic", "create", "--config", "a=1", "orders", "--partitions", "4", "--config", "b=2"});
  EXPECT_EQ(create.name, "orders");
  EXPECT_EQ(create.partitions, 4);
  EXPECT_EQ(create.config, (std::vector<std::string>{"a=1", "b=2"}));
}

TEST(Arguments, PubTakesAFileAndManyHeaders) {
  const auto pub =
      parsed<Pub>({"pub", "-H", "a=1", "orders", "-H", "b=", "big.txt", "-k", "key", "-p", "3", "--durable"});
  EXPECT_EQ(pub.topic, "orders");
  EXPECT_EQ(pub.file, "big.txt");
  EXPECT_EQ(pub.headers, (std::vector<std::string>{"a=1", "b="}));
  EXPECT_EQ(pub.key, "key");
  EXPECT_EQ(pub.partition, 3);
  EXPECT_TRUE(pub.durable);
  EXPECT_FALSE(pub.whole);
}

TEST(Arguments, PubReadsStandardInputByDefaultAndByADash) {
  EXPECT_EQ(parsed<Pub>({"pub", "orders"}).file, "-");
  EXPECT_EQ(parsed<Pub>({"pub", "orders", "-", "-K", "-"}).file, "-");
  EXPECT_EQ(parsed<Pub>({"pub", "orders", "-K", "-"}).key_separator, "-");
  EXPECT_EQ(parsed<Pub>({"pub", "orders"}).key, std::nullopt);
}

TEST(Arguments, SubTakesAFormatThatLooksLikeNothingElse) {
  const auto sub = parsed<Sub>(
      {"sub", "orders", "--from", "@2024-05-06", "-e", "-n", "5", "-f", "%o %s\\n", "-p", "1", "-p", "2"});
  EXPECT_EQ(sub.from, "@2024-05-06");
  EXPECT_TRUE(sub.exit_at_end);
  EXPECT_EQ(sub.count, 5u);
  EXPECT_EQ(sub.format, "%o %s\\n");
  EXPECT_EQ(sub.partitions, (std::vector<std::int32_t>{1, 2}));
}

TEST(Arguments, TheSocketMayStandAnywhere) {
  for (const auto& words : {std::vector<const char*>{"busway", "--socket", "/s", "topic", "list"},
                            {"busway", "topic", "--socket", "/s", "list"},
                            {"busway", "topic", "list", "--socket", "/s"}}) {
    const auto result = parse_arguments(static_cast<int>(words.size()), words.data());
    ASSERT_TRUE(std::holds_alternative<Invocation>(result));
    EXPECT_EQ(std::get<Invocation>(result).socket, "/s");
  }
}

TEST(Arguments, NonsenseIsRefusedWithStatusTwo) {
  EXPECT_EQ(refused({}), kUsage);
  EXPECT_EQ(refused({"publish", "orders"}), kUsage);
  EXPECT_EQ(refused({"pub"}), kUsage);
  EXPECT_EQ(refused({"pub", "orders", "--colour"}), kUsage);
  EXPECT_EQ(refused({"pub", "orders", "a", "b"}), kUsage);
  EXPECT_EQ(refused({"pub", "orders", "-k", "a", "-K", ":"}), kUsage);
  EXPECT_EQ(refused({"pub", "orders", "-p", "-1"}), kUsage);
  EXPECT_EQ(refused({"sub", "orders", "-n", "many"}), kUsage);
  EXPECT_EQ(refused({"sub", "orders", "--json", "-f", "%s"}), kUsage);
  EXPECT_EQ(refused({"topic"}), kUsage);
  EXPECT_EQ(refused({"topic", "create", "orders", "--partitions", "0"}), kUsage);
  EXPECT_EQ(refused({"topic", "alter", "orders"}), kUsage);
  EXPECT_EQ(refused({"log", "verify"}), kUsage);
  EXPECT_EQ(refused({"stats", "--json", "--prometheus"}), kUsage);
}

TEST(Arguments, HelpAndVersionAreNoFailure) {
  EXPECT_EQ(refused({"--help"}), kDone);
  EXPECT_EQ(refused({"pub", "--help"}), kDone);
  EXPECT_EQ(refused({"topic", "create", "--help"}), kDone);
  EXPECT_EQ(refused({"--version"}), kDone);
}

TEST(Arguments, AWordThatIsNoCommandIsNamed) {
  const auto said = [](std::vector<const char*> words) {
    testing::internal::CaptureStderr();
    EXPECT_EQ(refused(std::move(words)), kUsage);
    return testing::internal::GetCapturedStderr();
  };
  EXPECT_EQ(
      said({"topics"}),
      "busway: there is no command 'topics' here; the commands are topic, pub, sub, log, stats, doctor; "
      "`busway --help` says more\n");
  EXPECT_EQ(
      said({"topic", "make", "t"}),
      "busway: there is no command 'make' here; the commands are create, list, describe, alter, delete; "
      "`busway topic --help` says more\n");
  EXPECT_NE(said({}).find("subcommand is required"), std::string::npos);
}

}  // namespace
}  // namespace busway::cli
