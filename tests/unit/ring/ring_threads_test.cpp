// Real threads on real shared memory: what the interleaving checker proves for small rings, tried at full
// speed.
#include <atomic>
#include <map>
#include <thread>

#include <gtest/gtest.h>

#include "tests/unit/ring/ring_fixture.hpp"

namespace busway::ring::test {
namespace {

/// "<publisher>:<number>:<padding>": long enough to span several units now and then, and to show a torn copy.
std::string record_of(int publisher, int number) {
  const std::string head = std::to_string(publisher) + ":" + std::to_string(number) + ":";
  return head + std::string(static_cast<std::size_t>(number % 7) * 40, static_cast<char>('a' + number % 26));
}

/// Checks a stream of records: bytes whole, each publisher's numbers rising by one.
class Witness {
 public:
  void see(const std::string& value, bool gaps_allowed) {
    const int publisher = std::stoi(value);
    const int number = std::stoi(value.substr(value.find(':') + 1));
    ASSERT_EQ(value, record_of(publisher, number));
    int& next = next_[publisher];
    if (gaps_allowed)
      ASSERT_GE(number, next);
    else
      ASSERT_EQ(number, next);
    next = number + 1;
  }
  std::size_t publishers() const { return next_.size(); }

 private:
  std::map<int, int> next_;
};

constexpr int kPublishers = 3;
constexpr int kRecords = 4000;

/// Publishes until `records` are out or somebody has seen enough.
void publish_all(Publisher& publisher, int who, int records = kRecords,
                 const std::atomic<bool>* enough = nullptr) {
  for (int number = 0; number < records && (enough == nullptr || !enough->load()); ++number) {
    const std::string value = record_of(who, number);
    Reservation<StdAtomics> at = publisher.reserve(value.size());
    for (; at.status != ReserveStatus::reserved; at = publisher.reserve(value.size())) {
      publisher.now_ns += 50;
      std::this_thread::yield();
    }
    publisher.fill(at, value);
    while (true) {
      const PublishOutcome outcome = publisher.commit(at);
      if (outcome.status == PublishStatus::committed) break;
      ASSERT_TRUE(outcome.status == PublishStatus::wait_slots ||
                  outcome.status == PublishStatus::wait_granted);
      std::this_thread::yield();
    }
  }
}

TEST(RingThreads, ADrainSeesEveryRecordOnceAndInOrder) {
  Topic topic(16);
  std::vector<std::unique_ptr<Publisher>> publishers;
  for (int i = 0; i < kPublishers; ++i) publishers.push_back(std::make_unique<Publisher>(topic, 64));
  std::vector<std::thread> threads;
  for (int i = 0; i < kPublishers; ++i)
    threads.emplace_back([&, i] { publish_all(*publishers[static_cast<std::size_t>(i)], i); });
  Witness witness;
  for (std::uint64_t offset = 0; offset < std::uint64_t{kPublishers} * kRecords;) {
    const Taken taken = take(topic, topic.ring(), offset);
    if (taken.status == ReadStatus::nothing_yet) {
      std::this_thread::yield();
      continue;
    }
    ASSERT_EQ(taken.status, ReadStatus::record);
    witness.see(taken.value, false);
    topic.write_up_to(++offset);
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(witness.publishers(), std::size_t{kPublishers});
}

TEST(RingThreads, AReaderThatIsOvertakenNeverTakesAWrongByte) {
  Topic topic(16, Reclaim::drop_oldest);
  std::vector<std::unique_ptr<Publisher>> publishers;
  for (int i = 0; i < kPublishers; ++i) publishers.push_back(std::make_unique<Publisher>(topic, 32));
  std::atomic<int> running{kPublishers};
  std::vector<std::thread> threads;
  for (int i = 0; i < kPublishers; ++i)
    threads.emplace_back([&, i] {
      publish_all(*publishers[static_cast<std::size_t>(i)], i);
      --running;
    });
  Witness witness;
  std::uint64_t offset = 0;
  std::uint64_t lost = 0;
  std::uint64_t read = 0;
  while (true) {
    const bool last_round = running.load() == 0;
    const Taken taken = take(topic, topic.ring(), offset);
    if (taken.status == ReadStatus::record) {
      witness.see(taken.value, true);
      ++offset;
      ++read;
    } else if (taken.status == ReadStatus::behind) {
      lost += taken.found.reclaimed - offset;
      offset = taken.found.reclaimed;
    } else {
      ASSERT_EQ(taken.status, ReadStatus::nothing_yet);
      if (last_round) break;
    }
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(read + lost, std::uint64_t{kPublishers} * kRecords);
}

TEST(RingThreads, WhatIsReadInPlaceUnderAValidLeaseIsWhole) {
  Topic topic(16, Reclaim::drop_oldest);
  std::vector<std::unique_ptr<Publisher>> publishers;
  for (int i = 0; i < kPublishers; ++i) publishers.push_back(std::make_unique<Publisher>(topic, 32));
  std::atomic<bool> enough{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < kPublishers; ++i)
    threads.emplace_back(
        [&, i] { publish_all(*publishers[static_cast<std::size_t>(i)], i, INT32_MAX, &enough); });
  StdLease lease(topic.partition.wait.leases[0]);
  std::uint64_t offset = 0;
  for (int whole = 0; whole < 500;) {
    if (!lease.take(topic.ring(), offset)) {
      offset = topic.ring().reclaimed->load();
      continue;
    }
    Found found;
    const ReadStatus status =
        look_in_place(topic.partition, topic.ring(), lease, offset, topic.resolver(), found);
    std::string value(found.body_bytes, '\0');
    if (status == ReadStatus::record)
      StdAtomics::copy_from_shared(value.data(), found.body, found.body_bytes);
    EXPECT_NE(status, ReadStatus::bad_frame);
    if (!lease.release() || status != ReadStatus::record) continue;
    Witness().see(value, true);
    ++whole;
    ++offset;
  }
  enough = true;
  for (std::thread& thread : threads) thread.join();
}

TEST(RingThreads, AFenceEndsTheRingOnceForAll) {
  for (int round = 0; round < 50; ++round) {
    Topic topic(64);
    Publisher ann(topic, 128);
    Publisher bob(topic, 128);
    std::uint64_t last[2] = {0, 0};
    const auto run = [&](Publisher& publisher, std::uint64_t& published) {
      while (publisher.publish("x").status == PublishStatus::committed) ++published;
    };
    std::thread first(run, std::ref(ann), std::ref(last[0]));
    std::thread second(run, std::ref(bob), std::ref(last[1]));
    LogEnd end{};
    std::thread daemon([&] { end = set_fence(topic.ring(), FenceReason::grown); });
    first.join();
    second.join();
    daemon.join();
    ASSERT_EQ(end.status, EndStatus::fenced);
    ASSERT_EQ(end.offset, last[0] + last[1])
        << "no record slipped in behind the fence, none was lost before it";
  }
}

}  // namespace
}  // namespace busway::ring::test
