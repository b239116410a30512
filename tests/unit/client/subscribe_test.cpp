// Subscribing through a real daemon: where to start, what is delivered, in place, what waits.
#include <algorithm>
#include <array>
#include <memory>
#include <optional>

#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bus/client/bus_core.hpp"
#include "bus/client/topic_link.hpp"
#include "daemon/server.hpp"
#include "tests/unit/client/client_fixture.hpp"

namespace busway::client::test {
namespace {

using Subscribing = ClientTest;

TEST_F(Subscribing, StartsWhereItIsToldTo) {
  bus_.create_topic("t");
  auto publisher = bus_.publisher("t");
  for (int i = 0; i < 10; ++i) publisher.publish({.value = std::to_string(i), .timestamp_ms = 1000 + i * 10});
  auto from_start = bus_.subscriber("t", {.from = earliest});
  auto from_end = bus_.subscriber("t");
  auto from_offset = bus_.subscriber("t", {.from = at_offset(7)});
  auto from_time = bus_.subscriber("t", {.from = at_time(1041)});
  auto from_future = bus_.subscriber("t", {.from = at_time(5000)});
  EXPECT_EQ(from_end.position(0), 10);
  EXPECT_EQ(from_time.position(0), 5);
  EXPECT_EQ(from_future.position(0), 10);
  publisher.publish({.value = "10"});
  EXPECT_EQ(read_all(from_start), numbers(0, 11));
  EXPECT_EQ(read_all(from_end), "10");
  EXPECT_EQ(read_all(from_offset), numbers(7, 11));
  EXPECT_EQ(read_all(from_time), numbers(5, 11));
  EXPECT_EQ(error_of([&] { bus_.subscriber("t", {.from = at_offset(-1)}); }), errc::offset_out_of_range);
}

TEST_F(Subscribing, FindsATimeInAMemoryTopic) {
  bus_.create_topic("t", {.partitions = 1, .config = memory_topic("drop-oldest")});
  auto publisher = bus_.publisher("t");
  for (int i = 0; i < 10; ++i) publisher.publish({.value = std::to_string(i), .timestamp_ms = 1000 + i * 10});
  auto subscriber = bus_.subscriber("t", {.from = at_time(1041)});
  EXPECT_EQ(read_all(subscriber), numbers(5, 10));
}

TEST_F(Subscribing, SeeksAndTellsWhereItStands) {
  bus_.create_topic("t", {.partitions = 2});
  auto publisher = bus_.publisher("t");
  for (int i = 0; i < 10; ++i) publisher.publish({.value = std::to_string(i), .partition = 1});
  auto subscriber = bus_.subscriber("t", {.from = earliest, .partitions = {1}});
  EXPECT_EQ(subscriber.partitions(), std::vector<std::int32_t>{1});
  EXPECT_EQ(read_all(subscriber), numbers(0, 10));
  EXPECT_EQ(subscriber.position(1), 10);
  EXPECT_EQ(subscriber.end_offset(1), 10);
  subscriber.seek(1, at_offset(8));
  EXPECT_EQ(read_all(subscriber), "8 9");
  subscriber.seek(1, earliest);
  EXPECT_EQ(subscriber.position(1), 0);
  EXPECT_EQ(error_of([&] { subscriber.position(0); }), errc::invalid_partition);
  EXPECT_EQ(error_of([&] { bus_.subscriber("t", {.partitions = {2}}); }), errc::invalid_partition);
}

TEST_F(Subscribing, TakesTurnsAmongPartitions) {
  bus_.create_topic("t", {.partitions = 3});
  auto publisher = bus_.publisher("t");
  for (std::int32_t i = 0; i < 3000; ++i) publisher.publish({.value = "v", .partition = i % 3});
  auto subscriber = bus_.subscriber("t", {.from = earliest, .max_poll_records = 100});
  std::vector<int> seen(3);
  for (int poll = 0; poll < 6; ++poll) {
    const auto records = subscriber.poll(5s);
    EXPECT_LE(records.size(), 100u);
    for (const Record& record : records) ++seen[static_cast<std::size_t>(record.partition())];
  }
  for (const int count : seen) EXPECT_GT(count, 0);
}

TEST_F(Subscribing, WaitsForRecordsAndForItsTimeout) {
  bus_.create_topic("t");
  auto subscriber = bus_.subscriber("t", {.from = earliest});
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(subscriber.poll(60ms).empty());
  EXPECT_GE(std::chrono::steady_clock::now() - start, 55ms);
  EXPECT_TRUE(subscriber.poll(0ms).empty());
  const auto nothing = subscriber.try_poll();
  ASSERT_TRUE(nothing);
  EXPECT_TRUE(nothing->empty());
  std::thread publishing([&] {
    auto publisher = bus_.publisher("t");
    std::this_thread::sleep_for(100ms);  // so that the subscriber sleeps by then
    publisher.publish({.value = "v"});
  });
  EXPECT_EQ(subscriber.poll(60s).size(), 1u);
  publishing.join();
}

TEST_F(Subscribing, SpinsNoLongerThanItIsAllowedTo) {
  bus_.create_topic("t");
  const auto cpu_ms_of_waiting = [&](std::chrono::microseconds spin) {
    auto subscriber = bus_.subscriber("t", {.spin = spin});
    const auto cpu_ms = [] {
      timespec used{};
      ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
      return used.tv_sec * 1000 + used.tv_nsec / 1'000'000;
    };
    const auto before = cpu_ms();
    EXPECT_TRUE(subscriber.poll(400ms).empty());
    return cpu_ms() - before;
  };
  EXPECT_LT(cpu_ms_of_waiting(0us), 40) << "it sleeps";
  EXPECT_LT(cpu_ms_of_waiting(1ms), 40) << "it spins for a moment, then sleeps";
  EXPECT_GT(cpu_ms_of_waiting(1h), 20) << "it never sleeps; how much it gets is for others to say";
}

/// Takes the daemon's place at its socket and hangs up on everybody.
class NobodyHome {
 public:
  explicit NobodyHome(const std::string& path) : listener_(daemon::listen_on(path, 0600)) {}
  NobodyHome(const NobodyHome&) = delete;
  NobodyHome& operator=(const NobodyHome&) = delete;
  ~NobodyHome() {
    done_ = true;
    thread_.join();
  }
  int callers() const { return callers_; }

