// The disk is full: publishers wait, then hear of it by name; when there is room again, everything goes on.
#include <csignal>
#include <string>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "bus/base/fd.hpp"
#include "tests/support/private_daemon.hpp"

namespace busway::test {
namespace {

/// A small file system of the test's own, seen by nobody else.
class SmallDisk : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      GTEST_SKIP() << "this test needs to mount a file system";
    }
    std::filesystem::create_directory(disk);
    ASSERT_EQ(::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=80m"), 0);
  }
  void TearDown() override { ::umount2(disk.c_str(), MNT_DETACH); }
  /// Takes the last byte.
  void fill_up() const {
    const Fd ballast(::open((disk / "ballast").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    const std::string block(4096, 'x');
    while (::write(ballast.get(), block.data(), block.size()) > 0) continue;
    EXPECT_EQ(errno, ENOSPC);
  }
  /// The worker dies and another takes over; the topic is as it was. Not a byte is free afterwards.
  void replace_worker(const PrivateDaemon& daemon, const std::string& topic,
                      const std::string& values) const {
    daemon.kill_worker();
    ASSERT_TRUE(daemon.serves()) << daemon.words();
    EXPECT_EQ(daemon.ok({"sub", topic, "-e"}), values);
    fill_up();
  }
  TempDir directory;
  std::filesystem::path disk = directory / "disk";
};

/// Nobody is attached any more, and the daemon has closed the topic's logs.
void wait_until_cold(const PrivateDaemon& daemon, const std::string& topic) {
  ASSERT_TRUE(eventually(
      [&] {
        return daemon.ok({"topic", "describe", topic}).find("cold") != std::string::npos;
      },
      30s))
      << daemon.words();
}

/// How often the threads of a process have gone to sleep so far.
long naps_of(pid_t pid) {
  long sum = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
    const std::string status = read_file(task.path() / "status");
    const std::string name = "\nvoluntary_ctxt_switches:";
    const auto at = status.find(name);
    if (at != std::string::npos) sum += std::stol(status.substr(at + name.size()));
  }
  return sum;
}

TEST_F(SmallDisk, FullItIsNamedAndWithRoomAgainAllGoesOn) {
  PrivateDaemon daemon({}, disk / "data");
  daemon.ok({"topic", "create", "t", "--config", "segment.bytes=4194304"});
  daemon.ok({"pub", "t"}, "before\n");
  const auto ballast = disk / "ballast";
  write_file(ballast, std::string(74 << 20, 'x'));

  // More than fits on the disk and into ring and lane behind it; without the ballast there is room for all.
  std::string lines;
  for (int line = 0; line < 700'000; ++line)
    lines += "0123456789 0123456789 0123456789 0123456789 " + std::to_string(line) + '\n';
  const std::string complaint = daemon.fails({"pub", "t", "--timeout", "3"}, lines);
  EXPECT_NE(complaint.find("topic t"), std::string::npos) << complaint;
  EXPECT_NE(complaint.find("disk"), std::string::npos) << complaint;
  const long before = naps_of(daemon.worker());
  std::this_thread::sleep_for(1s);  // the time over which naps are counted
  EXPECT_LT(naps_of(daemon.worker()) - before, 200) << "who waits for room on the disk looks now and then";
  const std::string seen = daemon.ok({"sub", "t", "-e"});
  EXPECT_TRUE(seen.starts_with("before\n0123456789")) << "reading goes on";

  std::filesystem::remove(ballast);
  daemon.ok({"pub", "t", "--durable", "--timeout", "30"}, "after\n");
  const std::string after = daemon.ok({"sub", "t", "-e"});
  EXPECT_TRUE(after.starts_with(seen)) << "what was published stays";
  EXPECT_TRUE(after.ends_with("\nafter\n"));
  daemon.finish();
}

TEST_F(SmallDisk, AWorkerThatDiesWithoutRoomIsReplacedAndADeletedTopicMakesRoom) {
  PrivateDaemon daemon({}, disk / "data");
  daemon.ok({"topic", "create", "kept"});
  daemon.ok({"topic", "create", "large"});
  daemon.ok({"pub", "kept"}, "one\ntwo\n");
  daemon.ok({"pub", "large", "--whole"}, std::string(900'000, 'x'));
  fill_up();
  for (int round = 0; round < 5; ++round) replace_worker(daemon, "kept", "one\ntwo\n");
  daemon.kill_both();
  daemon.start();
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(daemon.ok({"sub", "kept", "-e"}), "one\ntwo\n");
    fill_up();
    wait_until_cold(daemon, "kept");
  }
  EXPECT_EQ(daemon.ok({"sub", "kept", "-e"}), "one\ntwo\n");
  EXPECT_EQ(daemon.stop(), 0) << daemon.words();
  daemon.start();
  EXPECT_EQ(daemon.ok({"sub", "kept", "-e"}), "one\ntwo\n");
  fill_up();

  daemon.ok({"topic", "delete", "large"});
  daemon.ok({"pub", "kept", "--durable", "--timeout", "30"}, "three\n");
  EXPECT_EQ(daemon.ok({"sub", "kept", "-e"}), "one\ntwo\nthree\n");
  daemon.finish();
}

TEST_F(SmallDisk, WhatIsLostOnAFullDiskKeepsNoWorkerFromStarting) {
  PrivateDaemon daemon({}, disk / "data");
  daemon.ok({"topic", "create", "t"});
  daemon.ok({"topic", "create", "other"});
  daemon.ok({"pub", "t", "--durable"}, "kept\n");
  daemon.ok({"pub", "other", "--durable"}, "other\n");
  fill_up();
  daemon.ok({"pub", "t", "--whole"}, std::string(300'000, 'x'));  // stays in memory
  daemon.kill_both();
  daemon.start();
  daemon.ok({"pub", "t", "--timeout", "1"}, "again\n");  // behind a jump over what may be lost
  for (int round = 0; round < 2; ++round) replace_worker(daemon, "other", "other\n");
  daemon.kill_both();
  write_file(disk / "data" / "lock", "");  // its block has gone to somebody else
  fill_up();
  daemon.start();
  EXPECT_EQ(daemon.ok({"sub", "other", "-e"}), "other\n");

  std::filesystem::remove(disk / "ballast");
  daemon.ok({"pub", "t", "--durable", "--timeout", "30"}, "after\n");
  EXPECT_TRUE(daemon.ok({"sub", "t", "-e"}).starts_with("kept\n"));
  daemon.finish();
  EXPECT_TRUE(std::filesystem::exists(daemon.partition("t") / "lost-offsets"));
}

TEST_F(SmallDisk, WhoWaitsForTheSyncIsToldOfTheDisk) {
  PrivateDaemon daemon({}, disk / "data");
  daemon.ok({"topic", "create", "t"});
  fill_up();
  const std::string complaint =
      daemon.fails({"pub", "t", "--durable", "--whole", "--timeout", "1"}, std::string(100'000, 'x'));
  EXPECT_NE(complaint.find("is published but was not durable"), std::string::npos) << complaint;
  EXPECT_NE(complaint.find("disk is full (No space left on device)"), std::string::npos) << complaint;
  std::filesystem::remove(disk / "ballast");
  daemon.ok({"pub", "t", "--durable"}, "after\n");
  daemon.finish();
}

TEST_F(SmallDisk, AStopThatLosesWhatWasPublishedIsAFailure) {
  PrivateDaemon daemon({}, disk / "data");
  daemon.ok({"topic", "create", "t"});
  const auto ballast = disk / "ballast";
  write_file(ballast, std::string(76 << 20, 'x'));
  std::string lines;
  for (int line = 0; line < 700'000; ++line) lines += "0123456789 0123456789 0123456789 0123456789\n";
  daemon.fails({"pub", "t", "--timeout", "1"}, lines);
  EXPECT_EQ(daemon.stop(), 1);
  EXPECT_NE(daemon.words().find("topic t could not be made durable"), std::string::npos) << daemon.words();
}

}  // namespace
}  // namespace busway::test
