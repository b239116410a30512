// A subscriber by descriptor, callback and coroutine, over the bus's notifier.
#include <algorithm>
#include <cstdint>
#include <utility>

#include <sys/eventfd.h>
#include <unistd.h>

#include "bus/client/subscriber_core.hpp"
#include "bus/client/subscriber_watcher.hpp"
#include "bus/wait/futex.hpp"

namespace busway::client {
namespace {

/// Batches that one callback gets before other watchers have their turn.
constexpr unsigned kBatchesPerTurn = 16;
/// The notifier's thread pauses so long when the daemon does not answer.
constexpr auto kStalledNap = std::chrono::milliseconds{1};

void check_mode(const std::shared_ptr<SubscriberWatcher>& watcher, SubscriberWatcher::Mode mode) {
  if (watcher != nullptr && watcher->mode() != mode)
    throw Error(errc::usage, "a subscriber is read by one of fd(), on_record() and next(), not by several");
}

}  // namespace

// ---- the watcher

void SubscriberWatcher::look_at(const std::shared_ptr<TopicLink>& link, const std::vector<wait::Spot>& spots,
                                std::vector<read::Watch> watches) {
  link_ = link;
  spots_ = spots;
  watches_ = std::move(watches);
}

bool SubscriberWatcher::ready() noexcept {
  return link_->stale() || std::any_of(watches_.begin(), watches_.end(),
                                       [](const read::Watch& watch) { return watch.ready(); });
}

void SubscriberWatcher::fire() noexcept {
  if (closed()) return;
  switch (mode_) {
    case Mode::descriptor: {
      signalled.store(true, std::memory_order_release);
      const std::uint64_t one = 1;
      // A full counter is readable all the same.
      if (::write(event.get(), &one, sizeof one) < 0) return;
      return;
    }
    case Mode::callback:
      return deliver();
    case Mode::coroutine:
      return resume_waiting();
  }
}

void SubscriberWatcher::deliver() {
  const auto self = shared_from_this();  // `each` may destroy the subscriber, and this with it
  try {
    for (unsigned batch = 0; batch < kBatchesPerTurn; ++batch) {
      if (!core_->collect({})) {
        if (core_->round_.stalled)
          wait::futex_wait(link_->bell(), link_->bell().load(std::memory_order_relaxed), kStalledNap);
        break;
      }
      const std::span<const Record> records = core_->batch_.records();
      for (given = 0; given < records.size();) {
        each(records[given++]);
        if (closed()) return;
      }
    }
    core_->rearm();
  } catch (...) {
    error = std::current_exception();
  }
}

void SubscriberWatcher::resume_waiting() {
  try {
    if (!core_->collect({})) {
      if (core_->round_.stalled)
        wait::futex_wait(link_->bell(), link_->bell().load(std::memory_order_relaxed), kStalledNap);
      core_->rearm();
      return;
    }
  } catch (...) {
    next_error = std::current_exception();
  }
  const auto handle = std::exchange(waiting, nullptr);
  const auto executor = core_->executor_;
  // Last: the coroutine may destroy the subscriber.
  if (executor)
    executor([handle] { handle.resume(); });
  else
    handle.resume();
}

// ---- the subscriber

/// Looks from where the readers stand now.
void SubscriberCore::rearm() {
  SubscriberWatcher& watcher = *watcher_;
  if (watcher.closed()) return;
  core_->notifier().disarm(watcher_);
  if (watcher.mode() == SubscriberWatcher::Mode::descriptor) {
    // More records than one poll takes: it stays readable.
    if (batch_.full() || round_.later || round_.stalled) return watcher.fire();
    if (watcher.signalled.exchange(false, std::memory_order_acq_rel)) {
      std::uint64_t count = 0;
      if (::read(watcher.event.get(), &count, sizeof count) < 0) count = 0;  // it was not signalled after all
    }
  }
  std::vector<read::Watch> watches;
  watches.reserve(station_->seats.size());
  for (const auto& seat : station_->seats) {
    seat->reader.prepare();
    watches.push_back(seat->reader.watch());
  }
  watcher.look_at(station_->link, spots_, std::move(watches));
  core_->notifier().arm(watcher_);
}

void SubscriberCore::disarm() noexcept {
  if (watcher_ == nullptr) return;
  watcher_->close();
  if (!fork_mark_.forked()) core_->notifier().disarm(watcher_);
  watcher_.reset();
}

int SubscriberCore::fd() {
  fork_mark_.check();
  check_mode(watcher_, SubscriberWatcher::Mode::descriptor);
  if (watcher_ == nullptr) {
    auto watcher = std::make_shared<SubscriberWatcher>(SubscriberWatcher::Mode::descriptor, *this);
    watcher->event.reset(check_errno(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd"));
    watcher_ = std::move(watcher);
    round_ = {};
    batch_.clear();
    rearm();
  }
  return watcher_->event.get();
}

void SubscriberCore::on_record(std::function<void(const Record&)> each) {
  fork_mark_.check();
  if (watcher_ != nullptr)
    throw Error(errc::usage, "a subscriber is read by one of fd(), on_record() and next(), not by several");
  auto watcher = std::make_shared<SubscriberWatcher>(SubscriberWatcher::Mode::callback, *this);
  watcher->each = std::move(each);
  batch_.clear();
  watcher_ = std::move(watcher);
  rearm();
}

void SubscriberCore::stop() {
  if (watcher_ == nullptr || watcher_->mode() != SubscriberWatcher::Mode::callback) return;
  const auto watcher = watcher_;
  disarm();
  give_back(watcher->given);
  batch_.clear();
  if (watcher->error) std::rethrow_exception(watcher->error);
}

bool SubscriberCore::next_ready() {
  fork_mark_.check();
  check_mode(watcher_, SubscriberWatcher::Mode::coroutine);
  const bool first = !std::exchange(batch_is_for_next_, true);
  if (!first && next_index_ < batch_.size()) return true;
  return collect({});
}

void SubscriberCore::next_suspend(std::coroutine_handle<> resume) {
  if (watcher_ == nullptr)
    watcher_ = std::make_shared<SubscriberWatcher>(SubscriberWatcher::Mode::coroutine, *this);
  watcher_->waiting = resume;
  rearm();
}

const Record& SubscriberCore::next_resume() {
  if (watcher_ != nullptr && watcher_->next_error)
    std::rethrow_exception(std::exchange(watcher_->next_error, nullptr));
  return batch_.records()[next_index_++];
}

}  // namespace busway::client
