// Waiting until a published record is durable: fdatasync'ed under the epoch in which it was published.
//
// A request for a sync is posted again at every turn of a wait, since the worker that took it may have died
// before the sync (H21). When the service was restarted meanwhile the old marks say nothing new: the daemon
// is asked. Thread safety: every call from any thread.
#pragma once

#include <chrono>
#include <coroutine>
#include <cstdint>
#include <memory>

#include <busway/error.hpp>
#include <busway/types.hpp>

#include "bus/base/clock.hpp"
#include "bus/client/topic_link.hpp"

namespace busway::client {

/// Where a record lies, and how to ask after it.
struct DurableTarget {
  std::shared_ptr<Use> use;
  Position position;
  TopicLink& link() const noexcept { return use->link(); }
};

/// errc::ok: durable. errc::would_block: not yet. Else it never will be, as far as can be told:
/// epoch_changed, partition_failed. Never blocks.
errc look_durable(const DurableTarget& target) noexcept;

/// Waits until look_durable() has an answer; errc::deadline_exceeded if it has none in time.
errc wait_durable(const DurableTarget& target, const Deadline& deadline, std::chrono::nanoseconds spin);

/// Throws the Error, with a sentence, that belongs to what wait_durable() gave; nothing for errc::ok.
void throw_unless_durable(errc code, const DurableTarget& target);

/// What a Receipt and its awaitables share.
class DurableWait : public std::enable_shared_from_this<DurableWait> {
 public:
  explicit DurableWait(DurableTarget target) noexcept : target_(std::move(target)) {}

  const DurableTarget& target() const noexcept { return target_; }
  bool settled() const noexcept { return look_durable(target_) != errc::would_block; }
  /// Resumes on the notifier's thread once there is an answer.
  void resume_when_settled(std::coroutine_handle<> resume);
  /// Throws unless the record is durable.
  void check();

 private:
  DurableTarget target_;
};

}  // namespace busway::client
