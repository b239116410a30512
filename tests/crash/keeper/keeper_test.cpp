// Real keepers, real workers, real signals: what a killed worker costs, and what a killed keeper costs.
#include <cstring>
#include <random>

#include <sys/socket.h>
#include <sys/un.h>

#include <busway/error.hpp>

#include "bus/base/fd.hpp"
#include "tests/crash/keeper/keeper_fixture.hpp"

namespace busway::daemon {
namespace {

std::size_t live_in(const std::string& start_line) {
  const std::size_t at = start_line.find("live ");
  return at == std::string::npos ? 0 : std::stoul(start_line.substr(at + 5));
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

sockaddr_un address_of(const fs::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string text = path.string();
  EXPECT_LT(text.size(), sizeof(address.sun_path));
  std::memcpy(address.sun_path, text.data(), std::min(text.size(), sizeof(address.sun_path) - 1));
  return address;
}

TEST_F(KeeperTest, StopsItsWorkerAndEnds) {
  start();
  wait_for("ready");
  EXPECT_TRUE(fs::is_socket(dir_ / "run/busway.sock"));
  ::kill(keeper_, SIGTERM);
  EXPECT_EQ(wait_for_end(), 0) << errors();
  EXPECT_EQ(count("stop"), 1U);
  EXPECT_FALSE(fs::exists(dir_ / "run/busway.sock"));
}

TEST_F(KeeperTest, AKilledWorkersMemoryIsThereForTheNext) {
  set_mode("deposit");
  start();
  wait_for("deposited");
  set_mode("serve");
  kill_worker();
  const std::string line = wait_for("start 2 ");
  EXPECT_EQ(live_in(line), 3U) << line;
  EXPECT_TRUE(contains(errors(), "was killed by signal 9")) << errors();
}

// 200 workers are killed wherever they happen to be between deposits and drops. The worker itself compares
// what it finds with the table of what was acknowledged and writes BAD into its journal; the fixture looks
// for that.
TEST_F(KeeperTest, NothingAcknowledgedIsLostAndNoDescriptorLeaksOverTwoHundredKills) {
  start();
  wait_for("ready");
  const std::size_t at_rest = descriptors_of(keeper_);
  set_mode("churn");
  kill_worker();
  std::mt19937 random(20240229);
  for (std::size_t life = 2; life <= 201; ++life) {
    const std::string mark = "start " + std::to_string(life) + " ";
    wait_for(mark);
    std::this_thread::sleep_for(
        std::chrono::microseconds(random() % 8000));  // each dies at another moment of its start
    if (life == 201) set_mode("serve");
    kill_worker(mark);
    if (HasFailure()) return;
  }
  const std::string last = wait_for("start 202 ");
  wait_for(std::to_string(worker("start 202 ")) + " ready");
  EXPECT_GT(live_in(last), 0U);
  EXPECT_EQ(descriptors_of(keeper_), at_rest + live_in(last)) << last;
}

TEST_F(KeeperTest, AnEntryThatWasFilledInAndNeverSentIsDropped) {
  start();
  wait_for("ready");
  set_mode("leave-pending");
  kill_worker();
  wait_for("left one pending");
  set_mode("serve");
  wait_for("ready", 2);  // and no line with BAD
}

TEST_F(KeeperTest, ADepositWhoseSenderDiedBeforeItWasTakenInIsDropped) {
  set_mode("deposit-on-reload");
  start();
  wait_for("ready");
  const std::size_t at_rest = descriptors_of(keeper_);
  ::kill(keeper_, SIGHUP);
  wait_for("sending");                // to a keeper that it has stopped
  std::this_thread::sleep_for(50ms);  // it has filled the socket by then; the outcome is the same if not
  set_mode("serve");
  const fs::path status = "/proc/" + std::to_string(worker()) + "/stat";
  kill_worker();
  ASSERT_TRUE(eventually([&] { return contains(whole_file(status), ") Z "); }));
  ::kill(keeper_, SIGCONT);
  EXPECT_EQ(live_in(wait_for("start 2 ")), 0U);
  wait_for("ready", 2);
  EXPECT_EQ(descriptors_of(keeper_), at_rest);
}

TEST_F(KeeperTest, AWorkerThatDiesUnreadyIsRestartedWithBackoff) {
  set_mode("die-unready");
  start();
  wait_for("start 1 ");
  const auto first = std::chrono::steady_clock::now();
  wait_for("start 5 ");  // after 20, 40, 80 and 100 ms
  EXPECT_GE(std::chrono::steady_clock::now() - first, 230ms);
  set_mode("serve");
  wait_for("ready");
  ::kill(keeper_, SIGTERM);
  EXPECT_EQ(wait_for_end(), 0);
}

TEST_F(KeeperTest, AFirstWorkerThatCannotStartEndsTheKeeperWithItsStatus) {
  set_mode("fail");
  start();
  EXPECT_EQ(wait_for_end(), 3);
  EXPECT_EQ(count("start"), 1U);
}

TEST_F(KeeperTest, ALaterWorkerThatCannotStartIsTriedAgain) {
  start();
  wait_for("ready");
  set_mode("fail");
  kill_worker();
  wait_for("start 4 ");
  set_mode("serve");
  wait_for("ready", 2);
}

TEST_F(KeeperTest, AKilledKeepersWorkerIsToldAndEndsOnItsOwn) {
  start();
  wait_for("ready");
  const pid_t orphan = worker();
  ::kill(keeper_, SIGKILL);
  EXPECT_EQ(wait_for_end(), 128 + SIGKILL);
  wait_for("drained");
  EXPECT_TRUE(eventually([&] { return !is_own_worker(orphan); }));
}

TEST_F(KeeperTest, TheNextKeeperWaitsUntilTheOrphanedWorkerHasDrained) {
  set_mode("slow");
  start();
  wait_for("ready");
  const std::string orphan = std::to_string(worker());
  ::kill(keeper_, SIGKILL);
  wait_for_end();
  set_mode("serve");
  start();
  wait_for("ready", 2);
  const std::vector<std::string> lines = journal();
  const auto drained = std::find(lines.begin(), lines.end(), orphan + " drained");
  const auto next = std::find_if(lines.rbegin(), lines.rend(),
                                 [](const std::string& line) { return contains(line, "start 1 "); });
  ASSERT_NE(drained, lines.end());
  EXPECT_LT(drained - lines.begin(), next.base() - lines.begin() - 1);
}

TEST_F(KeeperTest, ASecondKeeperOnTheSameDirectoryIsRefusedByName) {
  start();
  wait_for("ready");
  EXPECT_EQ(wait_for_end(spawn()), 1);
  const std::string text = errors();
  EXPECT_TRUE(contains(text, "error " + std::to_string(static_cast<int>(errc::data_dir_in_use)))) << text;
  EXPECT_TRUE(contains(text, "is in use by process " + std::to_string(keeper_))) << text;
  EXPECT_TRUE(is_own_worker(worker()));
}

TEST_F(KeeperTest, SignalsForTheKeeperDoNotKillTheWorker) {
  start();
  wait_for("ready");
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR2, SIGPIPE}) ::kill(worker(), signal);
  ::kill(keeper_, SIGHUP);
  wait_for("reload");
  EXPECT_EQ(count("start"), 1U);
}

TEST_F(KeeperTest, AReloadReachesTheWorkerAndItsConfigurationReachesTheNext) {
  start();
  wait_for("ready");
  const std::size_t at_rest = descriptors_of(keeper_);
  for (std::size_t i = 1; i <= 3; ++i) {
    ::kill(keeper_, SIGHUP);
    wait_for("reload", i);
  }
  EXPECT_EQ(descriptors_of(keeper_), at_rest);
  kill_worker();
  const std::string line = wait_for("start 2 ");
  EXPECT_TRUE(contains(line, "kept generation=3")) << line;
}

TEST_F(KeeperTest, AReplacedWorkerIsTheNewBinaryAndKeepsEverything) {
  worker_program_ = (dir_ / "worker").string();
  fs::copy_file(BUSWAY_KEEPER_WORKER, worker_program_);
  set_mode("deposit");
  start();
  wait_for("deposited");
  set_mode("serve");
  std::ofstream(dir_ / "worker.new") << "#!/bin/sh\necho 0 the new binary >>\"$1/journal\"\n"
                                     << "exec \"" BUSWAY_KEEPER_WORKER "\" \"$@\"\n";
  fs::permissions(dir_ / "worker.new", fs::perms::owner_all);
  fs::rename(dir_ / "worker.new", worker_program_);
  ::kill(keeper_, SIGUSR2);
  wait_for("the new binary");
  EXPECT_EQ(live_in(wait_for("start 2 ")), 3U);
  EXPECT_EQ(count("replace"), 1U);
}

TEST_F(KeeperTest, AMissingBinaryIsNoReasonToStayWithoutAWorker) {
  worker_program_ = (dir_ / "worker").string();
  fs::copy_file(BUSWAY_KEEPER_WORKER, worker_program_);
  start();
  wait_for("ready");
  fs::remove(worker_program_);
  kill_worker();
  wait_for("ready", 2);
}

TEST_F(KeeperTest, AWorkerThatDiesWhileStoppingIsFollowedByOneThatFinishes) {
  set_mode("die-on-stop");
  start();
  wait_for("ready");
  set_mode("serve");
  ::kill(keeper_, SIGTERM);
  EXPECT_EQ(wait_for_end(), 0) << errors();
  EXPECT_EQ(count("stop"), 2U);
}

TEST_F(KeeperTest, StoppingIsGivenUpAfterThreeDeadWorkers) {
  set_mode("die-on-stop");
  start();
  wait_for("ready");
  ::kill(keeper_, SIGINT);
  EXPECT_EQ(wait_for_end(), 1);
  EXPECT_EQ(count("stop"), 3U);
  EXPECT_TRUE(contains(errors(), "giving up")) << errors();
}

TEST_F(KeeperTest, StopDuringBackoffStillDrains) {
  start();
  wait_for("ready");
  set_mode("die-unready");
  kill_worker();
  wait_for("start 4 ");
  set_mode("serve");
  ::kill(keeper_, SIGTERM);
  EXPECT_EQ(wait_for_end(), 0) << errors();
  EXPECT_EQ(count("stop"), 1U);
}

TEST_F(KeeperTest, RequestsThatFitNoProtocolCostNothing) {
  start();
  wait_for("ready");
  const std::size_t at_rest = descriptors_of(keeper_);
  set_mode("garbage");
  kill_worker();
  wait_for("sent garbage");
  wait_for("ready", 2);
  EXPECT_EQ(descriptors_of(keeper_), at_rest);
  EXPECT_EQ(count("start"), 2U);
}

TEST_F(KeeperTest, OutOfDescriptorsADepositIsRefusedWholeAndTheSettingNamed) {
  set_mode("exhaust");
  start({}, 128);
  const std::string line = wait_for("refused");
  EXPECT_TRUE(contains(line, "refused " + std::to_string(static_cast<int>(errc::limit_reached)) + " left 0:"))
      << line;
  EXPECT_TRUE(contains(line, "LimitNOFILE")) << line;
  wait_for("ready");
}

TEST_F(KeeperTest, ClientsCanKnockWhileNoWorkerRuns) {
  set_mode("die-unready");
  start();
  wait_for("start 2 ");
  const Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  const sockaddr_un address = address_of(dir_ / "run/busway.sock");
  EXPECT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
}

TEST_F(KeeperTest, TheServiceManagerHearsFromTheKeeperAlone) {
  const fs::path path = dir_ / "notify";
  const Fd manager(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const sockaddr_un address = address_of(path);
  ASSERT_EQ(::bind(manager.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  const auto told = [&] {
    char text[256] = {};
    const ssize_t bytes = ::recv(manager.get(), text, sizeof(text), 0);
    return bytes > 0 ? std::string(text, static_cast<std::size_t>(bytes)) : std::string("(nothing)");
  };
  start({"NOTIFY_SOCKET=" + path.string()});
  EXPECT_EQ(told(), "READY=1");
  EXPECT_TRUE(contains(wait_for("start 1 "), "environment clean"));
  ::kill(keeper_, SIGUSR2);
  EXPECT_EQ(told().find("RELOADING=1\nMONOTONIC_USEC="), 0U);
  EXPECT_EQ(told(), "READY=1");
  ::kill(keeper_, SIGTERM);
  EXPECT_EQ(told(), "STOPPING=1");
  EXPECT_EQ(wait_for_end(), 0);
}

}  // namespace
}  // namespace busway::daemon
