// Which settings a SIGHUP changes, and what is said about the others.
#include <gtest/gtest.h>

#include "daemon/config.hpp"

namespace busway::daemon {
namespace {

Config parsed(const std::string& text) { return parse_config(text, "busway.toml", {}); }

TEST(ConfigReload, TakesWhatMayChangeAtRunTime) {
  const Config now = parsed("");
  const Config fresh = parsed(R"(
    log.level = "debug"
    sessions.max = 5
    topic.defaults."flush.ms" = 7
    [[acl]]
    users = [12345]
    topics = "t"
    allow = "publish"
  )");
  const Reload reload = reload_config(now, fresh);
  EXPECT_TRUE(reload.pending.empty());
  EXPECT_EQ(reload.config.log_level, LogLevel::debug);
  EXPECT_EQ(reload.config.sessions_max, 5);
  EXPECT_EQ(reload.config.topic_defaults.flush_ms, 7);
  EXPECT_TRUE(reload.config.acl.allows(12345, {}, "t", Right::publish));
}

TEST(ConfigReload, KeepsWhatNeedsARestartAndSaysSo) {
  const Config now = parsed("data.dir = \"/a\"\nsocket.path = \"/s\"");
  const Reload reload =
      reload_config(now, parsed("data.dir = \"/b\"\nsocket.path = \"/s\"\nnum.partitions = 2"));
  EXPECT_EQ(reload.config.data_dir, "/a");
  EXPECT_EQ(reload.config.num_partitions, 2);
  ASSERT_EQ(reload.pending.size(), 1U);
  EXPECT_EQ(reload.pending.front(), "data.dir stays /a until the next start (/b in the file)");
}

TEST(ConfigReload, AnUnchangedFileChangesNothing) {
  const Config now = parsed("num.partitions = 2");
  const Reload reload = reload_config(now, parsed("num.partitions = 2"));
  EXPECT_TRUE(reload.pending.empty());
  EXPECT_EQ(print_config(reload.config), print_config(now));
}

}  // namespace
}  // namespace busway::daemon
