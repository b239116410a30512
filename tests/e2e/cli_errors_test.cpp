// What a person is told when a command cannot be done: the thing, the limit, the setting.
#include <chrono>
#include <csignal>
#include <thread>

#include <gtest/gtest.h>

#include "tests/support/private_daemon.hpp"

namespace busway::test {
namespace {

/// Expects that every one of `parts` is in `sentence`.
void expect_parts(const std::string& sentence, std::initializer_list<std::string_view> parts) {
  for (const std::string_view part : parts) {
    EXPECT_NE(sentence.find(part), std::string::npos) << "no \"" << part << "\" in: " << sentence;
  }
}

class Errors : public ::testing::Test {
 protected:
  void SetUp() override { daemon.ok({"topic", "create", "t"}); }
  void TearDown() override { daemon.finish(); }
  PrivateDaemon daemon;
};

TEST_F(Errors, TopicNames) {
  expect_parts(daemon.fails({"topic", "create", "no spaces"}), {"no spaces"});
  expect_parts(daemon.fails({"topic", "create", ".."}), {".."});
  expect_parts(daemon.fails({"topic", "create", std::string(250, 'x')}), {"249"});
  expect_parts(daemon.fails({"topic", "create", "t"}), {"topic t"});
  expect_parts(daemon.fails({"topic", "describe", "absent"}), {"absent"});
  expect_parts(daemon.fails({"topic", "delete", "absent"}), {"absent"});
  EXPECT_EQ(daemon.fails({"topic", "delete", "absent"}).find("create"), std::string::npos);
  expect_parts(daemon.fails({"sub", "absent"}), {"absent", "busway topic create absent"});
  const std::string complaint = daemon.fails({"pub", "no spaces"}, "x\n");
  expect_parts(complaint, {"no spaces"});
  EXPECT_EQ(complaint.find("topic create"), std::string::npos) << "it cannot be created: " << complaint;
}

TEST_F(Errors, Settings) {
  expect_parts(daemon.fails({"topic", "create", "s", "--config", "retention.hours=1"}),
               {"retention.hours", "retention.ms"});
  expect_parts(daemon.fails({"topic", "create", "s", "--config", "retention.ms=long"}),
               {"retention.ms", "long"});
  expect_parts(daemon.fails({"topic", "alter", "t", "--config", "cleanup.policy=burn"}),
               {"topic t", "cleanup.policy", "burn", "delete"});
  EXPECT_EQ(daemon.busway({"topic", "create", "s", "--config", "retention.ms"}).status, 2);
  EXPECT_EQ(daemon.busway({"topic", "create", "s", "--config", "a=1", "--config", "a=2"}).status, 2);
}

TEST_F(Errors, ATimeoutIsANumber) {
  for (const char* timeout : {"nan", "-nan", "-1", "long"}) {
    const Ran ran = daemon.busway({"pub", "t", "--timeout", timeout}, "x\n");
    EXPECT_EQ(ran.status, 2) << ran.err;
    expect_parts(ran.err, {"--timeout", timeout});
  }
}

TEST_F(Errors, ARecordThatIsTooLargeIsNamedWithItsLine) {
  const std::string input = "small\n" + std::string(1'100'000, 'x') + "\nsmall\n";
  expect_parts(daemon.fails({"pub", "t"}, input), {"line 2", "max.message.bytes", "topic t", "1048576"});
  expect_parts(daemon.fails({"pub", "t", "--whole"}, input), {"max.message.bytes", "topic t"});
}

TEST_F(Errors, OneSignalEndsWhatWaitsForADaemonThatDoesNotAnswer) {
  const pid_t worker = daemon.worker();
  ASSERT_EQ(::kill(worker, SIGSTOP), 0);
  Process list = daemon.start_busway({"topic", "list"}, daemon.directory() / "list");
  Process sub = daemon.start_busway({"sub", "t"}, daemon.directory() / "sub");
  std::this_thread::sleep_for(200ms);  // until they wait; if one does not yet it ends all the sooner
  list.signal(SIGINT);
  sub.signal(SIGTERM);
  const auto before = std::chrono::steady_clock::now();
  EXPECT_EQ(list.wait(), 128 + SIGINT);
  EXPECT_EQ(sub.wait(), 128 + SIGTERM);
  EXPECT_LT(std::chrono::steady_clock::now() - before, 20s) << "they waited for the daemon";
  ASSERT_EQ(::kill(worker, SIGCONT), 0);
}

TEST_F(Errors, TheLineThatFoundNoRoomIsNamedAndAllBeforeItArePublished) {
  daemon.ok({"topic", "create", "m", "--config", "storage=memory", "--config", "overflow=block"});
  const auto seen = daemon.directory() / "seen";
  Process reader = daemon.start_busway({"sub", "m"}, seen);
  ASSERT_TRUE(eventually([&] {
    daemon.ok({"pub", "m"}, "is anybody there?\n");
    return !read_file(seen).empty();
  }));
  reader.signal(SIGSTOP);
  std::string lines;
  for (int line = 1; line <= 5'000'000; ++line) lines += std::to_string(line) + '\n';
  const std::string sentence = daemon.fails({"pub", "m", "--timeout", "1"}, lines);
  expect_parts(sentence, {"standard input, line ", "no room", "1000 ms"});
  const auto at = sentence.find("line ");
  ASSERT_NE(at, std::string::npos);
  std::string number = sentence.substr(at + 5, sentence.find(':', at) - at - 5);
  std::erase(number, ',');
  reader.signal(SIGCONT);
  const std::string last = std::to_string(std::stoi(number) - 1) + '\n';
  EXPECT_TRUE(eventually([&] { return read_file(seen).ends_with('\n' + last); }))
      << sentence << "but the last line seen is not " << last;
  reader.signal(SIGINT);
  reader.wait();
  EXPECT_TRUE(read_file(seen).ends_with('\n' + last)) << "nothing behind it was published";
}

TEST_F(Errors, Partitions) {
  expect_parts(daemon.fails({"pub", "t", "-p", "7"}, "x\n"), {"topic t", "partitions 0 to 0", "7"});
  expect_parts(daemon.fails({"sub", "t", "-p", "7"}), {"topic t", "partitions 0 to 0", "7"});
}

TEST_F(Errors, Files) {
  expect_parts(daemon.fails({"pub", "t", "absent.txt"}), {"absent.txt", "No such file"});
  expect_parts(daemon.fails({"pub", "t", "/"}), {"/", "directory"});
}

TEST_F(Errors, WrongUsageHasItsOwnStatus) {
  EXPECT_EQ(daemon.busway({"sub", "t", "--from", "yesterday"}).status, 2);
  EXPECT_EQ(daemon.busway({"sub", "t", "-e", "-f", "%q"}).status, 2);
  EXPECT_EQ(daemon.busway({"pub", "t", "-H", "novalue"}, "x\n").status, 2);
  EXPECT_EQ(daemon.busway({"sub", "t", "-n", "-1"}).status, 2);
  EXPECT_EQ(daemon.busway({"frobnicate"}).status, 2);
}

TEST_F(Errors, AClosedInputIsAFailure) {
  const Ran ran = run_program(daemon.directory(), daemon.in_shell("busway pub t <&-"));
  EXPECT_EQ(ran.status, 1);
  expect_parts(ran.err, {"busway: ", "standard input", "Bad file descriptor"});
}

TEST_F(Errors, AFullOutputIsAFailure) {
  daemon.ok({"pub", "t"}, "x\n");
  const Ran ran = run_program(daemon.directory(), daemon.in_shell("busway sub t -e > /dev/full"));
  EXPECT_EQ(ran.status, 1);
  expect_parts(ran.err, {"busway: ", "standard output", "No space left"});
}

TEST_F(Errors, APublisherWhoseDaemonWasStoppedSaysSo) {
  const auto stopped = daemon.directory() / "stopped";
  ProcessSpec spec = daemon.in_shell("{ echo first; until test -e " + stopped.string() +
                                     "; do sleep 0.05; done; echo second; } | busway pub t --timeout 1");
  spec.err = daemon.directory() / "complaint";
  Process publisher(spec);
  ASSERT_TRUE(eventually([&] { return daemon.ok({"sub", "t", "-e"}) == "first\n"; }));
  ASSERT_EQ(daemon.stop(), 0) << daemon.words();
  write_file(stopped, "");
  EXPECT_EQ(publisher.wait(), 1);
  expect_parts(read_file(spec.err), {"line 2", "no daemon answers at " + daemon.socket(), "1000 ms"});
  daemon.start();
}

TEST_F(Errors, ASubscriberSaysWhenTheDaemonIsGoneAndWhenItIsBack) {
  const auto out = daemon.directory() / "out";
  ProcessSpec spec = daemon.in_shell("busway sub t --from earliest");
  spec.out = out;
  spec.err = daemon.directory() / "complaint";
  Process subscriber(spec);
  daemon.ok({"pub", "t"}, "first\n");
  ASSERT_TRUE(eventually([&] { return read_file(out) == "first\n"; }));
  EXPECT_EQ(read_file(spec.err), "");
  ASSERT_EQ(daemon.stop(), 0) << daemon.words();
  EXPECT_TRUE(
      eventually([&] { return read_file(spec.err).ends_with("is gone; waiting until it is back\n"); }));
  daemon.start();
  daemon.ok({"pub", "t"}, "second\n");
  EXPECT_TRUE(eventually([&] { return read_file(out) == "first\nsecond\n"; }));
  EXPECT_TRUE(eventually([&] { return read_file(spec.err).ends_with("the daemon is back\n"); }));
}

TEST(NoDaemon, IsToldWithTheSocketAndWhatToDo) {
  const TempDir directory;
  const std::string socket = directory / "busway.sock";
  for (const Words& command : {Words{"topic", "list"}, {"pub", "t"}, {"sub", "t"}, {"stats"}}) {
    ProcessSpec spec;
    spec.command = {busway_program(), "--socket", socket};
    spec.command.insert(spec.command.end(), command.begin(), command.end());
    const Ran ran = run_program(directory, spec, {}, 10s);
    EXPECT_EQ(ran.status, 1);
    expect_parts(ran.err, {"busway: ", socket, "buswayd"});
  }
}

TEST(NoDaemon, TheDoctorStillLooksAtTheMachine) {
  const TempDir directory;
  ProcessSpec spec;
  spec.command = {busway_program(), "--socket", directory / "busway.sock", "doctor"};
  const Ran ran = run_program(directory, spec);
  EXPECT_EQ(ran.status, 1) << "without a daemon nothing can be published";
  expect_parts(ran.out, {"kernel", "memfd", "io_uring", "fail  socket", "start the daemon"});
}

}  // namespace
}  // namespace busway::test
