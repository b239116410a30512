// Waiting until a published record is durable: fdatasync'ed under the epoch in which it was published.
//
// A request for a sync is posted again at every turn of a wait, since the worker that took it may have died
// before the sync (H21). When the service was restarted meanwhile, the old marks say nothing new: the wait
// attaches anew, which has the log recovered, and asks the new ones. Thread safety: every call from any
// thread.
#pragma once

#include <chrono>
#include <coroutine>
#include <cstdint>
#include <memory>
#include <mutex>

#include <busway/error.hpp>
#include <busway/types.hpp>

#include "bus/base/clock.hpp"
#include "bus/client/topic_link.hpp"

namespace busway::client {

/// A record, and the attachment through which one can ask after it.
struct DurableTarget {
  std::shared_ptr<Use> use;
  Position position;
  TopicLink& link() const noexcept { return use->link(); }
};

/// errc::ok: durable. errc::would_block: not yet. Else it never will be, as far as can be told:
/// epoch_changed, partition_failed. Never blocks.
errc look_durable(const DurableTarget& target) noexcept;

/// Waits until look_durable() has an answer, a sync having been requested before; errc::deadline_exceeded if
/// it has none in time. Renews the target's attachment if need be.
errc wait_durable(DurableTarget& target, const Deadline& deadline, std::chrono::nanoseconds spin);

/// The errno text of what holds a partition up: of a full disk, of a log that failed.
std::string cause_of(const memory::PartitionMarks& marks);

/// Throws the Error, with a sentence, that belongs to what wait_durable() gave; nothing for errc::ok.
void throw_unless_durable(errc code, const DurableTarget& target);

/// What a Receipt and its awaitables share.
class DurableWait : public std::enable_shared_from_this<DurableWait> {
 public:
  explicit DurableWait(DurableTarget target) noexcept : target_(std::move(target)) {}

  /// As look_durable().
  errc look() const { return look_durable(target()); }
  /// As wait_durable(), then throw_unless_durable().
  void wait(const Deadline& deadline);
  /// Resumes on the notifier's thread once there is an answer, or waiting for it makes no sense.
  void resume_when_settled(std::coroutine_handle<> resume);

  DurableTarget target() const;
  /// Attaches anew if the attachment is stale; the answer as look_durable() gives it.
  errc renew(const Deadline& deadline);

 private:
  void set_target(DurableTarget target);

  mutable std::mutex mutex_;
  DurableTarget target_;  // guarded by mutex_
};

}  // namespace busway::client
