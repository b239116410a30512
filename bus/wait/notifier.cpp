#include "bus/wait/notifier.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <pthread.h>
#include <signal.h>

#include "bus/wait/futex.hpp"
#include "bus/wait/sleeper.hpp"

namespace busway::wait {

class Notifier::State {
 public:
  explicit State(Bell bell) : bell_(std::move(bell)) {}

  void set_bell(Bell bell) {
    Bell before;
    {
      const std::lock_guard lock(mutex_);
      before = std::exchange(bell_, std::move(bell));
    }
    poke(before);  // it sleeps on the old one
  }

  static void arm(const std::shared_ptr<State>& self, const std::shared_ptr<Watcher>& watcher) {
    const std::lock_guard lock(self->mutex_);
    if (!self->thread_.joinable()) start(self);
    self->armed_.push_back(watcher);
    // Listed before its bit is set: whoever rings because of the bit finds the notifier looking at it.
    watcher->announce();
    // Listed and announced: from here on a ring reaches it. What happened before is seen here, and still
    // under the lock: once it is fired it changes.
    if (watcher->ready()) poke(self->bell_);
  }

  void disarm(const std::shared_ptr<Watcher>& watcher) noexcept {
    std::unique_lock lock(mutex_);
    const auto found = std::find(armed_.begin(), armed_.end(), watcher);
    if (found != armed_.end()) {
      armed_.erase(found);
      watcher->retract();
    }
    if (std::this_thread::get_id() == thread_.get_id()) {
      std::erase(due_, watcher);
      return;
    }
    fired_.wait(lock, [&] {
      return firing_ != watcher.get() && std::find(due_.begin(), due_.end(), watcher) == due_.end();
    });
  }

  bool on_own_thread() const noexcept {
    const std::lock_guard lock(mutex_);
    return thread_.joinable() && std::this_thread::get_id() == thread_.get_id();
  }

  void stop() {
    std::thread thread;
    std::vector<std::shared_ptr<Watcher>> forgotten;
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      for (const auto& watcher : armed_) watcher->retract();
      forgotten.swap(armed_);
      thread = std::move(thread_);
      poke(bell_);
    }
    if (!thread.joinable()) return;
    if (thread.get_id() == std::this_thread::get_id())
      thread.detach();
    else
      thread.join();
  }

 private:
  static void poke(const Bell& bell) noexcept {
    bell->fetch_add(1, std::memory_order_relaxed);
    futex_wake_all(*bell);
  }

  /// Signals stay the business of the program's own threads.
  static void start(const std::shared_ptr<State>& self) {
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
      self->thread_ = std::thread([self] { self->run(); });
    } catch (...) {
      ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
      throw;
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  void run() {
    Backoff backoff = sleep_backoff();
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      const Bell bell = bell_;
      // First (H17): whatever rings after this load makes the wait below return at once.
      const std::uint32_t before = bell->load(std::memory_order_acquire);
      if (fire_ready(lock)) {
        backoff.reset();
        continue;
      }
      const bool nobody = armed_.empty();
      lock.unlock();
      const auto slept_from = std::chrono::steady_clock::now();
      const auto bound = nobody ? std::chrono::hours{1} : backoff.next();
      futex_wait(*bell, before, bound);
      const bool quiet = std::chrono::steady_clock::now() - slept_from >= bound;
      lock.lock();
      if (quiet && !nobody)
        look_after_idle(lock);
      else
        backoff.reset();
    }
  }

  /// Fires what is ready; false if nothing is.
  bool fire_ready(std::unique_lock<std::mutex>& lock) {
    const auto ready = std::stable_partition(armed_.begin(), armed_.end(),
                                             [](const auto& watcher) { return !watcher->ready(); });
    if (ready == armed_.end()) return false;
    due_.assign(std::make_move_iterator(ready), std::make_move_iterator(armed_.end()));
    armed_.erase(ready, armed_.end());
    for (const auto& watcher : due_) watcher->retract();
    while (!due_.empty() && !stopping_) {
      std::shared_ptr<Watcher> watcher = std::move(due_.front());
      due_.erase(due_.begin());
      call(lock, std::move(watcher), &Watcher::fire);
    }
    due_.clear();
    fired_.notify_all();
    return true;
  }

  void look_after_idle(std::unique_lock<std::mutex>& lock) {
    std::vector<std::weak_ptr<Watcher>> watchers(armed_.begin(), armed_.end());
    for (const auto& weak : watchers) {
      if (stopping_) return;
      std::shared_ptr<Watcher> watcher = weak.lock();
      if (std::find(armed_.begin(), armed_.end(), watcher) != armed_.end()) {
        call(lock, std::move(watcher), &Watcher::idle);
        continue;
      }
      lock.unlock();  // disarmed meanwhile; as in call()
      watcher.reset();
      lock.lock();
    }
  }

  void call(std::unique_lock<std::mutex>& lock, std::shared_ptr<Watcher> watcher,
            void (Watcher::*what)() noexcept) {
    firing_ = watcher.get();
    lock.unlock();
    ((*watcher).*what)();
    watcher.reset();  // unlocked: it may be the last that holds the session, and so the notifier
    lock.lock();
    firing_ = nullptr;
    fired_.notify_all();
  }

  mutable std::mutex mutex_;
  std::condition_variable fired_;
  Bell bell_;
  std::thread thread_;
  std::vector<std::shared_ptr<Watcher>> armed_;
  std::vector<std::shared_ptr<Watcher>> due_;  // found ready, not yet fired
  const Watcher* firing_ = nullptr;
  bool stopping_ = false;
};

Notifier::Notifier(Bell bell) : state_(std::make_shared<State>(std::move(bell))) {}
Notifier::~Notifier() { state_->stop(); }
void Notifier::set_bell(Bell bell) { state_->set_bell(std::move(bell)); }
void Notifier::arm(const std::shared_ptr<Watcher>& watcher) { State::arm(state_, watcher); }
void Notifier::disarm(const std::shared_ptr<Watcher>& watcher) noexcept { state_->disarm(watcher); }
bool Notifier::on_own_thread() const noexcept { return state_->on_own_thread(); }

}  // namespace busway::wait
