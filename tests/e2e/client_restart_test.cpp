// Publishers and subscribers that outlive their daemon: the same objects go on when it is back.
#include <atomic>
#include <csignal>
#include <cstring>
#include <future>
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include <busway/busway.hpp>

#include "tests/support/private_daemon.hpp"

namespace busway::test {
namespace {

class ClientRestart : public ::testing::Test {
 protected:
  Bus connect() const {
    ConnectOptions options;
    options.socket = daemon_.socket();
    return busway::connect(options);
  }
  void stop_and_start() {
    ASSERT_EQ(daemon_.stop(), 0);
    daemon_.start();
  }
  void kill_worker_and_wait() {
    daemon_.kill_worker();
    ASSERT_TRUE(daemon_.serves());
  }
  /// Values read until `count` of them are there.
  static std::vector<std::string> read(Subscriber& subscriber, std::size_t count) {
    std::vector<std::string> values;
    const auto until = std::chrono::steady_clock::now() + 60s;
    while (values.size() < count && std::chrono::steady_clock::now() < until)
      for (const Record& record : subscriber.poll(500ms)) values.emplace_back(record.value().text());
    return values;
  }
  static std::vector<std::string> numbers(int from, int end) {
    std::vector<std::string> values;
    for (int i = from; i < end; ++i) values.push_back(std::to_string(i));
    return values;
  }
  static void publish(Publisher& publisher, int from, int end) {
    for (int i = from; i < end; ++i) publisher.publish({.value = std::to_string(i)});
  }

  PrivateDaemon daemon_;
};

TEST_F(ClientRestart, APublisherAndASubscriberGoOnAfterACleanStop) {
  Bus bus = connect();
  bus.create_topic("t");
  auto publisher = bus.publisher("t");
  auto subscriber = bus.subscriber("t", {.from = earliest});
  publish(publisher, 0, 100);
  EXPECT_EQ(read(subscriber, 100), numbers(0, 100));
  stop_and_start();
  publish(publisher, 100, 200);
  EXPECT_EQ(read(subscriber, 100), numbers(100, 200));
  EXPECT_EQ(subscriber.counters().lost + subscriber.counters().skipped, 0u);
}

TEST_F(ClientRestart, APublisherWaitsOutAStop) {
  Bus bus = connect();
  bus.create_topic("t");
  auto publisher = bus.publisher("t");
  auto subscriber = bus.subscriber("t", {.from = earliest});
  std::atomic<bool> end = false;
  int published = 0;
  std::thread publishing([&] {
    for (; !end; ++published) publisher.publish({.value = std::to_string(published)});
  });
  for (int round = 0; round < 3; ++round) {
    std::this_thread::sleep_for(100ms);  // under load for a while, before, between and after the stops
    stop_and_start();
  }
  std::this_thread::sleep_for(100ms);  // and after the last
  end = true;
  publishing.join();
  EXPECT_EQ(read(subscriber, static_cast<std::size_t>(published)), numbers(0, published));
}

/// Two topics, so that numbers of the service before mean something else to the next one.
TEST_F(ClientRestart, WhoAttachesMeanwhileAttachesToTheNextInstance) {
  Bus bus = connect();
  bus.create_topic("t");
  bus.create_topic("u");
  std::atomic<bool> end = false;
  const auto come_and_go = [&](const std::string& topic) {
    int rounds = 0;
    while (!end) {
      try {
        auto publisher = bus.publisher(topic);
        auto subscriber = bus.subscriber(topic);
        publisher.publish({.value = topic});
        static_cast<void>(subscriber.poll(1ms));  // its record may have gone with a service
        ++rounds;
      } catch (const Error& error) {
        // A worker without a keeper says that it stops, if it lives long enough.
        if (error.error() != errc::stopped) throw;
      }
    }
    return rounds;
  };
  auto one = std::async(std::launch::async, come_and_go, "t");
  auto other = std::async(std::launch::async, come_and_go, "u");
  for (int restart = 0; restart < 20; ++restart) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10 + restart));  // each at another moment
    daemon_.kill_both();
    daemon_.start();
  }
  end = true;
  EXPECT_GT(one.get(), 20);
  EXPECT_GT(other.get(), 20);
}

