// The default of memory.max.bytes on machines that exist only as files.
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <stdlib.h>

#include "daemon/config.hpp"

namespace busway::daemon {
namespace {

namespace fs = std::filesystem;
constexpr std::int64_t kGiB = 1LL << 30;
constexpr std::int64_t kMiB = 1LL << 20;

class Machine : public ::testing::Test {
 protected:
  Machine() {
    std::string name = (fs::temp_directory_path() / "busway-budget-XXXXXX").string();
    root_ = ::mkdtemp(name.data());
    write("meminfo", "MemTotal:       16777216 kB\nMemFree:  1 kB\n");  // 16 GiB
    write("own", "0::/\n");
  }
  ~Machine() override { fs::remove_all(root_); }

  void write(const std::string& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  /// A version 2 group with a limit and a usage.
  void group(const std::string& path, const std::string& max, std::int64_t current,
             std::int64_t inactive_file) {
    write("cgroup" + path + "/memory.max", max + "\n");
    write("cgroup" + path + "/memory.current", std::to_string(current) + "\n");
    write("cgroup" + path + "/memory.stat", "anon 5\ninactive_file " + std::to_string(inactive_file) + "\n");
  }
  std::int64_t budget() const {
    return default_memory_budget({.meminfo = (root_ / "meminfo").string(),
                                  .own_cgroups = (root_ / "own").string(),
                                  .cgroup_root = (root_ / "cgroup").string()});
  }

  fs::path root_;
};

TEST_F(Machine, WithoutAControlGroupGivesAQuarterOfItsMemory) { EXPECT_EQ(budget(), 4 * kGiB); }

TEST_F(Machine, AGroupWithoutALimitChangesNothing) {
  write("own", "0::/a\n");
  group("/a", "max", 5 * kGiB, 0);
  EXPECT_EQ(budget(), 4 * kGiB);
}

TEST_F(Machine, GivesHalfOfWhatTheGroupHasLeft) {
  write("own", "0::/a\n");
  group("/a", std::to_string(2 * kGiB), 1 * kGiB, 0);
  EXPECT_EQ(budget(), 512 * kMiB);
}

TEST_F(Machine, PageCacheThatTheKernelWouldDropCountsAsLeft) {
  write("own", "0::/a\n");
  group("/a", std::to_string(2 * kGiB), 1 * kGiB, 512 * kMiB);
  EXPECT_EQ(budget(), 768 * kMiB);
}

TEST_F(Machine, TheTightestGroupOnTheWayToTheRootCounts) {
  write("own", "0::/a/b/c\n");
  group("/a", std::to_string(1 * kGiB), 0, 0);
  group("/a/b", "max", 0, 0);
  group("/a/b/c", std::to_string(3 * kGiB), 0, 0);
  EXPECT_EQ(budget(), 512 * kMiB);
}

TEST_F(Machine, AGroupThatIsFullLeavesNothing) {
  write("own", "0::/a\n");
  group("/a", std::to_string(1 * kGiB), 2 * kGiB, 0);
  EXPECT_EQ(budget(), 0);
}

TEST_F(Machine, ReadsVersionOneToo) {
  write("own", "9:name=systemd:/\n4:cpu,memory:/x\n0::/\n");
  write("cgroup/memory/x/memory.limit_in_bytes", std::to_string(1 * kGiB));
  write("cgroup/memory/x/memory.usage_in_bytes", std::to_string(256 * kMiB));
  write("cgroup/memory/x/memory.stat", "inactive_file 1\ntotal_inactive_file 0\n");
  EXPECT_EQ(budget(), 384 * kMiB);
}

TEST_F(Machine, VersionOnesHugeNumberMeansNoLimit) {
  write("own", "4:memory:/\n");
  write("cgroup/memory/memory.limit_in_bytes", "9223372036854771712");
  write("cgroup/memory/memory.usage_in_bytes", "1000");
  EXPECT_EQ(budget(), 4 * kGiB);
}

TEST(MemoryBudget, IsSomethingSensibleOnThisMachine) {
  EXPECT_GT(default_memory_budget(), 16 * kMiB);
  EXPECT_LT(default_memory_budget(), 64LL << 40);
}

}  // namespace
}  // namespace busway::daemon
