// Bad configurations, bad clients and bad luck: each ends in a sentence, and nobody else is hurt.
#include <csignal>
#include <random>
#include <set>
#include <sstream>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bus/base/fd.hpp"
#include "tests/support/load_files.hpp"
#include "tests/support/private_daemon.hpp"

namespace busway::test {
namespace {

constexpr uid_t kNobody = 65534;

void expect_parts(const std::string& sentence, std::initializer_list<std::string_view> parts) {
  for (const std::string_view part : parts) {
    EXPECT_NE(sentence.find(part), std::string::npos) << "no \"" << part << "\" in: " << sentence;
  }
}

/// Runs a buswayd that is not expected to come up.
Ran failing_daemon(const TempDir& directory, const Words& arguments) {
  ProcessSpec spec;
  spec.command = {buswayd_program()};
  spec.command.insert(spec.command.end(), arguments.begin(), arguments.end());
  Ran ran = run_program(directory, spec, {}, 20s);
  EXPECT_NE(ran.status, 0);
  return ran;
}

class Configuration : public ::testing::Test {
 protected:
  std::string complaint_of(const std::string& toml) {
    const auto file = directory.file("busway.toml", toml);
    return failing_daemon(directory, {"--config", file, "--data-dir", directory / "data", "--socket",
                                      directory / "busway.sock"})
        .err;
  }
  TempDir directory;
};

TEST_F(Configuration, AnUnknownKeyIsNamedWithFileAndLine) {
  expect_parts(complaint_of("\n\n[memory]\nmax.bytez = 1\n"),
               {"busway.toml", "4", "max.bytez", "memory.max.bytes"});
}

TEST_F(Configuration, ABadValueIsNamedWithFileLineAndBounds) {
  expect_parts(complaint_of("[disk]\nbackend = \"punchcards\"\n"),
               {"busway.toml", "2", "disk.backend", "punchcards", "threads"});
}

TEST_F(Configuration, BrokenTomlIsNamedWithFileAndLine) {
  expect_parts(complaint_of("[memory\n"), {"busway.toml", "1"});
}

TEST(DataDirectory, IsForOneDaemon) {
  PrivateDaemon daemon;
  const Ran second = failing_daemon(
      daemon.directory(), {"--data-dir", daemon.data(), "--socket", daemon.directory() / "other.sock"});
  expect_parts(second.err, {daemon.data().string(), std::to_string(daemon.keeper())});
  daemon.ok({"topic", "create", "still-here"});
  daemon.finish();
}

TEST(DataDirectory, OfANewerFormatIsLeftAlone) {
  PrivateDaemon daemon;
  daemon.ok({"topic", "create", "t"});
  ASSERT_EQ(daemon.stop(), 0);
  const std::string mine = read_file(daemon.data() / "version");
  write_file(daemon.data() / "version", "busway-data 99\n");
  const Ran older =
      failing_daemon(daemon.directory(), {"--data-dir", daemon.data(), "--socket", daemon.socket()});
  expect_parts(older.err, {daemon.data().string(), "99", "1"});
  write_file(daemon.data() / "version", mine);
  daemon.start();
  EXPECT_EQ(daemon.ok({"topic", "list"}), "t\n");
  daemon.finish();
}

TEST(Socket, IsForOneDaemon) {
  PrivateDaemon daemon;
  const Ran second = failing_daemon(
      daemon.directory(), {"--data-dir", daemon.directory() / "other-data", "--socket", daemon.socket()});
  expect_parts(second.err, {daemon.socket()});
  daemon.finish();
}

TEST(Budget, OverItAttachingIsRefusedWithItsName) {
  PrivateDaemon daemon({"memory.max.bytes=1MiB"});
  daemon.ok({"topic", "create", "wide", "--partitions", "64"});
  expect_parts(daemon.fails({"pub", "wide"}, "x\n"), {"memory.max.bytes", "wide"});
  daemon.ok({"topic", "create", "narrow"});
  daemon.ok({"pub", "narrow"}, "x\n");
  daemon.finish();
}

/// Another user of this machine. Needs root to become it.
class Stranger : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can run programs as somebody else";
    daemon.emplace();
    std::filesystem::permissions(daemon->directory().path(), std::filesystem::perms(0755));
    daemon->ok({"topic", "create", "t"});
    if (run({"--version"}).status != 0) GTEST_SKIP() << "nobody may not run " << busway_program();
  }
  Ran run(const Words& arguments, std::string_view input = {}) const {
    ProcessSpec spec;
    spec.command = {busway_program(), "--socket", daemon->socket()};
    spec.command.insert(spec.command.end(), arguments.begin(), arguments.end());
    spec.uid = kNobody;
    return run_program(daemon->directory(), spec, input, 20s);
  }
  std::optional<PrivateDaemon> daemon;
};

TEST_F(Stranger, HasNoRightsByDefault) {
  for (const Words& command :
       {Words{"pub", "t"}, {"sub", "t"}, {"topic", "create", "x"}, {"topic", "delete", "t"}}) {
    const Ran ran = run(command, "x\n");
    EXPECT_EQ(ran.status, 1) << command[0];
    expect_parts(ran.err, {"busway: ", "65534"});
  }
  EXPECT_EQ(daemon->ok({"topic", "list"}), "t\n");
  daemon->finish();
}

