// The event loop under the control server: descriptors watched with epoll, timers, and work that other
// threads post. It knows nothing of clients.
//
// Invariants: a callback may watch, unwatch, add and cancel anything, itself included; an event that was
// already fetched for a descriptor that is no longer watched is dropped (events carry a number that is never
// reused, not the descriptor's). What a callback throws leaves run_once with everything else still in place.
//
// Thread safety: post() and wake() from any thread, everything else from the thread that calls run_once().
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>

#include <sys/epoll.h>

#include "bus/base/fd.hpp"
#include "daemon/server.hpp"

namespace busway::daemon {

class EventLoop {
 public:
  using OnEvents = std::function<void(std::uint32_t events)>;

  EventLoop();

  bool run_once(std::chrono::milliseconds timeout);

  void watch(int fd, std::uint32_t events, OnEvents work);
  void change(int fd, std::uint32_t events);
  void unwatch(int fd) noexcept;

  void post(std::function<void()> work);
  void wake() noexcept;

  TimerId add_timer(std::chrono::milliseconds interval, std::function<void()> work, bool once);
  void cancel_timer(TimerId timer) noexcept;

 private:
  using Clock = std::chrono::steady_clock;
  struct Watch {
    int fd;
    OnEvents work;
  };
  struct Timer {
    Clock::time_point next;
    std::chrono::milliseconds interval;
    bool once;
    std::shared_ptr<std::function<void()>> work;
  };

  int wait_ms(std::chrono::milliseconds timeout) const;
  bool run_posted();
  bool run_timers();

  Fd epoll_;
  Fd wake_;
  std::uint64_t last_number_ = 0;
  std::unordered_map<std::uint64_t, std::shared_ptr<Watch>> watches_;
  std::unordered_map<int, std::uint64_t> number_of_;
  std::map<TimerId, Timer> timers_;
  std::uint64_t last_timer_ = 0;

  std::mutex posted_mutex_;  // guards posted_
  std::deque<std::function<void()>> posted_;
};

}  // namespace busway::daemon
