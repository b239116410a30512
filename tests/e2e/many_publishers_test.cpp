// Four processes publish half a million records each to one partition. Whoever reads them sees one sequence.
#include <csignal>
#include <thread>

#include <gtest/gtest.h>

#include "tests/e2e/load_story.hpp"

namespace busway::test {
namespace {

constexpr int kPublishers = 4;
constexpr std::uint64_t kEach = 500'000 / kLoadDivisor;
constexpr std::uint64_t kAll = kPublishers * kEach;

TEST(ManyPublishers, AreSeenInOneOrderByALiveAStoppedAndALateSubscriber) {
  PrivateDaemon daemon;
  LoadStory story(daemon);
  Process live = story.start_subscriber("live", "latest", kAll);
  Process stopped = story.start_subscriber("stopped", "latest", kAll);
  story.start_publishers(kPublishers, kEach, 0);
  stopped.signal(SIGSTOP);
  std::this_thread::sleep_for(5s);  // so long it is stopped, under load
  story.await_publishers(120s);
  stopped.signal(SIGCONT);
  Process late = story.start_subscriber("late", "earliest", kAll);

  EXPECT_EQ(live.wait(120s), 0);
  EXPECT_EQ(stopped.wait(120s), 0);
  EXPECT_EQ(late.wait(120s), 0);
  const auto sequence = story.seen_by("live");
  story.expect_exactly_the_acknowledged(sequence);
  EXPECT_EQ(sequence.size(), kAll);
  EXPECT_TRUE(story.seen_by("stopped") == sequence) << "the one that was stopped saw another sequence";
  EXPECT_TRUE(story.seen_by("late") == sequence) << "the late one saw another sequence";
  daemon.finish();
}

}  // namespace
}  // namespace busway::test
