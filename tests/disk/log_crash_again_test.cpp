// As log_crash_test.cpp, and then once more before every I/O of the recovery.

#include <gtest/gtest.h>

#include "tests/disk/log_crash_story.hpp"

namespace busway::test {
namespace {

class LogCrashAgain : public testing::TestWithParam<CrashKind> {};

TEST_P(LogCrashAgain, before_every_step_of_every_recovery) {
  std::uint64_t images = 0;
  for (const Scenario& scenario : scenarios()) {
    const std::uint64_t steps = count_steps(scenario, 1);
    for (std::uint64_t cut = 1; cut <= steps + 1; ++cut) {
      CrashCase a_case{scenario, GetParam(), 1, cut};
      Memory memory;
      const DiskImage image = play_until_cut(a_case, memory);
      DiskImage after;
      for (a_case.second_cut = 1; !recover_until_cut(a_case, image, memory, after); ++a_case.second_cut) {
        SCOPED_TRACE(text(a_case));
        expect_recovered(a_case, after, memory);
        if (HasFatalFailure()) return;
        ++images;
      }
    }
  }
  std::printf("%llu crash images recovered and checked\n", static_cast<unsigned long long>(images));
}

INSTANTIATE_TEST_SUITE_P(Kinds, LogCrashAgain,
                         testing::Values(CrashKind::kill, CrashKind::power_least, CrashKind::power_random),
                         [](const auto& instance) { return name(instance.param); });

}  // namespace
}  // namespace busway::test