TEST_F(ClientRestart, ASubscriberThatSleepsIsThereAgain) {
  Bus bus = connect();
  bus.create_topic("t");
  std::vector<std::string> seen;
  std::thread reading([&] {
    auto subscriber = connect().subscriber("t", {.from = earliest});
    seen = read(subscriber, 2);
  });
  bus.publisher("t").publish({.value = "0"});
  std::this_thread::sleep_for(100ms);  // until the reader has gone to sleep
  stop_and_start();
  bus.publisher("t").publish({.value = "1"});
  reading.join();
  EXPECT_EQ(seen, numbers(0, 2));
}

TEST_F(ClientRestart, ALoanInHandIsPublishedToTheNewInstance) {
  Bus bus = connect();
  bus.create_topic("t");
  auto publisher = bus.publisher("t");
  publisher.publish({.value = "0"});
  auto first = publisher.loan(1, {.key = "k"});
  auto second = publisher.loan(1);
  auto abandoned = publisher.loan(100);
  std::memcpy(first.value().data(), "1", 1);
  stop_and_start();
  std::memcpy(second.value().data(), "2", 1);  // lane memory stays writable
  EXPECT_EQ(first.publish().offset, 1);
  EXPECT_EQ(second.publish().offset, 2);
  publisher.publish({.value = "3"});
  auto subscriber = bus.subscriber("t", {.from = earliest});
  EXPECT_EQ(read(subscriber, 4), numbers(0, 4));
}

