#include "clients/cli/prometheus.hpp"

#include <gtest/gtest.h>

namespace busway::cli {
namespace {

TEST(Prometheus, GroupsSeriesOfOneName) {
  EXPECT_EQ(as_prometheus({{"busway_records_total{topic=\"a\"}", "1"},
                           {"busway_sessions", "2"},
                           {"busway_records_total{topic=\"b\"}", "3"}}),
            "# TYPE busway_records_total counter\n"
            "busway_records_total{topic=\"a\"} 1\n"
            "busway_records_total{topic=\"b\"} 3\n"
            "# TYPE busway_sessions gauge\n"
            "busway_sessions 2\n");
}

TEST(Prometheus, NamesAreMadeValid) {
  EXPECT_EQ(as_prometheus({{"disk.sync-time", "0.5"}}),
            "# TYPE busway_disk_sync_time gauge\nbusway_disk_sync_time 0.5\n");
}

TEST(Prometheus, TextsBecomeLabels) {
  EXPECT_EQ(as_prometheus({{"busway_version", "1.0 \"x\""}}),
            "# TYPE busway_version_info gauge\nbusway_version_info{value=\"1.0 \\\"x\\\"\"} 1\n");
  EXPECT_EQ(as_prometheus({{"busway_state{topic=\"a\"}", "active"}}),
            "# TYPE busway_state_info gauge\nbusway_state_info{topic=\"a\",value=\"active\"} 1\n");
}

}  // namespace
}  // namespace busway::cli
