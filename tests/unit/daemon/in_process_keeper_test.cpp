// The keeper of EmbeddedDaemon: workers come and go, what they deposited stays.
#include <algorithm>
#include <filesystem>

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bus/memory/region.hpp"
#include "daemon/keeper_link.hpp"

namespace busway::daemon {
namespace {

using memory::ManifestKind;
using memory::Region;

std::ptrdiff_t open_descriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                       std::filesystem::directory_iterator());
}

bool readable(int fd) {
  pollfd watched{fd, POLLIN, 0};
  return ::poll(&watched, 1, 0) == 1;
}

Deposit lane_deposit(const Region& region, std::uint32_t lane) {
  return {.kind = ManifestKind::lane,
          .topic = {},
          .index = lane,
          .generation = 7,
          .owner_uid = 0,
          .owner_session = 3,
          .owner_pid = 0,
          .bytes = region.bytes(),
          .aux = 64,
          .fd = region.fd()};
}

TEST(InProcessKeeper, ADepositIsLiveAtOnceAndTheNextWorkerTakesTheSameMemory) {
  InProcessKeeper keeper(8);
  EntryIndex entry{};
  {
    const Region region = Region::create("lane", 4096);
    *region.as<std::uint64_t>() = 42;
    entry = keeper.deposit(lane_deposit(region, 5));
  }
  keeper.next_worker();
  EXPECT_EQ(keeper.worker_starts(), 2U);
  ASSERT_EQ(keeper.live_entries(), std::vector<EntryIndex>{entry});
  EXPECT_EQ(keeper.entry(entry).index, 5U);
  EXPECT_EQ(keeper.entry(entry).generation, 7U);
  const Region taken = Region::map(keeper.take(entry), 4096, memory::Access::read_write);
  EXPECT_EQ(*taken.as<std::uint64_t>(), 42U);
}

TEST(InProcessKeeper, ADropClosesTheDescriptorAndFreesTheEntry) {
  InProcessKeeper keeper(2);
  const Region region = Region::create("lane", 4096);
  const auto before = open_descriptors();
  for (int i = 0; i < 10; ++i) {
    const Deposit two[] = {lane_deposit(region, 1), lane_deposit(region, 2)};
    const auto entries = keeper.deposit_many(two);
    EXPECT_EQ(keeper.live_entries().size(), 2U);
    keeper.drop_many(entries);
  }
  EXPECT_TRUE(keeper.live_entries().empty());
  EXPECT_EQ(open_descriptors(), before);
}

TEST(InProcessKeeper, AFullManifestRefusesAllOfADepositAndKeepsNone) {
  InProcessKeeper keeper(1);
  const Region region = Region::create("lane", 4096);
  const auto before = open_descriptors();
  const Deposit two[] = {lane_deposit(region, 1), lane_deposit(region, 2)};
  try {
    keeper.deposit_many(two);
    FAIL() << "two deposits fit one entry";
  } catch (const Error& error) {
    EXPECT_EQ(error.error(), errc::limit_reached);
  }
  EXPECT_TRUE(keeper.live_entries().empty());
  EXPECT_EQ(open_descriptors(), before);
  EXPECT_NO_THROW(keeper.deposit(two[0]));
}

TEST(InProcessKeeper, ADescriptorThatIsNotWhatItsEntrySaysIsRefused) {
  InProcessKeeper keeper(8);
  const Region region = Region::create("lane", 4096);
  Deposit too_small = lane_deposit(region, 1);
  too_small.bytes = 8192;
  Deposit no_memfd = lane_deposit(region, 2);
  no_memfd.fd = STDIN_FILENO;
  Deposit no_pidfd = lane_deposit(region, 3);
  no_pidfd.kind = ManifestKind::session;
  Deposit no_kind = lane_deposit(region, 4);
  no_kind.kind = static_cast<ManifestKind>(99);
  for (const Deposit& wrong : {too_small, no_memfd, no_pidfd, no_kind}) {
    const EntryIndex entry = keeper.deposit(wrong);
    EXPECT_THROW(keeper.take(entry), Error) << "index " << wrong.index;
  }
}

TEST(InProcessKeeper, ASessionIsAPidfdAndASegmentAFile) {
  InProcessKeeper keeper(8);
  const Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  ASSERT_TRUE(pidfd);
  Deposit session;
  session.kind = ManifestKind::session;
  session.fd = pidfd.get();
  EXPECT_TRUE(keeper.take(keeper.deposit(session)));
  const Fd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  Deposit segment;
  segment.kind = ManifestKind::segment;
  segment.fd = file.get();
  EXPECT_TRUE(keeper.take(keeper.deposit(segment)));
}

TEST(InProcessKeeper, CommandsArriveInOrderAndMakeTheDescriptorReadable) {
  InProcessKeeper keeper(1);
  EXPECT_FALSE(readable(keeper.command_fd()));
  keeper.command(KeeperCommand::reload);
  keeper.command(KeeperCommand::stop);
  EXPECT_TRUE(readable(keeper.command_fd()));
  EXPECT_EQ(keeper.next_command(), KeeperCommand::reload);
  EXPECT_TRUE(readable(keeper.command_fd()));
  EXPECT_EQ(keeper.next_command(), KeeperCommand::stop);
  EXPECT_FALSE(readable(keeper.command_fd()));
  EXPECT_EQ(keeper.next_command(), KeeperCommand::none);
}

TEST(InProcessKeeper, AGoneKeeperStaysGone) {
  InProcessKeeper keeper(1);
  keeper.command(KeeperCommand::keeper_gone);
  EXPECT_EQ(keeper.next_command(), KeeperCommand::keeper_gone);
  EXPECT_EQ(keeper.next_command(), KeeperCommand::keeper_gone);
  EXPECT_TRUE(readable(keeper.command_fd()));
}

TEST(InProcessKeeper, KeepsTheTextOfAConfiguration) {
  InProcessKeeper keeper(1);
  EXPECT_EQ(keeper.kept_configuration(), "");
  keeper.keep_configuration("a = 1");
  keeper.next_worker();
  EXPECT_EQ(keeper.kept_configuration(), "a = 1");
}

TEST(Handover, RefusesNumbersThatNoKeeperPasses) {
  for (const char* numbers :
       {"", "1", "3,4,5,6,7", "a,b,c,d,e,f", "3,4,5,6,7,8,9", "0,1,2,3,4,5", "900,901,902,903,904,905"}) {
    EXPECT_THROW(accept_handover(numbers), Error) << numbers;
  }
}

}  // namespace
}  // namespace busway::daemon
