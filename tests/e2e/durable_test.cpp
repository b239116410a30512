// `busway pub --durable` is done only after fdatasync was: shown by the system calls themselves. strace
// traces the worker and holds up the end of every fdatasync for a long time.
#include <csignal>
#include <sstream>

#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/support/private_daemon.hpp"

namespace busway::test {
namespace {

constexpr auto kHeldUp = 2500ms;

class DurablePub : public ::testing::Test {
 protected:
  DurablePub() : trace(daemon.directory() / "trace") { daemon.ok({"topic", "create", "t"}); }

  /// False: this machine does not let us trace.
  bool trace_worker() {
    ProcessSpec spec;
    spec.command = {"strace",
                    "-f",
                    "-y",
                    "-ttt",
                    "-T",
                    "-o",
                    trace,
                    "-p",
                    std::to_string(daemon.worker()),
                    "-e",
                    "trace=fdatasync,pwrite64,pwritev,pwritev2,write,writev",
                    "-e",
                    "inject=fdatasync:delay_exit=2500000"};
    spec.err = daemon.directory() / "strace.err";
    strace.emplace(spec);
    eventually(
        [&] { return !strace->running() || read_file(spec.err).find("attached") != std::string::npos; });
    return strace->running();
  }
  std::chrono::milliseconds time_of(const Words& command) {
    const auto started = std::chrono::steady_clock::now();
    daemon.ok(command, "a durable record\n");
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - started);
  }
  /// Calls of the trace that touch the topic's segment, in order of their start: "pwritev2", "fdatasync", ...
  std::vector<std::string> calls_on_segment() const {
    std::vector<std::string> calls;
    std::istringstream lines(read_file(trace));
    for (std::string line; std::getline(lines, line);) {
      const auto paren = line.find('(');
      if (paren == std::string::npos || line.find("/t-0/00000000000000000000.log>") == std::string::npos)
        continue;
      calls.push_back(line.substr(line.rfind(' ', paren) + 1, paren - line.rfind(' ', paren) - 1));
    }
    return calls;
  }

  PrivateDaemon daemon{{"disk.backend=threads"}};
  std::filesystem::path trace;
  std::optional<Process> strace;
};

TEST_F(DurablePub, ReturnsAfterTheSyncAndAPlainOneBefore) {
  if (!have_program("strace")) GTEST_SKIP() << "strace is not installed";
  daemon.ok({"pub", "t", "--durable"}, "the segment exists\n");
  if (!trace_worker())
    GTEST_SKIP() << "strace may not attach here: " << read_file(daemon.directory() / "strace.err");

  EXPECT_LT(time_of({"pub", "t"}), kHeldUp) << "a plain publish waits for no sync";
  EXPECT_GE(time_of({"pub", "t", "--durable"}), kHeldUp) << "acknowledged before the sync was done";

  strace->signal(SIGINT);
  strace->wait();
  const auto calls = calls_on_segment();
  const auto written =
      std::find_if(calls.begin(), calls.end(), [](const auto& call) { return call != "fdatasync"; });
  ASSERT_NE(written, calls.end()) << "no write to the segment was traced:\n" << read_file(trace);
  EXPECT_NE(std::find(written, calls.end(), "fdatasync"), calls.end()) << "no sync after it:\n"
                                                                       << read_file(trace);
  EXPECT_EQ(daemon.ok({"sub", "t", "-e", "-f", "%o "}), "0 1 2 ");
  daemon.finish();
}

}  // namespace
}  // namespace busway::test
