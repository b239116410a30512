// A partition's log loses power, or its process, before every single I/O. Whatever was acknowledged must be
// there, nothing that was not published may be, and what is missing must be reported.

#include <gtest/gtest.h>

#include "tests/disk/log_crash_story.hpp"

namespace busway::test {
namespace {

class LogCrash : public testing::TestWithParam<CrashKind> {};

TEST_P(LogCrash, before_every_step) {
  std::uint64_t images = 0;
  for (const Scenario& scenario : scenarios()) {
    for (std::uint64_t seed = 1; seed <= (GetParam() == CrashKind::power_random ? 2u : 1u); ++seed) {
      const std::uint64_t steps = count_steps(scenario, seed);
      for (std::uint64_t cut = 1; cut <= steps + 1; ++cut) {
        const CrashCase a_case{scenario, GetParam(), seed, cut};
        SCOPED_TRACE(text(a_case));
        Memory memory;
        const DiskImage image = play_until_cut(a_case, memory);
        expect_recovered(a_case, image, memory);
        if (HasFatalFailure()) return;
        ++images;
      }
    }
  }
  std::printf("%llu crash images recovered and checked\n", static_cast<unsigned long long>(images));
}

INSTANTIATE_TEST_SUITE_P(Kinds, LogCrash,
                         testing::Values(CrashKind::kill, CrashKind::power_least, CrashKind::power_random),
                         [](const auto& instance) { return name(instance.param); });

}  // namespace
}  // namespace busway::test
