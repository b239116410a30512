// A daemon within the process: topics from their creation to their deletion, retention, memory topics,
// restarts.
#include <thread>

#include <gtest/gtest.h>

#include <busway/busway.hpp>
#include <busway/embedded.hpp>

#include "tests/support/temp_dir.hpp"

namespace busway::test {
namespace {

using namespace std::chrono_literals;

class Embedded : public ::testing::Test {
 protected:
  /// Values of `count` records, or of fewer if none comes for two seconds.
  static std::vector<std::string> take(Subscriber& subscriber, std::size_t count) {
    std::vector<std::string> values;
    while (values.size() < count) {
      const auto records = subscriber.poll(2s);
      if (records.empty()) break;
      for (const Record& record : records) values.emplace_back(record.value().text());
    }
    return values;
  }
  static std::vector<std::string> numbers(int from, int to) {
    std::vector<std::string> values;
    for (int n = from; n < to; ++n) values.push_back(std::to_string(n));
    return values;
  }
  static void publish(Publisher& publisher, int from, int to) {
    for (const std::string& value : numbers(from, to)) publisher.publish({.value = value});
  }

  TempDir directory;
  std::string data = directory / "data";
};

TEST_F(Embedded, KeepsRecordsOverARestart) {
  {
    EmbeddedDaemon daemon(data);
    Bus bus = daemon.connect();
    bus.create_topic("t");
    Publisher publisher = bus.publisher("t");
    publish(publisher, 0, 10'000);
  }
  EmbeddedDaemon daemon(data);
  Bus bus = daemon.connect();
  Publisher publisher = bus.publisher("t");
  EXPECT_EQ(publisher.publish({.value = "10000"}).offset, 10'000) << "a clean stop leaves no gap";
  Subscriber subscriber = bus.subscriber("t", {.from = earliest});
  EXPECT_EQ(take(subscriber, 10'001), numbers(0, 10'001));
}

TEST_F(Embedded, RefusesADataDirectoryThatIsInUse) {
  EmbeddedDaemon daemon(data);
  try {
    EmbeddedDaemon second(data);
    FAIL() << "two daemons on one directory";
  } catch (const Error& error) {
    EXPECT_EQ(error.error(), errc::data_dir_in_use) << error.what();
  }
}

TEST_F(Embedded, DeletesWhatRetentionSaysAndTellsWhoMissedIt) {
  EmbeddedDaemon daemon(data, {.config = {{"log.retention.check.interval.ms", "100"}}});
  Bus bus = daemon.connect();
  bus.create_topic("t", {.config = {{"segment.bytes", "1048576"}, {"retention.bytes", "2097152"}}});
  Publisher publisher = bus.publisher("t");
  Subscriber slow = bus.subscriber("t", {.from = earliest});
  Subscriber strict = bus.subscriber("t", {.from = earliest, .on_loss = OnLoss::error});
  const std::string kilobyte(1024, 'x');
  constexpr Offset kRecords = 16 * 1024;
  for (Offset n = 0; n < kRecords; ++n) publisher.publish({.value = kilobyte});
  publisher.flush();
  const auto log_start = [&] { return bus.describe_topic("t").partitions[0].log_start; };
  for (int wait = 0; wait < 100 && log_start() < kRecords / 2; ++wait) std::this_thread::sleep_for(100ms);
  EXPECT_GT(log_start(), kRecords / 2);
  EXPECT_LE(bus.describe_topic("t").partitions[0].log_bytes, 4U << 20);

  std::size_t delivered = 0;
  while (true) {
    const auto records = slow.poll(1s);
    if (records.empty()) break;
    delivered += records.size();
  }
  EXPECT_EQ(delivered + slow.counters().lost, static_cast<std::uint64_t>(kRecords));
  EXPECT_GE(slow.counters().lost, static_cast<std::uint64_t>(kRecords / 2));
  EXPECT_THROW(while (!strict.poll(1s).empty()){}, Error) << "its policy is to be told";
}

TEST_F(Embedded, AMemoryTopicDropsItsOldestAndCountsThem) {
  EmbeddedDaemon daemon(data);
  Bus bus = daemon.connect();
  bus.create_topic("m", {.config = {{"storage", "memory"}}});
  Publisher publisher = bus.publisher("m");
  Subscriber subscriber = bus.subscriber("m", {.from = earliest});
  publish(publisher, 0, 100'000);
  const std::vector<std::string> rest = take(subscriber, 100'000);
  const std::uint64_t lost = subscriber.counters().lost;
  EXPECT_GT(lost, 0U);
  EXPECT_EQ(rest, numbers(static_cast<int>(lost), 100'000));
}

TEST_F(Embedded, AMemoryTopicThatBlocksLosesNothing) {
  EmbeddedDaemon daemon(data);
  Bus bus = daemon.connect();
  bus.create_topic("m", {.config = {{"storage", "memory"}, {"overflow", "block"}}});
  Subscriber subscriber = bus.subscriber("m", {.from = earliest});
  std::thread publishing([&] {
    Publisher publisher = bus.publisher("m");
    publish(publisher, 0, 50'000);
  });
  EXPECT_EQ(take(subscriber, 50'000), numbers(0, 50'000));
  EXPECT_EQ(subscriber.counters().lost, 0U);
  publishing.join();
}

TEST_F(Embedded, ATopicThatWasDeletedAndMadeAgainIsAnother) {
  EmbeddedDaemon daemon(data);
  Bus bus = daemon.connect();
  bus.create_topic("t");
  const std::string uuid = bus.describe_topic("t").uuid;
  Publisher publisher = bus.publisher("t");
  publish(publisher, 0, 10);
  bus.delete_topic("t");
  EXPECT_TRUE(bus.topics().empty());
  try {
    publisher.publish({.value = "late"});
    FAIL() << "published to a topic that is gone";
  } catch (const Error& error) {
    EXPECT_EQ(error.error(), errc::topic_deleted) << error.what();
  }
  bus.create_topic("t");
  EXPECT_NE(bus.describe_topic("t").uuid, uuid);
  EXPECT_EQ(bus.publisher("t").publish({.value = "first"}).offset, 0);
}

TEST_F(Embedded, AForgottenTopicCoolsDownAndGoesOnWhereItWas) {
  EmbeddedDaemon daemon(data);
  Bus bus = daemon.connect();
  bus.create_topic("t");
  {
    Publisher publisher = bus.publisher("t");
    publish(publisher, 0, 10);
  }
  const auto state = [&] { return bus.describe_topic("t").partitions[0].state; };
  for (int wait = 0; wait < 100 && state() != "cold"; ++wait) std::this_thread::sleep_for(100ms);
  EXPECT_EQ(state(), "cold");
  EXPECT_EQ(bus.describe_topic("t").partitions[0].log_end, 10);
  EXPECT_EQ(bus.describe_topic("t").partitions[0].segments, 1U);
  Publisher publisher = bus.publisher("t");
  EXPECT_EQ(publisher.publish({.value = "10"}).offset, 10);
  EXPECT_EQ(bus.describe_topic("t").partitions[0].epoch, 0) << "an idle topic never jumps";
}

}  // namespace
}  // namespace busway::test
