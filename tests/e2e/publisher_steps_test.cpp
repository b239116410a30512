// A publisher dies at every instruction of a publish: single-stepped by ptrace(2) and killed. Its record is
// published or not, never half, and whoever publishes and reads beside it notices nothing.
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <busway/busway.hpp>

#include "tests/support/load_files.hpp"
#include "tests/support/private_daemon.hpp"
#include "tests/support/step_killer.hpp"

namespace busway::test {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr int kStride = 211;  // a sanitizer's instructions are many, most of them its own
#else
constexpr int kStride = 1;
#endif

/// A process that has published once and is about to publish again.
class Candidate {
 public:
  Candidate(const std::string& socket, const std::string& value) : pid_(::fork()) {
    if (pid_ == 0) live(socket, value);
    wait();
    EXPECT_TRUE(WIFSTOPPED(status_)) << "it did not get to its publish";
  }
  Candidate(const Candidate&) = delete;
  Candidate& operator=(const Candidate&) = delete;
  ~Candidate() {
    if (!WIFSTOPPED(status_)) return;
    ::kill(pid_, SIGKILL);
    wait();
  }

  /// Lets it execute so many instructions. False: it had published before.
  bool step(int instructions) {
    for (int i = 0; i < instructions; ++i) {
      ::ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr);
      wait();
      if (!WIFSTOPPED(status_) || WSTOPSIG(status_) != SIGTRAP) return false;  // its second SIGSTOP
    }
    return true;
  }

 private:
  void wait() { ::waitpid(pid_, &status_, 0); }

  [[noreturn]] static void live(const std::string& socket, const std::string& value) noexcept {
    ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    Bus bus = connect({.socket = socket});
    Publisher publisher = bus.publisher("t");
    publisher.publish({.value = "warm"});
    ::raise(SIGSTOP);
    publisher.publish({.value = value});
    ::raise(SIGSTOP);
    ::_exit(0);
  }

  pid_t pid_;
  int status_ = 0;
};

class PublisherSteps : public ::testing::Test {
 protected:
  PublisherSteps() : bus(connect({.socket = daemon.socket()})) {
    bus.create_topic("t");
    publisher.emplace(bus.publisher("t"));
    subscriber.emplace(bus.subscriber("t", {.from = earliest}));
  }

  /// What the subscriber sees up to and with `last`.
  std::vector<std::string> seen_up_to(const std::string& last) {
    std::vector<std::string> values;
    while (values.empty() || values.back() != last) {
      const auto records = subscriber->poll(10s);
      if (records.empty()) return values;
      for (const Record& record : records) values.emplace_back(record.value().text());
    }
    return values;
  }

  PrivateDaemon daemon;
  Bus bus;
  std::optional<Publisher> publisher;
  std::optional<Subscriber> subscriber;
};

TEST_F(PublisherSteps, ARecordIsPublishedWholeOrNotAtAll) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "SKIPPED: under the thread sanitizer a publish is too many instructions to step through";
#endif
  if (!can_trace()) GTEST_SKIP() << "SKIPPED: processes may not be traced here (ptrace)";
  using Values = std::vector<std::string>;
  int published = 0;
  int instructions = 0;
  for (bool dies = true; dies && !HasFailure(); instructions += kStride) {
    SCOPED_TRACE("instruction " + std::to_string(instructions));
    const std::string value = "of the one that dies at instruction " + std::to_string(instructions);
    {
      Candidate candidate(daemon.socket(), value);
      dies = candidate.step(instructions);
    }
    publisher->publish({.value = "next"});
    const Values seen = seen_up_to("next");
    if (seen == Values{"warm", value, "next"})
      ++published;
    else
      EXPECT_EQ(seen, (Values{"warm", "next"}));
  }
  std::cout << instructions << " instructions, published by " << published << " of those who died\n";
  EXPECT_GT(published, 0);
  EXPECT_GT(instructions / kStride, published + 1) << "some must have died before it";
  EXPECT_EQ(subscriber->counters().lost + subscriber->counters().corrupt + subscriber->counters().skipped,
            0u);
  EXPECT_NE(daemon.ok({"log", "verify", daemon.data()}).find("no defect"), std::string::npos);
  daemon.finish();
}

}  // namespace
}  // namespace busway::test