TEST_F(Stranger, CannotPoseAsTheDaemon) {
  const TempDir theirs;
  ASSERT_EQ(::chown(theirs.path().c_str(), kNobody, kNobody), 0);
  const std::string socket = theirs / "busway.sock";
  ProcessSpec poser;
  poser.command = {buswayd_program(), "--data-dir", theirs / "data", "--socket", socket};
  poser.uid = kNobody;
  poser.err = daemon->directory() / "poser.err";
  Process running(poser);
  ASSERT_TRUE(eventually([&] { return std::filesystem::exists(socket); })) << read_file(poser.err);
  ProcessSpec spec;
  spec.command = {busway_program(), "--socket", socket, "topic", "list"};
  Ran ran;
  ASSERT_TRUE(eventually([&] {  // the socket is there a moment before anybody listens
    ran = run_program(daemon->directory(), spec, {}, 20s);
    return ran.err.find("nothing listens") == std::string::npos;
  }));
  EXPECT_EQ(ran.status, 1);
  expect_parts(ran.err, {"busway: ", socket, "65534", "BUSWAY_DAEMON_UID"});
  running.signal(SIGTERM);
  EXPECT_EQ(running.wait(), 0) << read_file(poser.err);
  daemon->finish();
}

/// Connections that do not behave.
class Rude {
 public:
  explicit Rude(const std::string& socket) {
    address_.sun_family = AF_UNIX;
    socket.copy(address_.sun_path, sizeof address_.sun_path - 1);
  }
  Fd connect() const {
    Fd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address_), sizeof address_) != 0) return Fd();
    return fd;
  }

 private:
  sockaddr_un address_{};
};

TEST(Garbage, OnTheSocketCostsOnlyItsSender) {
  PrivateDaemon daemon;
  daemon.ok({"topic", "create", "t"});
  const pid_t worker = daemon.worker();
  const Rude rude(daemon.socket());
  std::mt19937 random(5);
  std::vector<Fd> silent;
  for (int round = 0; round < 300; ++round) {
    Fd fd = rude.connect();
    if (!fd) continue;
    std::string garbage(random() % 4096, '\0');
    for (char& c : garbage) c = static_cast<char>(random());
    for (int packet = 0; packet < 3; ++packet) ::send(fd.get(), garbage.data(), garbage.size(), MSG_NOSIGNAL);
    if (round % 10 == 0) silent.push_back(std::move(fd));
  }
  for (int round = 0; round < 20; ++round) silent.push_back(rude.connect());
  daemon.ok({"pub", "t"}, "still served\n");
  EXPECT_EQ(daemon.ok({"sub", "t", "-e"}), "still served\n");
  EXPECT_EQ(daemon.worker(), worker) << "the worker died of it";
  daemon.finish();
}

TEST(Kills, OfTheKeeperAreACleanStop) {
  PrivateDaemon daemon;
  daemon.ok({"topic", "create", "t"});
  daemon.ok({"pub", "t"}, "a\nb\n");
  const pid_t worker = daemon.worker();
  ::kill(daemon.keeper(), SIGKILL);
  EXPECT_TRUE(eventually([&] { return !alive(worker); })) << "the worker goes on without a keeper";
  daemon.start();
  EXPECT_EQ(daemon.ok({"sub", "t", "-e", "-f", "%o:%s "}), "0:a 1:b ")
      << "no offset jumped, nothing was lost";
  daemon.finish();
}

TEST(Kills, OfBothProcessesLoseNothingDurableAndGiveNoOffsetTwice) {
  PrivateDaemon daemon;
  daemon.ok({"topic", "create", "t"});
  const auto publish = [&](const std::string& id, const std::string& count, const std::string& durable) {
    const auto acks = daemon.directory() / ("acks" + id);
    Process pub = daemon.start_load_pub(
        {"topic=t", "id=" + id, "count=" + count, "acks=" + acks.string(), "durable=" + durable});
    EXPECT_EQ(pub.wait(), 0);
    return read_acknowledged(acks);
  };
  const auto durable = publish("1", "50", "1");
  const auto plain = publish("2", "5000", "0");
  daemon.kill_both();
  daemon.start();
  const auto later = publish("3", "10", "1");
  EXPECT_GT(later.front(), std::max(durable.back(), plain.back())) << "an offset was given twice";

  std::set<std::int64_t> offsets;
  std::istringstream lines(daemon.ok({"sub", "t", "-e", "-f", "%o\\n"}));
  for (std::int64_t offset = 0; lines >> offset;) EXPECT_TRUE(offsets.insert(offset).second) << offset;
  for (const std::int64_t offset : durable) EXPECT_TRUE(offsets.contains(offset)) << offset << " was durable";
  for (const std::int64_t offset : later) EXPECT_TRUE(offsets.contains(offset)) << offset << " was durable";
  daemon.finish();
}

TEST(Kills, OfTheWorkerPauseNobodyForLong) {
  PrivateDaemon daemon;
  daemon.ok({"topic", "create", "t"});
  daemon.ok({"pub", "t"}, "a\n");
  const pid_t before = daemon.worker();
  daemon.kill_worker();
  EXPECT_TRUE(daemon.serves());
  EXPECT_NE(daemon.worker(), before);
  daemon.ok({"pub", "t"}, "b\n");
  EXPECT_EQ(daemon.ok({"sub", "t", "-e", "-f", "%o:%s "}), "0:a 1:b ");
  daemon.finish();
}

}  // namespace
}  // namespace busway::test
