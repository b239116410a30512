// A subscriber's deputy at the notifier: for its descriptor, its callback, or the coroutine that waits for
// its next record.
//
// It looks at copies of where the readers stand, so the notifier's thread never touches a reader that another
// thread uses. It may outlive its subscriber by the moment of a callback that destroys it: closed() tells.
#pragma once

#include <atomic>
#include <coroutine>
#include <exception>
#include <functional>
#include <memory>
#include <vector>

#include <busway/record.hpp>

#include "bus/base/fd.hpp"
#include "bus/client/topic_link.hpp"
#include "bus/read/partition_reader.hpp"
#include "bus/wait/notifier.hpp"
#include "bus/wait/sleeper.hpp"

namespace busway::client {

class SubscriberCore;

class SubscriberWatcher : public wait::Watcher, public std::enable_shared_from_this<SubscriberWatcher> {
 public:
  enum class Mode : std::uint8_t { descriptor, callback, coroutine };

  SubscriberWatcher(Mode mode, SubscriberCore& core) noexcept : mode_(mode), core_(&core) {}

  void announce() noexcept override { link_->sleeper().announce(spots_); }
  void retract() noexcept override { link_->sleeper().retract(spots_); }
  bool ready() noexcept override;
  void fire() noexcept override;
  void idle() noexcept override { link_->core().tend(); }

  /// Takes the copies; not while it is armed.
  void look_at(const std::shared_ptr<TopicLink>& link, const std::vector<wait::Spot>& spots,
               std::vector<read::Watch> watches);

  Mode mode() const noexcept { return mode_; }
  /// The subscriber is gone, or has stopped its callback.
  void close() noexcept { closed_.store(true, std::memory_order_release); }
  bool closed() const noexcept { return closed_.load(std::memory_order_acquire); }

  Fd event;                                 ///< descriptor
  std::atomic<bool> signalled{false};       ///< descriptor: it is readable
  std::function<void(const Record&)> each;  ///< callback
  std::size_t given = 0;                    ///< callback: records of the batch that it got
  std::exception_ptr error;                 ///< callback: what ended the delivery
  std::coroutine_handle<> waiting;          ///< coroutine
  std::exception_ptr next_error;            ///< coroutine: what reading threw

 private:
  void deliver();
  void resume_waiting();

  const Mode mode_;
  SubscriberCore* core_;
  std::atomic<bool> closed_{false};
  std::shared_ptr<TopicLink> link_;
  std::vector<wait::Spot> spots_;
  std::vector<read::Watch> watches_;
};

}  // namespace busway::client
