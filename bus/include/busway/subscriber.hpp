// Subscribing: by poll, by descriptor, by callback, by coroutine.
#pragma once

#include <chrono>
#include <coroutine>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <busway/error.hpp>
#include <busway/record.hpp>

namespace busway {

namespace client {
class SubscriberCore;
}  // namespace client

/// What a subscriber does when what it would read next is gone (deleted by retention, overwritten in a memory
/// topic).
enum class OnLoss {
  to_earliest,  ///< go on at the first record that is still there; `lost` counts the others
  to_latest,    ///< go on at the end; `lost` counts the others
  error,        ///< errc::offset_out_of_range
};

struct SubscriberOptions {
  StartAt from = latest;
  /// Partitions to read; empty: all.
  std::vector<std::int32_t> partitions{};
  OnLoss on_loss = OnLoss::to_earliest;
  /// See only records that were fdatasync'ed.
  bool durable_only = false;
  /// Records of one poll at the most.
  std::size_t max_poll_records = 1024;
  /// How long to spin before sleeping when there is nothing to read.
  std::chrono::microseconds spin{20};
};

/// Counts what this subscriber missed. Never silent: lost + corrupt + skipped + delivered = offsets passed.
struct SubscriberCounters {
  std::uint64_t delivered = 0;
  std::uint64_t lost = 0;      ///< records that were gone before they were read
  std::uint64_t corrupt = 0;   ///< records in the log whose batch does not match its checksum
  std::uint64_t skipped = 0;   ///< offsets that never carried a record for it: a jump, a rejected frame
  std::uint64_t from_log = 0;  ///< of `delivered`, those read from the log
};

/// Reads one topic. Belongs to one thread at a time. Movable (but not while callbacks or coroutines are
/// registered).
class Subscriber {
 public:
  explicit Subscriber(std::unique_ptr<client::SubscriberCore> core) noexcept;
  Subscriber(Subscriber&&) noexcept;
  Subscriber& operator=(Subscriber&&) noexcept;
  ~Subscriber();

  /// Records from where this subscriber stands, copied out of shared memory: in offset order within a
  /// partition, of one or several partitions. Waits up to `timeout` for the first. The views are valid until
  /// the next call. Throws Error: errc::offset_out_of_range (OnLoss::error), errc::topic_deleted,
  /// errc::corrupt.
  std::span<const Record> poll(std::chrono::nanoseconds timeout);
  /// poll without waiting and without exceptions.
  Result<std::span<const Record>> try_poll() noexcept;

  /// Zero-copy: calls `each` for records where they lie in shared memory, under a lease. Records of one
  /// partition a call. A subscriber that looks longer than the topic's lease.timeout.ms may lose its lease:
  /// lease_valid() tells, and the result does at the end. Records from the log are views of private memory
  /// and always valid.
  struct InPlace {
    std::size_t records = 0;
    bool valid =
        true;  ///< false: the lease was revoked, what was seen may have been overwritten under the look
  };
  InPlace poll_in_place(std::chrono::nanoseconds timeout, const std::function<void(const Record&)>& each);
  /// Within a poll_in_place callback: is what was handed out still untouched?
  bool lease_valid() const noexcept;

  /// A descriptor for epoll or Asio: readable when poll(0) would find records. Reset by poll. Owned by the
  /// subscriber.
  int fd();
  /// Calls `each` for every record on the bus's notifier thread until the subscriber is destroyed or `stop`
  /// is called. An exception from `each` ends the delivery and is rethrown by stop().
  void on_record(std::function<void(const Record&)> each);
  void stop();

  /// `co_await sub.next()`: the next record, resuming on the notifier thread, or through `resume_on` if set.
  class Next {
   public:
    explicit Next(client::SubscriberCore* core) noexcept : core_(core) {}
    bool await_ready();
    void await_suspend(std::coroutine_handle<> resume);
    const Record& await_resume();

   private:
    client::SubscriberCore* core_;
  };
  Next next() noexcept { return Next(core_.get()); }
  /// Coroutines of this subscriber resume through `executor` (called on the notifier thread with what to
  /// run).
  void resume_on(std::function<void(std::function<void()>)> executor);

  /// Moves this subscriber. Takes effect with the next poll.
  void seek(std::int32_t partition, StartAt where);
  /// The offset of the next record of a partition that poll would deliver.
  Offset position(std::int32_t partition) const;
  /// One past the last record published so far.
  Offset end_offset(std::int32_t partition) const;
  const std::vector<std::int32_t>& partitions() const noexcept;
  SubscriberCounters counters() const noexcept;

 private:
  std::unique_ptr<client::SubscriberCore> core_;
};

}  // namespace busway