 private:
  void hang_up() {
    while (!done_) {
      pollfd watched{listener_.get(), POLLIN, 0};
      if (::poll(&watched, 1, 10) != 1) continue;
      if (const Fd caller(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)); caller) ++callers_;
    }
  }
  Fd listener_;
  std::atomic<int> callers_{0};
  std::atomic<bool> done_{false};
  std::thread thread_{[this] { hang_up(); }};
};

TEST_F(Subscribing, AsksSeldomForADaemonThatIsGone) {
  bus_.create_topic("t");
  auto subscriber = bus_.subscriber("t");
  const std::string socket = daemon_.socket();
  daemon_.stop();
  EXPECT_TRUE(subscriber.poll(300ms).empty());
  EXPECT_FALSE(bus_.connected());
  const NobodyHome nobody(socket);
  EXPECT_TRUE(subscriber.poll(1s).empty());
  EXPECT_LE(nobody.callers(), 40) << "ten a second, and a busy machine may take longer than a second";
  EXPECT_GE(nobody.callers(), 1);
}

TEST_F(Subscribing, SeesDurableRecordsOnlyIfAskedTo) {
  bus_.create_topic("t", {.partitions = 1, .config = {{"flush.ms", "600000"}}});
  auto publisher = bus_.publisher("t");
  auto subscriber = bus_.subscriber("t", {.from = earliest, .durable_only = true});
  publisher.publish({.value = "0"});
  EXPECT_EQ(read_all(subscriber), "");
  publisher.publish({.value = "1"}, durable);
  EXPECT_EQ(read_all(subscriber), "0 1");
}

TEST_F(Subscribing, FallsBehindAndCatchesUp) {
  bus_.create_topic("t");
  auto publisher = bus_.publisher("t");
  auto subscriber = bus_.subscriber("t", {.from = earliest});
  publish_numbers(publisher, 0, 10);
  EXPECT_EQ(read_all(subscriber), numbers(0, 10));
  publish_numbers(publisher, 10, 100'000);
  const auto values = read(subscriber, 99'990);
  ASSERT_EQ(values.size(), 99'990u);
  for (std::size_t i = 0; i < values.size(); ++i) ASSERT_EQ(values[i], std::to_string(i + 10));
  publish_numbers(publisher, 0, 3);
  EXPECT_EQ(read_all(subscriber), "0 1 2");
  EXPECT_GT(subscriber.counters().from_log, 0u);
  EXPECT_EQ(subscriber.counters().delivered, 100'003u);
  EXPECT_EQ(subscriber.counters().lost + subscriber.counters().skipped, 0u);
}

TEST_F(Subscribing, ReadsWhatWasThereBeforeAnybodyAttached) {
  bus_.create_topic("t");
  {
    auto publisher = bus_.publisher("t");
    publish_numbers(publisher, 0, 5000);
  }
  auto subscriber = bus_.subscriber("t", {.from = earliest});
  EXPECT_EQ(read(subscriber, 5000).size(), 5000u);
}

TEST_F(Subscribing, ReadsWhatIsLeftOfADeletedTopicThenSaysSo) {
  bus_.create_topic("t");
  auto publisher = bus_.publisher("t");
  auto subscriber = bus_.subscriber("t", {.from = earliest});
  publisher.publish({.value = "0"});
  bus_.delete_topic("t");
  EXPECT_EQ(subscriber.poll(5s).size(), 1u);
  EXPECT_EQ(error_of([&] { subscriber.poll(5s); }), errc::topic_deleted);
  EXPECT_EQ(subscriber.try_poll().error(), errc::topic_deleted);
}

TEST_F(Subscribing, PollsEmptyWhileTheDaemonIsStopped) {
  bus_.create_topic("t");
  auto publisher = bus_.publisher("t");
  auto subscriber = bus_.subscriber("t", {.from = earliest});
  publisher.publish({.value = "0"});
  daemon_.stop();
  EXPECT_EQ(read_all(subscriber), "0");
  EXPECT_TRUE(subscriber.poll(100ms).empty());
}

TEST_F(Subscribing, ManyThreadsOfOneSession) {
  bus_.create_topic("t", {.partitions = 2});
  constexpr int kThreads = 6;
  std::vector<std::thread> threads;
  std::vector<std::size_t> seen(kThreads);
  std::atomic<int> standing = 0;
  for (std::size_t i = 0; i < kThreads; ++i)
    threads.emplace_back([&, i] {
      auto subscriber = bus_.subscriber("t", {.from = earliest});
      ++standing;
      seen[i] = read(subscriber, 2000).size();
    });
  while (standing < kThreads) std::this_thread::sleep_for(1ms);
  auto publisher = bus_.publisher("t");
  for (std::int32_t i = 0; i < 2000; ++i) {
    publisher.publish({.value = "v", .partition = i % 2});
    if (i % 100 == 0) std::this_thread::sleep_for(2ms);  // so that they go to sleep now and then
  }
  for (auto& thread : threads) thread.join();
  for (const std::size_t count : seen) EXPECT_EQ(count, 2000u);
}

TEST_F(Subscribing, IsNotForAForkedChild) {
  bus_.create_topic("t");
  auto publisher = bus_.publisher("t");
  auto subscriber = bus_.subscriber("t", {.from = earliest});
  const pid_t child = ::fork();
  if (child == 0) {
    const bool refused = error_of([&] { publisher.publish({.value = "v"}); }) == errc::forked &&
                         error_of([&] { subscriber.poll(0ms); }) == errc::forked &&
                         error_of([&] { bus_.topics(); }) == errc::forked;
    ::_exit(refused ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  publisher.publish({.value = "v"});
  EXPECT_EQ(read_all(subscriber), "v");
}

// ---- in place

using InPlace = ClientTest;

TEST_F(InPlace, ShowsRecordsWhereTheyLie) {
  bus_.create_topic("t", {.partitions = 2});
  auto publisher = bus_.publisher("t");
  auto subscriber = bus_.subscriber("t", {.from = earliest});
  for (std::int32_t i = 0; i < 10; ++i)
    publisher.publish({.key = "k", .value = std::to_string(i), .partition = i % 2});
  std::vector<std::string> seen;
  for (int poll = 0; poll < 20 && seen.size() < 10; ++poll) {
    const auto shown = subscriber.poll_in_place(1s, [&](const Record& record) {
      EXPECT_TRUE(subscriber.lease_valid());
      EXPECT_EQ(record.key().text(), "k");
      seen.emplace_back(record.value().text());
    });
    EXPECT_TRUE(shown.valid);
  }
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(seen.size(), 10u);
  EXPECT_EQ(seen.front(), "0");
  EXPECT_EQ(subscriber.poll_in_place(10ms, [](const Record&) {}).records, 0u);
}

TEST_F(InPlace, GivesBackWhatACallbackThatThrewDidNotSee) {
  bus_.create_topic("t");
  auto publisher = bus_.publisher("t");
  publish_numbers(publisher, 0, 20'000);  // some from the log
  auto subscriber = bus_.subscriber("t", {.from = earliest});
  Offset next = 0;
  const auto until = std::chrono::steady_clock::now() + 60s;
  while (next < 20'000 && std::chrono::steady_clock::now() < until) {
    try {
      subscriber.poll_in_place(1s, [&](const Record& record) {
        ASSERT_EQ(record.offset(), next);
        if (++next % 777 == 0) throw std::runtime_error("enough");
      });
    } catch (const std::runtime_error&) {
      EXPECT_EQ(subscriber.position(0), next);
    }
  }
  EXPECT_EQ(next, 20'000);
  EXPECT_EQ(subscriber.counters().delivered, 20'000u);
}

TEST_F(InPlace, ASeekWithinACallbackTakesEffectWithTheNextPoll) {
  bus_.create_topic("t");
  auto publisher = bus_.publisher("t");
  publish_numbers(publisher, 0, 10);
  auto subscriber = bus_.subscriber("t", {.from = earliest});
  std::vector<Offset> seen;
  const auto shown = subscriber.poll_in_place(1s, [&](const Record& record) {
    seen.push_back(record.offset());
    if (record.offset() == 5) subscriber.seek(0, at_offset(2));
  });
  EXPECT_EQ(seen, (std::vector<Offset>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(shown.records, 6u);
  EXPECT_TRUE(shown.valid);
  EXPECT_EQ(subscriber.position(0), 2);
  EXPECT_EQ(read_all(subscriber), numbers(2, 10));
}

TEST_F(InPlace, HoldsPublishersOffWhatItLooksAt) {
  bus_.create_topic("t", {.partitions = 1, .config = memory_topic("drop-oldest")});
  auto publisher = bus_.publisher("t", {.max_block = 60s});
  auto subscriber = bus_.subscriber("t", {.from = earliest});
  publisher.publish({.value = "untouched"});
  const auto shown = subscriber.poll_in_place(5s, [&](const Record& record) {
    const std::string before(record.value().text());
    // Far more than its lane holds: it has to take others, or wait.
    const std::string filler(1000, 'x');
    for (int i = 0; i < 5000; ++i) publisher.publish({.value = filler});
    EXPECT_EQ(record.value().text(), before);
    EXPECT_TRUE(subscriber.lease_valid());
  });
  EXPECT_EQ(shown.records, 1u);
  EXPECT_TRUE(shown.valid);
}

TEST_F(InPlace, LosesALeaseThatIsHeldTooLong) {
  Settings settings = memory_topic("drop-oldest");
  settings["lease.timeout.ms"] = "50";
  bus_.create_topic("t", {.partitions = 1, .config = settings});
  auto subscriber = bus_.subscriber("t", {.from = earliest});
  bus_.publisher("t").publish({.value = "0"});
  bool valid = true;
  const auto shown = subscriber.poll_in_place(5s, [&](const Record&) {
    auto publisher = bus_.publisher("t");
    const std::string filler(1000, 'x');
    const auto until = std::chrono::steady_clock::now() + 20s;
    while (subscriber.lease_valid() && std::chrono::steady_clock::now() < until)
      publisher.publish({.value = filler});
    valid = subscriber.lease_valid();
  });
  EXPECT_FALSE(valid);
  EXPECT_FALSE(shown.valid);
}

TEST_F(Subscribing, TheDaemonSaysHowManySleepersAndLeasesThereCanBe) {
  bus_.create_topic("t", {.config = memory_topic("block")});
  std::vector<std::shared_ptr<BusCore>> clients;
  std::vector<std::shared_ptr<Use>> uses;
  const auto attach = [&](control::Role role) -> const memory::MarksHeader& {
    clients.push_back(BusCore::connect({.socket = daemon_.socket()}));
    uses.push_back(clients.back()->attach("t", role, clients.back()->usual_deadline()));
    return uses.back()->link().marks();
  };
  const memory::MarksHeader& marks = attach(control::Role::subscriber);
  EXPECT_EQ(marks.sleeper_words.load(), 1U);
  EXPECT_EQ(marks.lease_cells.load(), 1U);
  for (int others = 0; others < 64; ++others) attach(control::Role::publisher);
  EXPECT_EQ(marks.sleeper_words.load(), 2U) << "the 65th process has a bit in the second word";
  EXPECT_EQ(marks.lease_cells.load(), 1U) << "publishers have no leases";
  attach(control::Role::subscriber);
  EXPECT_EQ(marks.lease_cells.load(), 2U);
}

/// Whatever its shape, a record comes out as it went in, from one lane or from several.
TEST_F(Subscribing, ReadsRecordsOfEveryShapeInTurn) {
  bus_.create_topic("t", {.config = memory_topic("block")});
  Publisher one = bus_.publisher("t");
  Publisher other = bus_.publisher("t");
  Subscriber subscriber = bus_.subscriber("t");
  const std::vector<std::size_t> lengths{0, 1, 3, 4, 7, 8, 15, 16, 17, 64, 96, 97, 127, 128, 129, 300};
  struct Sent {
    std::optional<std::string> key;
    std::optional<std::string> value;
    bool header;
  };
  std::vector<Sent> sent;
  for (const std::size_t key : lengths)
    for (const std::size_t value : lengths)
      sent.push_back({key == 1 ? std::nullopt : std::optional(std::string(key, 'k')),
                      value == 3 ? std::nullopt : std::optional(std::string(value, 'v')), value % 5 == 2});
  for (std::size_t i = 0; i < sent.size(); ++i) {
    NewRecord record{.timestamp_ms = static_cast<std::int64_t>(i)};
    record.key = sent[i].key ? BytesView(*sent[i].key) : BytesView();
    record.value = sent[i].value ? BytesView(*sent[i].value) : BytesView();
    const std::array headers{Header{.name = "n", .value = "h"}};
    if (sent[i].header) record.headers = std::span<const Header>(headers);
    (i % 7 < 5 ? one : other).publish(record);
  }
  std::size_t seen = 0;
  while (seen < sent.size()) {
    const auto records = subscriber.poll(10s);
    ASSERT_FALSE(records.empty());
    for (const Record& record : records) {
      const Sent& wanted = sent[seen];
      ASSERT_EQ(record.offset(), static_cast<Offset>(seen));
      EXPECT_EQ(record.timestamp_ms(), static_cast<std::int64_t>(seen));
      EXPECT_EQ(record.key().is_null(), !wanted.key);
      EXPECT_EQ(record.key().text(), wanted.key.value_or(""));
      EXPECT_EQ(record.value().is_null(), !wanted.value);
      EXPECT_EQ(record.value().text(), wanted.value.value_or(""));
      EXPECT_EQ(record.headers().size(), wanted.header ? 1U : 0U);
      ++seen;
    }
  }
}

}  // namespace
}  // namespace busway::client::test
