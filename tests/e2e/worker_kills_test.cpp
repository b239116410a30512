// The daemon's worker is killed a hundred times while publishers and subscribers go on. Every acknowledged
// record is in the log exactly once, and no client hears of it.
#include <atomic>
#include <cstdlib>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/e2e/load_story.hpp"

namespace busway::test {
namespace {

constexpr int kKills = 100 / kLoadDivisor;

class WorkerKills : public ::testing::TestWithParam<const char*> {
 protected:
  WorkerKills() : daemon({std::string("disk.backend=") + GetParam()}), story(daemon) {}

  /// Kills it at any moment of its life: mostly while it serves, now and then while it starts.
  void kill_the_worker_again_and_again() {
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    for (int kill = 0; kill < kKills; ++kill) {
      if (kill % 10 != 9) {
        ASSERT_TRUE(daemon.serves()) << "after " << kill << " kills:\n" << daemon.words();
      }
      std::this_thread::sleep_for(
          std::chrono::microseconds(random() % 120'000));  // each at another moment of a life
      daemon.kill_worker();
    }
    ASSERT_TRUE(daemon.serves()) << daemon.words();
  }

  PrivateDaemon daemon;
  LoadStory story;
};

TEST_P(WorkerKills, LoseAndRepeatNothing) {
  Process live = story.start_subscriber("live", "earliest", 0);
  story.start_publishers(4, 0, 15'000 / kLoadDivisor);
  kill_the_worker_again_and_again();
  story.stop_publishers();
  const auto sequence = story.finish_subscriber(std::move(live), "live");
  story.expect_exactly_the_acknowledged(sequence);
  EXPECT_GT(sequence.size(), 10'000u / kLoadDivisor) << "there was hardly any load";

  ASSERT_EQ(daemon.stop(), 0) << daemon.words();
  EXPECT_NE(daemon.ok({"log", "verify", daemon.data()}).find("no defect"), std::string::npos);
  daemon.start();
  Process late = story.start_subscriber("late", "earliest", sequence.size());
  EXPECT_EQ(late.wait(120s), 0);
  EXPECT_TRUE(story.seen_by("late") == sequence) << "the log holds another sequence";
  daemon.finish();
}

/// Short commands, one after the other: some meet the worker between its accept and its answer. It gets to
/// answer at least one of them in each of its lives, however slow the machine.
TEST_P(WorkerKills, TurnNobodyAwayWhoConnects) {
  constexpr int kCommands = 400 / kLoadDivisor;
  std::atomic<int> answered{0};
  int kills = 0;
  std::thread killer([&] {
    for (int seen = 0; answered < kCommands; ++kills) {
      eventually([&] { return answered > seen; }, 60s);
      std::this_thread::sleep_for(std::chrono::milliseconds(kills % 40));  // each at another moment
      seen = answered;
      daemon.kill_worker();
    }
  });
  for (; answered < kCommands; ++answered) daemon.ok({"topic", "list"});
  killer.join();
  EXPECT_GE(kills, 5) << "hardly anybody died";
  daemon.finish();
}

/// Programs that are connected already go on asking while the daemon stops, which takes its time: there is
/// much to sync.
TEST_P(WorkerKills, AStopIsCleanWhileProgramsComeAndGo) {
  constexpr int kStops = kLoadDivisor > 1 ? 5 : 30;
  std::atomic<bool> done{false};
  std::vector<std::thread> programs;
  const auto much = daemon.directory().file("much", [] {
    std::string lines;
    for (int line = 0; line < 32'000; ++line) lines += std::string(1023, 'x') + '\n';
    return lines;
  }());
  daemon.ok({"topic", "create", "much"});
  constexpr int kTopics = 60;  // more than are taken up in one life
  for (int i = 0; i < kTopics; ++i) daemon.ok({"topic", "create", "t" + std::to_string(i)});
  programs.emplace_back([&] {
    while (!done) daemon.start_busway({"pub", "much", much, "--timeout", "5"}, "/dev/null").wait();
  });
  for (int program = 0; program < 3; ++program) {
    programs.emplace_back([&, program] {
      for (int i = program; !done; i = (i + 3) % kTopics)
        daemon.busway({"pub", "t" + std::to_string(i), "--timeout", "5"}, "x\n");
    });
  }
  for (int stop = 0; stop < kStops; ++stop) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + stop));  // each stop at another moment
    EXPECT_EQ(daemon.stop(), 0) << daemon.words();
    daemon.start();
  }
  done = true;
  for (std::thread& program : programs) program.join();
  daemon.finish();
  EXPECT_EQ(daemon.words().find("not everything is durable"), std::string::npos) << daemon.words();
}

INSTANTIATE_TEST_SUITE_P(Disk, WorkerKills, ::testing::Values("io_uring", "threads"));

}  // namespace
}  // namespace busway::test
