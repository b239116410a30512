// buswayd's own options, its signals, and a configuration file that breaks while it runs.
#include <csignal>

#include <gtest/gtest.h>

#include "tests/support/private_daemon.hpp"

namespace busway::test {
namespace {

Ran buswayd(const TempDir& directory, const Words& arguments) {
  ProcessSpec spec;
  spec.command = {buswayd_program()};
  spec.command.insert(spec.command.end(), arguments.begin(), arguments.end());
  return run_program(directory, spec, {}, 20s);
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

TEST(Options, CheckConfigPrintsAFileThatMeansTheSame) {
  const TempDir directory;
  const auto first =
      directory.file("first.toml", "[memory]\nmax.bytes = \"1GiB\"\n[topic.defaults]\nflush.ms = 7\n");
  const Ran printed = buswayd(directory, {"--config", first, "--check-config"});
  EXPECT_EQ(printed.status, 0) << printed.err;
  EXPECT_TRUE(contains(printed.out, "memory.max.bytes = 1073741824\n")) << printed.out;
  EXPECT_TRUE(contains(printed.out, "\"flush.ms\" = 7\n")) << printed.out;
  const auto second = directory.file("second.toml", printed.out);
  EXPECT_EQ(buswayd(directory, {"--config", second, "--check-config"}).out, printed.out);
}

TEST(Options, CheckConfigStartsNothing) {
  const TempDir directory;
  const std::string data = directory / "data";
  EXPECT_EQ(buswayd(directory, {"--data-dir", data, "--check-config"}).status, 0);
  EXPECT_FALSE(std::filesystem::exists(data));
}

TEST(Options, WrongUseIsStatusTwoAndAWrongSettingStatusOne) {
  const TempDir directory;
  EXPECT_EQ(buswayd(directory, {"--no-such-option"}).status, 2);
  EXPECT_EQ(buswayd(directory, {"--set", "no equals sign"}).status, 2);
  EXPECT_EQ(buswayd(directory, {"--data-dir", "", "--check-config"}).status, 2);
  EXPECT_EQ(buswayd(directory, {"--socket", "", "--check-config"}).status, 2);
  const Ran refused = buswayd(directory, {"--set", "sesions.max=1", "--check-config"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_TRUE(contains(refused.err, "did you mean sessions.max?")) << refused.err;
  EXPECT_EQ(buswayd(directory, {"--version"}).status, 0);
}

TEST(Options, AMissingConfigurationFileIsNamed) {
  const TempDir directory;
  const std::string file = directory / "missing.toml";
  const Ran ran = buswayd(directory, {"--config", file});
  EXPECT_EQ(ran.status, 1);
  EXPECT_TRUE(contains(ran.err, file)) << ran.err;
}

TEST(Options, TheWorkersOwnOptionIsForTheKeeperAlone) {
  const TempDir directory;
  const Ran ran = buswayd(directory, {"--worker", "3,4,5,6,7,8"});
  EXPECT_EQ(ran.status, 1);
  EXPECT_TRUE(contains(ran.err, "--worker is for the keeper")) << ran.err;
}

/// A daemon with a configuration file of its own.
class ConfiguredDaemon : public ::testing::Test {
 protected:
  ConfiguredDaemon() { configure("topic.defaults.\"flush.ms\" = 3\n"); }
  void start() {
    ProcessSpec spec;
    spec.command = {buswayd_program(),   "--config", file_,  "--data-dir",
                    directory_ / "data", "--socket", socket_};
    spec.err = directory_ / "daemon.err";
    keeper_.emplace(spec);
    ASSERT_TRUE(eventually([&] { return busway({"topic", "list"}).status == 0; })) << words();
  }
  void TearDown() override {
    if (!keeper_) return;
    keeper_->signal(SIGTERM);
    EXPECT_EQ(keeper_->wait(), 0) << words();
  }
  void configure(const std::string& text) { write_file(file_, text); }
  std::string words() const { return read_file(directory_ / "daemon.err"); }
  bool says(const std::string& part, std::size_t times = 1) const {
    return eventually([&] {
      const std::string text = words();
      std::size_t found = 0;
      for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
      return found >= times;
    });
  }
  Ran busway(Words arguments) const {
    arguments.insert(arguments.begin(), {busway_program(), "--socket", socket_});
    ProcessSpec spec;
    spec.command = std::move(arguments);
    return run_program(directory_, spec, {}, 20s);
  }
  /// "flush.ms" of a topic made now: what the daemon's topic defaults are.
  std::string flush_ms_of_new_topic(const std::string& name) const {
    EXPECT_EQ(busway({"topic", "create", name}).status, 0);
    const std::string text = busway({"topic", "describe", name, "--json"}).out;
    const std::string key = "\"flush.ms\": \"";
    const std::size_t at = text.find(key) + key.size();
    return text.substr(at, text.find('"', at) - at);
  }
  pid_t worker() const { return children_of(keeper_->pid()).at(0); }

  TempDir directory_;
  std::string file_ = directory_ / "busway.toml";
  std::string socket_ = directory_ / "busway.sock";
  std::optional<Process> keeper_;
};

TEST_F(ConfiguredDaemon, AReloadTakesWhatMayChangeAndNamesWhatMayNot) {
  start();
  EXPECT_EQ(flush_ms_of_new_topic("before"), "3");
  configure("topic.defaults.\"flush.ms\" = 2\ndisk.backend = \"threads\"\n");
  keeper_->signal(SIGHUP);
  ASSERT_TRUE(says("configuration reloaded")) << words();
  EXPECT_TRUE(says("disk.backend stays auto until the next start (threads in the file)")) << words();
  EXPECT_EQ(flush_ms_of_new_topic("after"), "2");
}

TEST_F(ConfiguredDaemon, ABrokenFileChangesNothingNotEvenForTheNextWorker) {
  start();
  configure("topic.defaults.\"flush.ms\" = 2\nnum.partitons = 2\n");
  keeper_->signal(SIGHUP);
  ASSERT_TRUE(says("the configuration stays as it was: " + file_ + ":2: unknown setting num.partitons"))
      << words();
  EXPECT_EQ(flush_ms_of_new_topic("first"), "3");
  ::kill(worker(), SIGKILL);
  ASSERT_TRUE(says("the configuration stays as it was", 2)) << words();
  ASSERT_TRUE(says("serving ", 2)) << words();
  EXPECT_EQ(flush_ms_of_new_topic("second"), "3");
}

TEST_F(ConfiguredDaemon, ReplacingTheWorkerKeepsKeeperTopicsAndClients) {
  start();
  ASSERT_EQ(busway({"topic", "create", "t"}).status, 0);
  const pid_t before = worker();
  keeper_->signal(SIGUSR2);
  ASSERT_TRUE(says("made way for a new one")) << words();
  ASSERT_TRUE(says("serving ", 2)) << words();
  EXPECT_NE(worker(), before);
  EXPECT_EQ(busway({"topic", "list"}).out, "t\n");
}

}  // namespace
}  // namespace busway::test
