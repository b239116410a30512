#include "daemon/server_loop.hpp"

#include <algorithm>
#include <array>
#include <climits>

#include <sys/eventfd.h>

namespace busway::daemon {
namespace {

constexpr std::size_t kEventsPerTurn = 64;

}  // namespace

EventLoop::EventLoop()
    : epoll_(check_errno(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      wake_(check_errno(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")) {
  watch(wake_.get(), EPOLLIN, [this](std::uint32_t) {
    eventfd_t count = 0;
    // Emptied before the posted work is fetched: whatever is posted after that wakes the loop again.
    (void)::eventfd_read(wake_.get(), &count);
    run_posted();
  });
}

void EventLoop::watch(int fd, std::uint32_t events, OnEvents work) {
  const std::uint64_t number = ++last_number_;
  epoll_event event{};
  event.events = events;
  event.data.u64 = number;
  check_errno(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event), "epoll_ctl(ADD)");
  watches_.emplace(number, std::make_shared<Watch>(Watch{fd, std::move(work)}));
  number_of_[fd] = number;
}

void EventLoop::change(int fd, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = number_of_.at(fd);
  check_errno(::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event), "epoll_ctl(MOD)");
}

void EventLoop::unwatch(int fd) noexcept {
  const auto found = number_of_.find(fd);
  if (found == number_of_.end()) return;
  watches_.erase(found->second);
  number_of_.erase(found);
  // Explicitly: a duplicate of the descriptor elsewhere would otherwise keep it in the set after close.
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

bool EventLoop::run_once(std::chrono::milliseconds timeout) {
  std::array<epoll_event, kEventsPerTurn> events;
  const int ready =
      ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), wait_ms(timeout));
  if (ready < 0 && errno != EINTR) throw_errno("epoll_wait");
  bool served = false;
  for (int i = 0; i < ready; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    const auto found = watches_.find(event.data.u64);
    if (found == watches_.end()) continue;
    const std::shared_ptr<Watch> watch = found->second;  // it may unwatch itself
    watch->work(event.events);
    served = true;
  }
  return run_timers() || served;
}

int EventLoop::wait_ms(std::chrono::milliseconds timeout) const {
  if (timers_.empty()) {
    return timeout.count() < 0 ? -1 : static_cast<int>(std::min<std::int64_t>(timeout.count(), INT_MAX));
  }
  const auto first = std::min_element(timers_.begin(), timers_.end(), [](const auto& a, const auto& b) {
    return a.second.next < b.second.next;
  });
  const auto until = std::chrono::ceil<std::chrono::milliseconds>(first->second.next - Clock::now());
  const std::int64_t timer = std::max<std::int64_t>(until.count(), 0);
  const std::int64_t wanted = timeout.count() < 0 ? timer : std::min<std::int64_t>(timer, timeout.count());
  return static_cast<int>(std::min<std::int64_t>(wanted, INT_MAX));
}

// ---- posted work

void EventLoop::post(std::function<void()> work) {
  {
    const std::lock_guard lock(posted_mutex_);
    posted_.push_back(std::move(work));
  }
  wake();
}

void EventLoop::wake() noexcept { (void)::eventfd_write(wake_.get(), 1); }

bool EventLoop::run_posted() {
  // What posted work posts in turn is left to the next turn, so that it cannot keep clients from being
  // served.
  std::size_t left = 0;
  {
    const std::lock_guard lock(posted_mutex_);
    left = posted_.size();
  }
  for (std::size_t i = 0; i < left; ++i) {
    std::function<void()> work;
    {
      const std::lock_guard lock(posted_mutex_);
      work = std::move(posted_.front());
      posted_.pop_front();
      if (!posted_.empty()) wake();  // should `work` throw, the rest is not forgotten
    }
    work();
  }
  return left > 0;
}

// ---- timers

TimerId EventLoop::add_timer(std::chrono::milliseconds interval, std::function<void()> work, bool once) {
  const TimerId id{++last_timer_};
  timers_.emplace(id, Timer{Clock::now() + interval, interval, once,
                            std::make_shared<std::function<void()>>(std::move(work))});
  return id;
}

void EventLoop::cancel_timer(TimerId timer) noexcept { timers_.erase(timer); }

bool EventLoop::run_timers() {
  if (timers_.empty()) return false;
  const Clock::time_point now = Clock::now();
  bool ran = false;
  // By ids: a callback may add and cancel timers. One added meanwhile has a larger id and a later time.
  for (auto at = timers_.begin(); at != timers_.end();) {
    const TimerId id = at->first;
    if (at->second.next <= now) {
      const std::shared_ptr<std::function<void()>> work = at->second.work;
      if (at->second.once) {
        timers_.erase(at);
      } else {
        at->second.next = std::max(at->second.next + at->second.interval, now);  // no burst after a pause
      }
      (*work)();
      ran = true;
    }
    at = timers_.upper_bound(id);
  }
  return ran;
}

}  // namespace busway::daemon
