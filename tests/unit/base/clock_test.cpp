#include "bus/base/clock.hpp"

#include <gtest/gtest.h>

namespace busway {
namespace {

TEST(WallClock, tells_the_time_of_the_c_library) {
  for (const clockid_t id : {CLOCK_REALTIME_COARSE, CLOCK_REALTIME}) {
    SCOPED_TRACE(id);
    const auto library = [id] { return id == CLOCK_REALTIME ? precise_unix_ms() : coarse_unix_ms(); };
    const WallClock clock(id);
    for (int look = 0; look < 1000; ++look) {
      const std::int64_t before = library();
      const std::int64_t now = clock.unix_ms();
      EXPECT_GE(now, before);
      EXPECT_LE(now, library());
    }
  }
}

}  // namespace
}  // namespace busway