TEST_F(ClientRestart, ACallbackGoesOn) {
  Bus bus = connect();
  bus.create_topic("t");
  auto publisher = bus.publisher("t");
  auto subscriber = bus.subscriber("t", {.from = earliest});
  std::atomic<int> seen = 0;
  subscriber.on_record([&](const Record& record) {
    EXPECT_EQ(record.value().text(), std::to_string(seen.load()));
    ++seen;
  });
  publish(publisher, 0, 10);
  stop_and_start();
  publish(publisher, 10, 20);
  kill_worker_and_wait();
  publish(publisher, 20, 30);
  const auto until = std::chrono::steady_clock::now() + 60s;
  while (seen < 30 && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(5ms);
  EXPECT_EQ(seen, 30);
  subscriber.stop();
}

TEST_F(ClientRestart, NothingIsNoticedOfAKilledWorker) {
  Bus bus = connect();
  bus.create_topic("t");
  auto publisher = bus.publisher("t");
  auto subscriber = bus.subscriber("t", {.from = earliest});
  for (int round = 0; round < 5; ++round) {
    publish(publisher, round * 100, round * 100 + 100);
    daemon_.kill_worker();  // and do not wait
    EXPECT_EQ(read(subscriber, 100), numbers(round * 100, round * 100 + 100));
    auto another = bus.subscriber("t", {.from = earliest});  // this needs the next worker
    EXPECT_EQ(read(another, static_cast<std::size_t>(round * 100 + 100)), numbers(0, round * 100 + 100));
  }
  bus.create_topic("u");
  EXPECT_EQ(bus.topics().size(), 2u);
}

TEST_F(ClientRestart, ReceiptsSurviveTheWorker) {
  Bus bus = connect();
  bus.create_topic("t", {.partitions = 1, .config = {{"flush.ms", "600000"}}});
  auto publisher = bus.publisher("t");
  for (int round = 0; round < 5; ++round) {
    const Receipt receipt = publisher.publish_async({.value = "v"});
    daemon_.kill_worker();
    receipt.wait_durable();
    publisher.publish({.value = "v"}, durable);
  }
}

TEST_F(ClientRestart, ReceiptsAnswerForAServiceThatWasStopped) {
  Bus bus = connect();
  bus.create_topic("t", {.partitions = 1, .config = {{"flush.ms", "600000"}}});
  auto publisher = bus.publisher("t");
  const Receipt receipt = publisher.publish_async({.value = "v"});
  stop_and_start();
  receipt.wait_durable();
  EXPECT_TRUE(receipt.is_durable());
}

TEST_F(ClientRestart, AWorkerThatIsStoppedIsNamedWhenThereIsNoMoreRoom) {
  Bus bus = connect();
  bus.create_topic("t");
  auto publisher = bus.publisher("t", {.max_block = 200ms});
  publisher.publish({.value = "v"});
  const pid_t worker = daemon_.worker();
  ASSERT_EQ(::kill(worker, SIGSTOP), 0);
  std::string complaint;
  while (complaint.empty()) {
    try {
      publisher.publish({.value = "v"});
    } catch (const Error& error) {
      complaint = error.sentence();
    }
  }
  ASSERT_EQ(::kill(worker, SIGCONT), 0);
  EXPECT_NE(complaint.find("the daemon has written what is below offset "), std::string::npos) << complaint;
  EXPECT_NE(complaint.find("it is stopped, or its disk is slow"), std::string::npos) << complaint;
}

TEST_F(ClientRestart, RoomThatCameWhileALargerLaneWasAskedForIsTaken) {
  Bus bus = connect();
  bus.create_topic("t", {.config = {{"storage", "memory"}, {"overflow", "block"}}});
  auto subscriber = bus.subscriber("t", {.from = earliest});
  auto publisher = bus.publisher("t", {.max_block = 150ms});
  publisher.publish({.value = "v"});
  EXPECT_EQ(read(subscriber, 1).size(), 1U);
  const pid_t worker = daemon_.worker();
  ASSERT_EQ(::kill(worker, SIGSTOP), 0);
  while (publisher.try_publish({.value = "v"})) continue;
  std::thread reads_on([&] {
    std::this_thread::sleep_for(50ms);  // while the publisher asks, and well before its 150 ms are over
    read(subscriber, 1000);
  });
  // All of its 150 ms pass in asking the stopped daemon for a larger lane; there is room at their end.
  EXPECT_NO_THROW(publisher.publish({.value = "v"}));
  reads_on.join();
  ASSERT_EQ(::kill(worker, SIGCONT), 0);
}

TEST_F(ClientRestart, APublisherThatNeedsNothingOfTheDaemonNoticesThatItCrashed) {
  Bus bus = connect();
  bus.create_topic("t");
  auto publisher = bus.publisher("t");
  // Who stamps his records does not look at the clock for each. A session of its own: nobody notices for it.
  Bus other = connect();
  auto stamping = other.publisher("t");
  publisher.publish({.value = "v"});
  stamping.publish({.value = "v", .timestamp_ms = 1});
  daemon_.kill_both();
  daemon_.start();
  const auto until = std::chrono::steady_clock::now() + 30s;
  Position at;
  Position stamped;
  int published = 0;
  while ((at.epoch == 0 || stamped.epoch == 0) && std::chrono::steady_clock::now() < until) {
    ++published;
    at = publisher.publish({.value = "v"});
    stamped = stamping.publish({.value = "v", .timestamp_ms = 1});
    std::this_thread::sleep_for(1ms);  // not to fill the old ring, which would tell as well
  }
  EXPECT_GT(at.epoch, 0) << "it went on publishing to nobody";
  EXPECT_GT(stamped.epoch, 0) << "it went on publishing to nobody";
  EXPECT_LT(published, 500) << "only the full lane told";
}

TEST_F(ClientRestart, NoOffsetIsSeenTwiceAfterACrashOfBoth) {
  Bus bus = connect();
  bus.create_topic("t");
  auto publisher = bus.publisher("t");
  auto subscriber = bus.subscriber("t", {.from = earliest});
  publish(publisher, 0, 1000);
  EXPECT_EQ(read(subscriber, 1000), numbers(0, 1000));
  const Receipt kept = publisher.publish_async({.value = "kept"});
  kept.wait_durable();
  daemon_.kill_both();
  daemon_.start();
  Position at;
  // What is published before the client knows may be lost; the first that is durable is not.
  const auto until = std::chrono::steady_clock::now() + 30s;
  while (std::chrono::steady_clock::now() < until) {
    try {
      at = publisher.publish({.value = "after"}, durable);
      break;
    } catch (const Error& error) {
      EXPECT_EQ(error.error(), errc::epoch_changed);
    }
  }
  EXPECT_GT(at.epoch, 0);
  EXPECT_GT(at.offset, 1000);
  std::set<Offset> offsets;
  std::string last;
  while (last != "after" && std::chrono::steady_clock::now() < until) {
    for (const Record& record : subscriber.poll(500ms)) {
      EXPECT_GE(record.offset(), 1000);
      EXPECT_TRUE(offsets.insert(record.offset()).second);
      last = record.value().text();
    }
  }
  EXPECT_EQ(last, "after");
  EXPECT_GT(subscriber.counters().skipped, 0u);
}

}  // namespace
}  // namespace busway::test
