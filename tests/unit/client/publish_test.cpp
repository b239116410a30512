// Publishing through a real daemon: where records go, what is refused, what waits for room.
#include <set>

#include "bus/base/limits.hpp"
#include "bus/base/murmur2.hpp"
#include "tests/unit/client/client_fixture.hpp"

namespace busway::client::test {
namespace {

using Publishing = ClientTest;

TEST_F(Publishing, GivesOffsetsInOrder) {
  bus_.create_topic("t");
  auto publisher = bus_.publisher("t");
  for (Offset offset = 0; offset < 100; ++offset)
    EXPECT_EQ(publisher.publish({.value = "v"}), (Position{.offset = offset, .partition = 0, .epoch = 0}));
}

TEST_F(Publishing, CarriesEverythingARecordHas) {
  bus_.create_topic("t");
  auto publisher = bus_.publisher("t");
  publisher.publish(
      {.key = "k", .value = "v", .headers = {{"a", "1"}, {"b", nullptr}, {"a", "2"}}, .timestamp_ms = 77});
  publisher.publish({.key = "", .value = ""});
  publisher.publish({.key = nullptr, .value = nullptr});
  const std::string large(200'000, 'x');
  publisher.publish({.key = large, .value = large});
  auto subscriber = bus_.subscriber("t", {.from = earliest});
  std::vector<std::string> keys;
  while (keys.size() < 4) {
    for (const Record& record : subscriber.poll(10s)) {
      keys.emplace_back(record.key().text());
      if (record.offset() == 0) {
        EXPECT_EQ(record.value().text(), "v");
        EXPECT_EQ(record.timestamp_ms(), 77);
        std::string headers;
        for (const Header& header : record.headers())
          headers += std::string(header.name) + "=" +
                     (header.value.is_null() ? "null" : std::string(header.value.text())) + " ";
        EXPECT_EQ(headers, "a=1 b=null a=2 ");
        EXPECT_EQ(record.header("a"), BytesView("2"));
        EXPECT_EQ(record.header("c"), std::nullopt);
      } else if (record.offset() == 1) {
        EXPECT_FALSE(record.key().is_null());
        EXPECT_FALSE(record.value().is_null());
        EXPECT_TRUE(record.headers().empty());
      } else if (record.offset() == 2) {
        EXPECT_TRUE(record.key().is_null());
        EXPECT_TRUE(record.value().is_null());
      } else {
        EXPECT_EQ(record.value().text(), large);
      }
    }
  }
  EXPECT_EQ(keys, (std::vector<std::string>{"k", "", "", large}));
}

TEST_F(Publishing, PutsKeysWhereKafkaDoes) {
  bus_.create_topic("t", {.partitions = 7});
  auto publisher = bus_.publisher("t");
  for (int i = 0; i < 100; ++i) {
    const std::string key = "key-" + std::to_string(i);
    const auto wanted = static_cast<std::int32_t>(partition_of_key(key.data(), key.size(), 7));
    EXPECT_EQ(publisher.publish({.key = key, .value = "v"}).partition, wanted);
    EXPECT_EQ(publisher.partition_of(key), wanted);
  }
  EXPECT_EQ(publisher.publish({.key = "k", .value = "v", .partition = 3}).partition, 3);
}

TEST_F(Publishing, StaysInAPartitionForAWhileWithoutAKey) {
  bus_.create_topic("t", {.partitions = 3});
  auto publisher = bus_.publisher("t");
  const std::string kilobyte(1024, 'x');
  std::vector<std::int32_t> turns;
  for (int i = 0; i < 64; ++i) {
    const std::int32_t partition = publisher.publish({.value = kilobyte}).partition;
    if (turns.empty() || turns.back() != partition) turns.push_back(partition);
  }
  EXPECT_EQ(turns.size(), 4u) << "16 KiB each";
  EXPECT_EQ(std::set<std::int32_t>(turns.begin(), turns.end()).size(), 3u);
}

TEST_F(Publishing, RefusesWhatCannotBe) {
  bus_.create_topic("t", {.partitions = 2, .config = {{"max.message.bytes", "1000"}}});
  auto publisher = bus_.publisher("t");
  std::string sentence;
  EXPECT_EQ(error_of([&] { publisher.publish({.value = std::string(1001, 'x')}); }, &sentence),
            errc::record_too_large);
  for (const char* part : {"1001", "1000", "max.message.bytes", "t"})
    EXPECT_NE(sentence.find(part), std::string::npos);
  EXPECT_EQ(error_of([&] { publisher.publish({.value = "v", .partition = 2}); }, &sentence),
            errc::invalid_partition);
  EXPECT_EQ(error_of([&] { publisher.publish({.value = "v", .partition = -1}); }), errc::invalid_partition);
  EXPECT_EQ(publisher.try_publish({.value = std::string(1001, 'x')}).error(), errc::record_too_large);
  EXPECT_EQ(error_of([&] { bus_.publisher("nope"); }), errc::unknown_topic);
  EXPECT_EQ(publisher.publish({.value = "v", .partition = 1}).offset, 0)
      << "a refused record takes no offset";
}

TEST_F(Publishing, FollowsAnAlteredLimit) {
  bus_.create_topic("t", {.partitions = 1, .config = {{"max.message.bytes", "1000"}}});
  auto publisher = bus_.publisher("t");
  bus_.alter_topic("t", {{"max.message.bytes", "8388608"}});
  const std::string large(8'000'000, 'x');
  publisher.publish({.value = large});
  auto subscriber = bus_.subscriber("t", {.from = earliest});
  EXPECT_EQ(read_all(subscriber, 5s), large);
}

TEST_F(Publishing, GrowsLanesAndRingsUnderLoad) {
  bus_.create_topic("t");
  auto publisher = bus_.publisher("t");
  auto subscriber = bus_.subscriber("t", {.from = earliest});
  constexpr int kRecords = 50'000;
  std::thread publishing([&] {
    for (int i = 0; i < kRecords; ++i)
      publisher.publish({.value = std::to_string(i) + std::string(static_cast<std::size_t>(i % 700), '.')});
  });
  int next = 0;
  const auto until = std::chrono::steady_clock::now() + 60s;
  while (next < kRecords && std::chrono::steady_clock::now() < until) {
    for (const Record& record : subscriber.poll(1s)) {
      ASSERT_EQ(record.offset(), next);
      ASSERT_EQ(record.value().text(),
                std::to_string(next) + std::string(static_cast<std::size_t>(next % 700), '.'));
      ++next;
    }
  }
  publishing.join();
  EXPECT_EQ(next, kRecords);
  EXPECT_EQ(subscriber.counters().lost + subscriber.counters().skipped, 0u);
}

TEST_F(Publishing, PublishesBatchesInOrder) {
  bus_.create_topic("t", {.partitions = 2});
  auto publisher = bus_.publisher("t");
  std::vector<std::string> values;
  for (int i = 0; i < 100; ++i) values.push_back(std::to_string(i));
  std::vector<NewRecord> batch;
  for (const std::string& value : values) batch.push_back({.value = value, .partition = 1});
  EXPECT_EQ(publisher.publish_batch(batch), (Position{.offset = 99, .partition = 1, .epoch = 0}));
  auto subscriber = bus_.subscriber("t", {.from = earliest, .partitions = {1}});
  EXPECT_EQ(read_all(subscriber), numbers(0, 100));
}

TEST_F(Publishing, PublishesAPrefixOfABatchThatFails) {
  bus_.create_topic("t");
  auto publisher = bus_.publisher("t");
  const std::vector<NewRecord> batch{
      {.value = "0"}, {.value = "1"}, {.value = "bad", .partition = 9}, {.value = "2"}};
  try {
    publisher.publish_batch(batch);
    ADD_FAILURE() << "there is no partition 9";
  } catch (const BatchError& error) {
    EXPECT_EQ(error.error(), errc::invalid_partition);
    EXPECT_EQ(error.published(), 2u);
    EXPECT_NE(error.sentence().find("no partition 9"), std::string::npos) << error.sentence();
  }
  auto subscriber = bus_.subscriber("t", {.from = earliest});
  EXPECT_EQ(read_all(subscriber), "0 1");
}

TEST_F(Publishing, WakesSubscribersInOtherPartitionsOfABatch) {
  bus_.create_topic("t", {.partitions = 3});
  auto subscriber = bus_.subscriber("t", {.from = earliest});
  std::thread publishing([&] {
    auto publisher = bus_.publisher("t");
    std::this_thread::sleep_for(50ms);  // the subscriber sleeps by now
    const std::vector<NewRecord> batch{
        {.value = "0", .partition = 2}, {.value = "1", .partition = 0}, {.value = "2", .partition = 1}};
    publisher.publish_batch(batch);
  });
  EXPECT_EQ(read(subscriber, 3).size(), 3u);
  publishing.join();
}

TEST_F(Publishing, WaitsForSlowSubscribersIfTheTopicBlocks) {
  bus_.create_topic("t", {.partitions = 1, .config = memory_topic("block")});
  auto subscriber = bus_.subscriber("t", {.from = earliest});
  auto hasty = bus_.publisher("t", {.max_block = 50ms});
  int published = 0;
  std::string sentence;
  const errc error = error_of(
      [&] {
        for (; published < 1'000'000; ++published) hasty.publish({.value = std::to_string(published)});
      },
      &sentence);
  EXPECT_EQ(error, errc::deadline_exceeded);
  EXPECT_NE(sentence.find("50 ms"), std::string::npos) << sentence;
  for (int refused = 0; refused < 5;) {  // the ring may have been about to grow
    const auto at = hasty.try_publish({.value = std::to_string(published)});
    if (at) {
      ++published;
      continue;
    }
    EXPECT_EQ(at.error(), errc::would_block);
    ++refused;
    std::this_thread::sleep_for(20ms);  // time for the ring to grow
  }
  std::thread patient([&] {
    auto publisher = bus_.publisher("t");
    publish_numbers(publisher, published, published + 1000);
  });
  const auto values = read(subscriber, static_cast<std::size_t>(published) + 1000);
  patient.join();
  ASSERT_EQ(values.size(), static_cast<std::size_t>(published) + 1000);
  for (std::size_t i = 0; i < values.size(); ++i) ASSERT_EQ(values[i], std::to_string(i));
  EXPECT_EQ(subscriber.counters().lost, 0u);
}

TEST_F(Publishing, ForgetsTheOldestIfTheTopicSaysSo) {
  bus_.create_topic("t", {.partitions = 1, .config = memory_topic("drop-oldest")});
  auto publisher = bus_.publisher("t", {.max_block = 1s});
  auto subscriber = bus_.subscriber("t", {.from = earliest});
  publish_numbers(publisher, 0, 50'000);
  const auto rest = read_all(subscriber);
  EXPECT_EQ(subscriber.position(0), 50'000);
  EXPECT_GT(subscriber.counters().lost, 0u);
  EXPECT_EQ(subscriber.counters().lost + subscriber.counters().delivered, 50'000u);
  EXPECT_EQ(rest, numbers(static_cast<int>(subscriber.counters().lost), 50'000));
}

TEST_F(Publishing, EndsWithTheTopic) {
  bus_.create_topic("t");
  auto publisher = bus_.publisher("t");
  publisher.publish({.value = "v"});
  bus_.delete_topic("t");
  EXPECT_EQ(error_of([&] { publisher.publish({.value = "v"}); }), errc::topic_deleted);
  bus_.create_topic("t");
  EXPECT_EQ(error_of([&] { publisher.publish({.value = "v"}); }), errc::topic_deleted)
      << "another topic of that name";
  auto anew = bus_.publisher("t");
  EXPECT_EQ(anew.publish({.value = "v"}).offset, 0);
}

TEST_F(Publishing, ByMoreShortLivedPublishersThanThereCanBeAtOnce) {
  bus_.create_topic("logged");
  bus_.create_topic("memory", {.partitions = 1, .config = memory_topic("drop-oldest")});
  constexpr int kPublishers = 1500;
  static_assert(kPublishers > busway::limits::kLanesPerTopic);
  for (const std::string topic : {"logged", "memory"}) {
    auto subscriber = bus_.subscriber(topic, {.from = earliest});
    for (int i = 0; i < kPublishers; ++i) bus_.publisher(topic).publish({.value = std::to_string(i)});
    const auto last = read_all(subscriber);
    EXPECT_TRUE(last.ends_with(numbers(kPublishers - 100, kPublishers))) << topic;
  }
}

TEST_F(Publishing, StopsWithTheDaemon) {
  bus_.create_topic("t");
  auto publisher = bus_.publisher("t", {.max_block = 200ms});
  publisher.publish({.value = "v"});
  daemon_.stop();
  EXPECT_EQ(error_of([&] { publisher.publish({.value = "v"}); }), errc::no_daemon);
  EXPECT_EQ(publisher.try_publish({.value = "v"}).error(), errc::would_block);
}

TEST_F(Publishing, HasOneThread) {
#ifdef NDEBUG
  GTEST_SKIP() << "checked in debug builds";
#else
  bus_.create_topic("t");
  auto publisher = bus_.publisher("t");
  publisher.publish({.value = "v"});
  std::thread([&] {
    EXPECT_EQ(error_of([&] { publisher.publish({.value = "v"}); }), errc::usage);
    EXPECT_EQ(publisher.try_publish({.value = "v"}).error(), errc::usage);
  }).join();
#endif
}

// ---- loans

using Loans = ClientTest;

TEST_F(Loans, ArePublishedWithoutACopy) {
  bus_.create_topic("t");
  auto publisher = bus_.publisher("t");
  auto loan = publisher.loan(5, {.key = "k", .headers = {{"h", "1"}}, .timestamp_ms = 5});
  std::memcpy(loan.value().data(), "hello", 5);
  publisher.publish({.value = "first"});  // an open loan holds up nobody
  EXPECT_EQ(loan.publish().offset, 1);
  auto subscriber = bus_.subscriber("t", {.from = earliest});
  const auto records = subscriber.poll(5s);
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[1].value().text(), "hello");
  EXPECT_EQ(records[1].key().text(), "k");
  EXPECT_EQ(records[1].header("h"), BytesView("1"));
  EXPECT_EQ(records[1].timestamp_ms(), 5);
}

TEST_F(Loans, MayBeShortenedOrAbandoned) {
  bus_.create_topic("t");
  auto publisher = bus_.publisher("t");
  {
    auto abandoned = publisher.loan(100);
    auto moved = std::move(abandoned);
  }
  auto loan = publisher.loan(100);
  std::memcpy(loan.value().data(), "short", 5);
  EXPECT_EQ(error_of([&] { loan.publish(101); }), errc::usage);
  loan.publish(5);
  EXPECT_EQ(error_of([&] { loan.publish(5); }), errc::usage);
  auto empty = publisher.loan(0);
  empty.publish();
  auto subscriber = bus_.subscriber("t", {.from = earliest});
  const auto records = subscriber.poll(5s);
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].value().text(), "short");
  EXPECT_FALSE(records[1].value().is_null());
}

TEST_F(Loans, TakeFurtherLanesWhileTheyLast) {
  bus_.create_topic("t");
  auto publisher = bus_.publisher("t");
  std::vector<Loan> open;
  for (int i = 0; i < 300; ++i) {
    open.push_back(publisher.loan(1000));  // more than the first lane holds
    std::memset(open.back().value().data(), 'a' + i % 26, 1000);
  }
  for (auto& loan : open) loan.publish();
  publish_numbers(publisher, 0, 5000);
  auto subscriber = bus_.subscriber("t", {.from = earliest});
  const auto values = read(subscriber, 5300);
  ASSERT_EQ(values.size(), 5300u);
  for (std::size_t i = 0; i < 300; ++i)
    ASSERT_EQ(values[i], std::string(1000, static_cast<char>('a' + i % 26)));
}

// ---- durability

using Durability = ClientTest;

TEST_F(Durability, IsWaitedFor) {
  bus_.create_topic("t");
  auto publisher = bus_.publisher("t");
  for (int i = 0; i < 5; ++i) {
    const Position at = publisher.publish({.value = "v"}, durable);
    EXPECT_GT(bus_.describe_topic("t").partitions[0].durable, at.offset);
  }
}

TEST_F(Durability, ComesWithReceipts) {
  bus_.create_topic("t", {.partitions = 1, .config = {{"flush.ms", "600000"}}});
  std::vector<Receipt> receipts;
  {
    auto publisher = bus_.publisher("t");
    for (int i = 0; i < 10; ++i) receipts.push_back(publisher.publish_async({.value = "v"}));
  }
  for (Offset i = 0; i < 10; ++i) {
    const Receipt& receipt = receipts[static_cast<std::size_t>(i)];
    receipt.wait_durable();  // receipts outlive their publisher
    EXPECT_TRUE(receipt.is_durable());
    EXPECT_EQ(receipt.position().offset, i);
  }
}

TEST_F(Durability, OfEverythingByFlush) {
  bus_.create_topic("t", {.partitions = 3, .config = {{"flush.ms", "600000"}}});
  auto publisher = bus_.publisher("t");
  for (std::int32_t i = 0; i < 300; ++i) publisher.publish({.value = "v", .partition = i % 3});
  publisher.flush();
  for (const auto& partition : bus_.describe_topic("t").partitions) EXPECT_EQ(partition.durable, 100);
}

TEST_F(Durability, IsNotToBeHadInMemory) {
  bus_.create_topic("t", {.partitions = 1, .config = memory_topic("drop-oldest")});
  auto publisher = bus_.publisher("t");
  std::string sentence;
  EXPECT_EQ(error_of([&] { publisher.publish({.value = "v"}, durable); }, &sentence), errc::unsupported);
  EXPECT_NE(sentence.find("storage=memory"), std::string::npos);
  EXPECT_EQ(error_of([&] { bus_.subscriber("t", {.durable_only = true}); }), errc::unsupported);
}

}  // namespace
}  // namespace busway::client::test
