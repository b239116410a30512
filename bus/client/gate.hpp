// Many users or one: requests hold the gate shared, reconnecting holds it alone, so that what the daemon
// calls a topic cannot change its meaning between building a request and sending it. Waiting has a deadline.
// Thread safety: any thread. Not recursive.
#pragma once

#include <condition_variable>
#include <mutex>

#include <busway/error.hpp>

#include "bus/base/clock.hpp"

namespace busway::client {

class Gate {
 public:
  class Shared {
   public:
    Shared(Gate& gate, const Deadline& deadline) : gate_(gate) {
      std::unique_lock lock(gate_.mutex_);
      gate_.wait(lock, deadline, [&] { return !gate_.alone_; });
      ++gate_.users_;
    }
    Shared(const Shared&) = delete;
    Shared& operator=(const Shared&) = delete;
    ~Shared() {
      const std::lock_guard lock(gate_.mutex_);
      if (--gate_.users_ == 0) gate_.changed_.notify_all();
    }

   private:
    Gate& gate_;
  };

  class Alone {
   public:
    Alone(Gate& gate, const Deadline& deadline) : gate_(gate) {
      std::unique_lock lock(gate_.mutex_);
      gate_.wait(lock, deadline, [&] { return !gate_.alone_ && gate_.users_ == 0; });
      gate_.alone_ = true;
    }
    Alone(const Alone&) = delete;
    Alone& operator=(const Alone&) = delete;
    ~Alone() {
      const std::lock_guard lock(gate_.mutex_);
      gate_.alone_ = false;
      gate_.changed_.notify_all();
    }

   private:
    Gate& gate_;
  };

 private:
  template <class Condition>
  void wait(std::unique_lock<std::mutex>& lock, const Deadline& deadline, Condition&& condition) {
    while (!condition()) {
      const auto left = deadline.left();
      if (left <= std::chrono::nanoseconds::zero())
        throw Error(errc::deadline_exceeded,
                    "the deadline passed while another thread was connecting to the daemon");
      changed_.wait_for(lock, std::min<std::chrono::nanoseconds>(left, std::chrono::hours{1}));
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  unsigned users_ = 0;
  bool alone_ = false;
};

}  // namespace busway::client
