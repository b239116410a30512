// Subscribers and receipts that nobody waits for in person: descriptor, callback, coroutine.
#include <condition_variable>
#include <coroutine>
#include <mutex>

#include <poll.h>

#include "tests/unit/client/client_fixture.hpp"

namespace busway::client::test {
namespace {

/// A coroutine that starts at once and tells when it is done.
struct Task {
  struct promise_type {
    Task get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() { ADD_FAILURE() << "an exception left a coroutine"; }
  };
  std::coroutine_handle<promise_type> handle;
};

/// What other threads wrote down, and somebody waits for.
class Notes {
 public:
  void add(std::string note) {
    const std::lock_guard lock(mutex_);
    notes_.push_back(std::move(note));
    changed_.notify_all();
  }
  bool await(std::size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 30s, [&] { return notes_.size() >= count; });
  }
  std::vector<std::string> all() {
    const std::lock_guard lock(mutex_);
    return notes_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> notes_;
};

class Async : public ClientTest {
 protected:
  Async() {
    bus_.create_topic("t", {.partitions = 2});
    publisher_.emplace(bus_.publisher("t"));
    subscriber_.emplace(bus_.subscriber("t", {.from = earliest}));
  }
  static bool readable(int fd, std::chrono::milliseconds within) {
    pollfd wanted{.fd = fd, .events = POLLIN, .revents = 0};
    return ::poll(&wanted, 1, static_cast<int>(within.count())) == 1;
  }
  void publish(const std::string& value, std::int32_t partition = 0) {
    publisher_->publish({.value = value, .partition = partition});
  }

