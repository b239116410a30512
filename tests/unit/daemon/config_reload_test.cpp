// Which settings a SIGHUP changes, and what is said about the others.
#include <gtest/gtest.h>

#include "daemon/config.hpp"

namespace busway::daemon {
namespace {

Config configured(const std::string& text) { return parse_config(text, "busway.toml", {}); }

TEST(ConfigReload, TakesWhatMayChangeAtRunTime) {
  const Config now = configured("");
  const Config fresh = configured(R"(
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
  const Config now = configured("data.dir = \"/a\"\nsocket.path = \"/s\"");
  const Reload reload =
      reload_config(now, configured("data.dir = \"/b\"\nsocket.path = \"/s\"\nnum.partitions = 2"));
  EXPECT_EQ(reload.config.data_dir, "/a");
  EXPECT_EQ(reload.config.num_partitions, 2);
  ASSERT_EQ(reload.pending.size(), 1U);
  EXPECT_EQ(reload.pending.front(), "data.dir stays /a until the next start (/b in the file)");
}

TEST(ConfigReload, AnUnchangedFileChangesNothing) {
  const Config now = configured("num.partitions = 2");
  const Reload reload = reload_config(now, configured("num.partitions = 2"));
  EXPECT_TRUE(reload.pending.empty());
  EXPECT_EQ(print_config(reload.config), print_config(now));
}

}  // namespace
}  // namespace busway::daemon
