// What a publish with nobody asleep executes: one locked instruction for each record, and no syscall.
// Counted, not timed.
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <busway/busway.hpp>
#include <busway/embedded.hpp>

#include "tests/unit/publish_path/instruction_counter.hpp"

namespace busway {
namespace {

using test::begin_counting;
using test::count_in_child;
using test::end_counting;
using test::Executed;

TEST(InstructionCounter, KnowsLockedInstructionsAndSyscalls) {
  const auto locked = [](std::vector<unsigned char> code) {
    return code.resize(16), test::is_locked(code.data());
  };
  const auto syscall = [](std::vector<unsigned char> code) {
    return code.resize(16), test::is_syscall(code.data());
  };
  EXPECT_TRUE(locked({0xF0, 0x48, 0x0F, 0xB1, 0x0A})) << "lock cmpxchg [rdx], rcx";
  EXPECT_TRUE(locked({0x66, 0xF0, 0x0F, 0xC1, 0x02})) << "lock xadd [rdx], ax";
  EXPECT_TRUE(locked({0x48, 0x87, 0x02})) << "xchg [rdx], rax";
  EXPECT_FALSE(locked({0x48, 0x87, 0xC2})) << "xchg rdx, rax";
  EXPECT_FALSE(locked({0x48, 0x89, 0xF0})) << "mov rax, rsi";
  EXPECT_TRUE(syscall({0x0F, 0x05}));
  std::vector<unsigned char> prefetch{0x0F, 0x18, 0x08};  // prefetcht0 [rax]
  prefetch.resize(16);
  EXPECT_TRUE(test::is_prefetch(prefetch.data()));
  EXPECT_FALSE(syscall({0x0F, 0xB1, 0x0A}));
}

TEST(InstructionCounter, CountsWhatAChildExecutes) {
  const Executed executed = count_in_child([] {
    std::atomic<int> word{0};
    begin_counting();
    word.fetch_add(1);
    word.exchange(7);
    static_cast<void>(::getppid());
    end_counting();
  });
  EXPECT_EQ(executed.locked, 2U);
  EXPECT_EQ(executed.syscalls, 1U);
  EXPECT_GE(executed.instructions, 5U);
}

/// The child is forked before the daemon has threads, and is told where it listens.
class PublishPath : public ::testing::Test {
 protected:
  PublishPath() {
    char path[] = "/tmp/busway-publish-path-XXXXXX";
    directory_ = ::mkdtemp(path);
    if (::pipe(listening_) != 0) throw std::runtime_error("pipe");
  }
  ~PublishPath() override {
    ::close(listening_[0]);
    ::close(listening_[1]);
    std::system(("rm -rf " + directory_).c_str());
  }

  /// What `publish(publisher)` executes in a process that has published before. Once in 100 ms a publisher
  /// looks after its connection; under ptrace that may fall into what is counted, but not every time.
  template <class Publish>
  Executed executed_by(Publish publish) {
    const auto life = [publish](Bus& bus) {
      Publisher publisher = bus.publisher("t");
      for (int i = 0; i < 3; ++i) publish(publisher);
      begin_counting();
      publish(publisher);
      end_counting();
    };
    Executed executed = counted_once(life);
    for (int again = 0; again < 4 && executed.syscalls != 0; ++again) executed = counted_once(life);
    return executed;
  }

  /// What a process executes that is connected to a daemon with a topic "t", between its marks.
  template <class Life>
  Executed counted_once(Life life) {
    const auto child = [this, life] {
      Bus bus = connect({.socket = await_socket()});
      life(bus);
    };
    done_ = false;
    std::thread daemon;
    Executed executed;
    std::string failed;
    try {
      executed = count_in_child(child, [&] { daemon = std::thread([this] { serve(); }); });
    } catch (const std::exception& error) {
      failed = error.what();
    }
    done_ = true;
    if (daemon.joinable()) daemon.join();
    EXPECT_EQ(failed, "");
    return executed;
  }

 private:
  void serve() {
    EmbeddedDaemon daemon(directory_ + "/data" + std::to_string(++counts_));
    daemon.connect().create_topic("t", {.partitions = 1, .config = {{"storage", "memory"}}});
    const std::string socket = daemon.socket() + '\n';
    EXPECT_EQ(::write(listening_[1], socket.data(), socket.size()), static_cast<ssize_t>(socket.size()));
    while (!done_) ::usleep(1000);  // it serves until the child has been counted
  }
  std::string await_socket() const {
    std::string socket;
    for (char byte = 0; ::read(listening_[0], &byte, 1) == 1 && byte != '\n';) socket += byte;
    return socket;
  }

  std::string directory_;
  int listening_[2]{};
  std::atomic<bool> done_{false};
  int counts_ = 0;
};

const std::string kValue(64, 'x');

TEST_F(PublishPath, APublishIsOneLockedInstructionAndNoSyscall) {
  const Executed executed =
      executed_by([](Publisher& to) { to.publish({.value = kValue, .timestamp_ms = 1}); });
  EXPECT_EQ(executed.locked, 1U);
  EXPECT_EQ(executed.syscalls, 0U);
  RecordProperty("instructions", static_cast<int>(executed.instructions));
}

TEST_F(PublishPath, StampingTheTimeAddsNeitherLockNorSyscall) {
  const Executed executed = executed_by([](Publisher& to) { to.publish({.value = kValue}); });
  EXPECT_EQ(executed.locked, 1U);
  EXPECT_EQ(executed.syscalls, 0U);
}

TEST_F(PublishPath, KeysAndHeadersAddNeitherLockNorSyscall) {
  const Executed executed = executed_by([](Publisher& to) {
    to.publish({.key = "key", .value = kValue, .headers = {{"trace", "1"}, {"kind", "test"}}});
  });
  EXPECT_EQ(executed.locked, 1U);
  EXPECT_EQ(executed.syscalls, 0U);
}

TEST_F(PublishPath, ABatchIsOneLockedInstructionForEachRecord) {
  const std::vector<NewRecord> records(16, NewRecord{.value = kValue});
  const Executed executed = executed_by([&](Publisher& to) { to.publish_batch(records); });
  EXPECT_EQ(executed.locked, records.size());
  EXPECT_EQ(executed.syscalls, 0U);
}

/// GCC 12 drops calls of a function that does nothing but prefetch.
TEST_F(PublishPath, AReaderOfAStreamAsksForWhatLiesAhead) {
  constexpr int kRecords = 100;
  const Executed executed = counted_once([](Bus& bus) {
    Publisher publisher = bus.publisher("t");
    Subscriber subscriber = bus.subscriber("t", {.from = earliest});
    const std::vector<NewRecord> records(kRecords, NewRecord{.value = kValue});
    for (int i = 0; i < 3; ++i) {
      publisher.publish_batch(records);
      while (!subscriber.poll({}).empty()) continue;
    }
    publisher.publish_batch(records);
    begin_counting();
    static_cast<void>(subscriber.poll({}));
    end_counting();
  });
  EXPECT_GE(executed.prefetches, kRecords / 2U);
  EXPECT_EQ(executed.syscalls, 0U);
}

TEST_F(PublishPath, ALoanIsOneLockedInstructionAndNoSyscall) {
  const Executed executed = executed_by([](Publisher& to) {
    Loan loan = to.loan(kValue.size());
    loan.publish();
  });
  EXPECT_EQ(executed.locked, 1U);
  EXPECT_EQ(executed.syscalls, 0U);
}

}  // namespace
}  // namespace busway
