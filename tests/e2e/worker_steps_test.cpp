// The daemon's worker dies at every step of a short life: at each system call boundary of its control thread
// once. Whatever it was doing, the next worker finishes it: clients notice nothing, no record is lost or
// doubled, and the daemon stops cleanly.
#include <filesystem>
#include <iostream>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/load_files.hpp"
#include "tests/support/private_daemon.hpp"
#include "tests/support/step_killer.hpp"

namespace busway::test {
namespace {

/// Under sanitizers, where a worker's life takes ten times as long, not every step is tried.
constexpr int kStride = kLoadDivisor > 1 ? 37 : 1;

class WorkerSteps : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!can_trace()) GTEST_SKIP() << "SKIPPED: processes may not be traced here (ptrace)";
  }

  static Words pub(const std::string& topic, int partition) {
    return {"pub", topic, "-p", std::to_string(partition)};
  }
  void create(const std::string& topic) const { daemon.ok({"topic", "create", topic, "--partitions", "2"}); }
  void publish(const std::string& topic) const {
    daemon.ok(pub(topic, 0), "one\n");
    daemon.ok(pub(topic, 1), "two\n");
  }
  void expect_in(const std::string& topic, int partition, const std::string& lines) const {
    EXPECT_EQ(daemon.ok({"sub", topic, "-p", std::to_string(partition), "--from", "earliest", "-e", "-f",
                         "%o %s\n"}),
              lines);
  }
  void expect_all_there(const std::string& topic) const {
    expect_in(topic, 0, "0 one\n");
    expect_in(topic, 1, "0 two\n");
  }
  void expect_it_goes_on(const std::string& topic) const {
    daemon.ok(pub(topic, 0), "three\n");
    expect_in(topic, 0, "0 one\n1 three\n");
    expect_in(topic, 1, "0 two\n");
  }
  void delete_and_restart(const std::string& topic) {
    daemon.ok({"topic", "delete", topic});
    EXPECT_EQ(daemon.stop(), 0) << daemon.words();
    daemon.start();
    EXPECT_TRUE(eventually([&] { return directories_of(topic).empty(); })) << directories_of(topic);
  }
  /// The topic's, also those on their way out.
  std::string directories_of(const std::string& topic) const {
    std::string all;
    for (const auto& entry : std::filesystem::directory_iterator(daemon.data()))
      if (entry.path().filename().string().starts_with(topic + "-")) all += entry.path().string() + " ";
    return all;
  }
  /// The worker that comes after `dead`, as soon as there is one.
  pid_t worker_after(pid_t dead) const {
    pid_t next = -1;
    eventually([&] { return (next = daemon.worker()) > 0 && next != dead; });
    return next;
  }

  /// Tells `story(topic, step)` again and again, each time with a daemon on a topic of its own, whose worker
  /// is to be killed at that step; until a story is over before its step comes.
  template <class Story>
  void at_every_step(Story&& story, int stride = kStride) {
    int step = 0;
    for (bool killed = true; killed && !HasFailure(); step += stride) {
      SCOPED_TRACE("step " + std::to_string(step));
      killed = story("t" + std::to_string(step), step);
    }
    std::cout << step << " steps\n";
    EXPECT_GT(step, 40) << "hardly anything was stepped through";
    daemon.finish();
  }

  PrivateDaemon daemon;
};

TEST_F(WorkerSteps, OfCreatingPublishingSubscribingDeletingAndStopping) {
  at_every_step([&](const std::string& topic, int step) {
    StepKiller killer(daemon.worker(), step);
    create(topic);
    publish(topic);
    expect_all_there(topic);
    delete_and_restart(topic);
    return killer.killed();
  });
}

/// A topic that nobody is attached to is fenced at the next tick, and gives its memory back at that or the
/// one after.
TEST_F(WorkerSteps, OfLettingAnIdleTopicGoAndTakingItUpAgain) {
  constexpr auto kTwoTicksAndALittle = 2200ms;
  at_every_step([&](const std::string& topic, int step) {
    create(topic);
    publish(topic);
    const pid_t worker = daemon.worker();
    StepKiller killer(worker, step);
    const bool died_of_it = eventually([&] { return !alive(worker); }, kTwoTicksAndALittle);
    if (!died_of_it) {
      EXPECT_TRUE(eventually([&] {
        return daemon.ok({"topic", "describe", topic}).find("cold") != std::string::npos;
      })) << "nobody uses it, and it does not go";
    }
    expect_it_goes_on(topic);
    delete_and_restart(topic);
    return died_of_it;
  });
}

/// Two deaths in a row, the second one of the worker that takes over.
TEST_F(WorkerSteps, OfTakingOver) {
  at_every_step(
      [&](const std::string& topic, int step) {
        create(topic);
        publish(topic);
        const pid_t first = daemon.worker();
        daemon.kill_worker();
        StepKiller killer(worker_after(first), step);
        expect_it_goes_on(topic);
        delete_and_restart(topic);
        return killer.killed();
      },
      3 * kStride);  // it is not followed from quite the same moment each time: all get their turn
}

}  // namespace
}  // namespace busway::test
