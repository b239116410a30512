// What comes out on stderr, and what a LogLimit holds back.
#include "daemon/logging.hpp"

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace busway::daemon {
namespace {

using namespace std::chrono_literals;

class Log : public ::testing::Test {
 protected:
  Log() {
    start_logging("test", LogLevel::info, LogTarget::standard_error);
    ::testing::internal::CaptureStderr();
  }
  static std::string printed() { return ::testing::internal::GetCapturedStderr(); }
};

TEST_F(Log, ALineNamesProgramProcessAndLevel) {
  log_warning("the disk is nearly full");
  const std::string line = printed();
  EXPECT_NE(line.find("test[" + std::to_string(::getpid()) + "] warning: the disk is nearly full\n"),
            std::string::npos)
      << line;
}

TEST_F(Log, BracesInASentenceAreOnlyBraces) {
  log_info("topic {} does not {exist");
  EXPECT_NE(printed().find("topic {} does not {exist"), std::string::npos);
}

TEST_F(Log, BelowTheLevelNothingIsPrinted) {
  log_debug("unseen");
  EXPECT_FALSE(log_enabled(LogLevel::debug));
  set_log_level(LogLevel::debug);
  EXPECT_TRUE(log_enabled(LogLevel::debug));
  log_debug("seen");
  set_log_level(LogLevel::off);
  log_error("unseen");
  const std::string text = printed();
  EXPECT_EQ(text.find("unseen"), std::string::npos);
  EXPECT_NE(text.find("seen"), std::string::npos);
}

TEST_F(Log, ALimitLetsOneThroughAPeriodAndCountsTheRest) {
  LogLimit limit(50ms);
  for (int i = 0; i < 10; ++i) limit.log(LogLevel::warning, "bad message");
  EXPECT_EQ(limit.held_back(), 9U);
  std::this_thread::sleep_for(60ms);  // longer than the period
  limit.log(LogLevel::warning, "bad message");
  const std::string text = printed();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
  EXPECT_NE(text.find("(and 9 more like it before)"), std::string::npos) << text;
}

TEST_F(Log, ManyThreadsMayUseOneLimit) {
  LogLimit limit(1h);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 1000; ++k) limit.log(LogLevel::info, "flood");
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::string text = printed();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
  EXPECT_EQ(limit.held_back(), 3999U);
}

}  // namespace
}  // namespace busway::daemon