  std::optional<Publisher> publisher_;
  std::optional<Subscriber> subscriber_;
  Notes notes_;
};

TEST_F(Async, ADescriptorIsReadableWhenThereAreRecords) {
  const int fd = subscriber_->fd();
  EXPECT_FALSE(readable(fd, 20ms));
  publish("0");
  EXPECT_TRUE(readable(fd, 10s));
  EXPECT_EQ(read_all(*subscriber_, 0ms), "0");
  EXPECT_FALSE(readable(fd, 20ms));
  for (int i = 1; i < 50; ++i) {
    publish(std::to_string(i), i % 2);
    ASSERT_TRUE(readable(fd, 10s)) << i;
    ASSERT_EQ(read_all(*subscriber_, 0ms), std::to_string(i));
  }
}

TEST_F(Async, ADescriptorStaysReadableWhileThereIsMore) {
  auto slow = bus_.subscriber("t", {.from = earliest, .max_poll_records = 10});
  for (int i = 0; i < 25; ++i) publish("v");
  const int fd = slow.fd();
  std::size_t seen = 0;
  while (readable(fd, 100ms)) seen += slow.poll(0ms).size();
  EXPECT_EQ(seen, 25u);
}

TEST_F(Async, ACallbackGetsEveryRecord) {
  publish("0");
  subscriber_->on_record([&](const Record& record) { notes_.add(std::string(record.value().text())); });
  ASSERT_TRUE(notes_.await(1));
  for (int i = 1; i < 1000; ++i) publish(std::to_string(i));
  ASSERT_TRUE(notes_.await(1000));
  subscriber_->stop();
  publish("late");
  std::this_thread::sleep_for(20ms);  // a call that must not come would come in this time
  const auto all = notes_.all();
  ASSERT_EQ(all.size(), 1000u);
  for (std::size_t i = 0; i < all.size(); ++i) ASSERT_EQ(all[i], std::to_string(i));
  EXPECT_EQ(read_all(*subscriber_), "late") << "by hand again";
}

TEST_F(Async, AnExceptionEndsACallbackAndComesOutOfStop) {
  subscriber_->on_record([&](const Record& record) {
    notes_.add(std::string(record.value().text()));
    throw std::runtime_error("enough");
  });
  publish("0");
  ASSERT_TRUE(notes_.await(1));
  publish("1");
  std::this_thread::sleep_for(20ms);  // likewise
  EXPECT_EQ(notes_.all().size(), 1u);
  EXPECT_THROW(subscriber_->stop(), std::runtime_error);
}

TEST_F(Async, WhatACallbackDidNotGetIsReadByHand) {
  for (int i = 0; i < 10; ++i) publish(std::to_string(i));
  subscriber_->on_record([&](const Record& record) {
    notes_.add(std::string(record.value().text()));
    if (record.offset() == 3) throw std::runtime_error("enough");
  });
  ASSERT_TRUE(notes_.await(4));
  EXPECT_THROW(subscriber_->stop(), std::runtime_error);
  EXPECT_EQ(read_all(*subscriber_), numbers(4, 10));
  EXPECT_EQ(subscriber_->counters().delivered, 10u);
}

TEST_F(Async, WhatACoroutineDidNotGetIsReadByHand) {
  for (int i = 0; i < 10; ++i) publish(std::to_string(i));
  const auto reading = [](Subscriber& subscriber, Notes& notes) -> Task {
    for (int i = 0; i < 4; ++i) {
      const Record& record = co_await subscriber.next();
      notes.add(std::string(record.value().text()));
    }
  };
  reading(*subscriber_, notes_);
  ASSERT_TRUE(notes_.await(4));
  EXPECT_EQ(read_all(*subscriber_), numbers(4, 10));
}

TEST_F(Async, ACallbackMayDestroyItsSubscriber) {
  subscriber_->on_record([&](const Record&) {
    subscriber_.reset();
    notes_.add("gone");
  });
  publish("0");
  publish("1");
  ASSERT_TRUE(notes_.await(1));
  EXPECT_FALSE(subscriber_.has_value());
}

TEST_F(Async, ASubscriberIsReadInOneWay) {
  (void)subscriber_->fd();
  EXPECT_EQ(error_of([&] { subscriber_->on_record([](const Record&) {}); }), errc::usage);
}

TEST_F(Async, ACoroutineGetsRecordAfterRecord) {
  const auto reading = [](Subscriber& subscriber, Notes& notes) -> Task {
    for (int i = 0; i < 200; ++i) {
      const Record& record = co_await subscriber.next();
      notes.add(std::string(record.value().text()));
    }
  };
  reading(*subscriber_, notes_);
  for (int i = 0; i < 200; ++i) {
    publish(std::to_string(i));
    if (i % 50 == 0) std::this_thread::sleep_for(5ms);  // so that the reader goes to sleep now and then
  }
  ASSERT_TRUE(notes_.await(200));
  const auto all = notes_.all();
  for (std::size_t i = 0; i < all.size(); ++i) ASSERT_EQ(all[i], std::to_string(i));
}

TEST_F(Async, ACoroutineMayOwnItsSubscriberAndItsBus) {
  const auto reading = [](Bus bus, Notes& notes) -> Task {
    auto subscriber = bus.subscriber("t", {.from = earliest});
    const Record& record = co_await subscriber.next();
    notes.add(std::string(record.value().text()));
  };
  reading(daemon_.connect(), notes_);
  publish("0");
  EXPECT_TRUE(notes_.await(1));
}

TEST_F(Async, ACoroutineIsToldWhenTheTopicGoes) {
  const auto reading = [](Subscriber& subscriber, Notes& notes) -> Task {
    try {
      co_await subscriber.next();
    } catch (const Error& error) {
      notes.add(make_error_code(error.error()).message());
    }
  };
  reading(*subscriber_, notes_);
  bus_.delete_topic("t");
  ASSERT_TRUE(notes_.await(1));
  EXPECT_EQ(notes_.all()[0], make_error_code(errc::topic_deleted).message());
}

TEST_F(Async, ACoroutineResumesWhereTheProgramWantsIt) {
  std::mutex mutex;
  std::vector<std::function<void()>> queue;
  subscriber_->resume_on([&](std::function<void()> work) {
    const std::lock_guard lock(mutex);
    queue.push_back(std::move(work));
    notes_.add("queued");
  });
  std::thread::id resumed_on;
  const auto reading = [](Subscriber& subscriber, std::thread::id& where) -> Task {
    co_await subscriber.next();
    where = std::this_thread::get_id();
  };
  reading(*subscriber_, resumed_on);
  publish("0");
  ASSERT_TRUE(notes_.await(1));
  {
    const std::lock_guard lock(mutex);
    queue.front()();
  }
  EXPECT_EQ(resumed_on, std::this_thread::get_id());
}

TEST_F(Async, AReceiptCanBeAwaited) {
  bus_.create_topic("slow", {.partitions = 1, .config = {{"flush.ms", "600000"}}});
  auto publisher = bus_.publisher("slow");
  const auto waiting = [](Receipt receipt, Notes& notes) -> Task {
    co_await receipt.durable();
    notes.add(std::to_string(receipt.position().offset));
  };
  for (int i = 0; i < 20; ++i) waiting(publisher.publish_async({.value = "v"}), notes_);
  EXPECT_TRUE(notes_.await(20));
}

TEST_F(Async, HandsOverManySubscribersAtOnce) {
  std::vector<Subscriber> subscribers;
  for (int i = 0; i < 20; ++i) {
    subscribers.push_back(bus_.subscriber("t", {.from = earliest}));
    subscribers.back().on_record([&](const Record&) { notes_.add("r"); });
  }
  for (int i = 0; i < 20; ++i) publish("v", i % 2);
  EXPECT_TRUE(notes_.await(400));
}

}  // namespace
}  // namespace busway::client::test
