// Publishing.
#pragma once

#include <chrono>
#include <coroutine>
#include <cstddef>
#include <memory>
#include <span>

#include <busway/error.hpp>
#include <busway/types.hpp>

namespace busway {

namespace client {
class PublisherCore;
class DurableWait;
}  // namespace client

struct PublisherOptions {
  /// How long a publish may wait for room (Kafka's max.block.ms).
  std::chrono::milliseconds max_block{60'000};
  /// How long to spin before sleeping when there is no room or durability is awaited.
  std::chrono::microseconds spin{20};
  /// Stamp records with CLOCK_REALTIME rather than CLOCK_REALTIME_COARSE (1 to 4 ms steps).
  bool precise_time = false;
};

/// A published record that may be awaited until it is durable. Copyable; any thread may use it.
class Receipt {
 public:
  /// An awaitable: `co_await receipt.durable()` resumes on the bus's notifier thread once the record was
  /// fdatasync'ed, and throws what wait_durable throws.
  class Awaitable {
   public:
    explicit Awaitable(std::shared_ptr<client::DurableWait> wait) noexcept : wait_(std::move(wait)) {}
    bool await_ready() const;
    void await_suspend(std::coroutine_handle<> resume);
    void await_resume() const;

   private:
    std::shared_ptr<client::DurableWait> wait_;
  };

  const Position& position() const noexcept { return position_; }
  /// True once the record was fdatasync'ed. Never blocks.
  bool is_durable() const;
  /// Waits until it was. errc::deadline_exceeded, errc::epoch_changed (the log end jumped: the record may be
  /// lost), errc::partition_failed.
  void wait_durable(std::chrono::milliseconds timeout = std::chrono::milliseconds{60'000}) const;
  Awaitable durable() const { return Awaitable(wait_); }

 private:
  friend class client::PublisherCore;
  Receipt(Position position, std::shared_ptr<client::DurableWait> wait) noexcept
      : position_(position), wait_(std::move(wait)) {}
  Position position_;
  std::shared_ptr<client::DurableWait> wait_;
};

/// Lane memory that the caller fills and then publishes without a copy. It may be kept as long as one likes:
/// it holds up nobody but its own publisher's lane. Destroyed unpublished, it is abandoned. Must not outlive
/// its publisher; belongs to the publisher's thread.
class Loan {
 public:
  Loan(Loan&& other) noexcept;
  Loan& operator=(Loan&& other) noexcept;
  ~Loan();
  /// The bytes of the record's value, uninitialised.
  std::span<std::byte> value() noexcept { return value_; }
  /// Publishes the first `bytes` bytes of the value (all of them by default). Errors as Publisher::publish.
  Position publish();
  Position publish(std::size_t bytes);

 private:
  friend class client::PublisherCore;
  Loan(client::PublisherCore* core, std::span<std::byte> value, std::uint64_t ticket) noexcept
      : core_(core), value_(value), ticket_(ticket) {}
  client::PublisherCore* core_;
  std::span<std::byte> value_;
  std::uint64_t ticket_;
};

/// What a loan's record carries besides its value.
struct LoanOptions {
  BytesView key{};
  HeaderList headers{};
  std::optional<std::int64_t> timestamp_ms{};
  std::optional<std::int32_t> partition{};
};

/// Publishes to one topic. Belongs to one thread (checked in debug builds). Movable.
///
/// A record is published when the call returns: every subscriber can read it, and it outlives this process,
/// the subscribers and the daemon's worker. `durable` adds: it outlives a power cut.
class Publisher {
 public:
  explicit Publisher(std::unique_ptr<client::PublisherCore> core) noexcept;
  Publisher(Publisher&&) noexcept;
  Publisher& operator=(Publisher&&) noexcept;
  ~Publisher();

  /// Publishes. Waits for room up to max_block. Throws Error: errc::record_too_large,
  /// errc::invalid_partition, errc::deadline_exceeded (nothing was published), errc::no_daemon (likewise: no
  /// room, and nobody there to make any), errc::disk_full (likewise, with its cause), errc::partition_failed,
  /// errc::topic_deleted, errc::forked.
  Position publish(const NewRecord& record);
  /// Publishes and returns after the record was fdatasync'ed. Besides the errors of publish():
  /// errc::epoch_changed (it may be lost), errc::unsupported (a memory topic); errc::deadline_exceeded while
  /// waiting for the sync: it is published, and the sentence says so.
  Position publish(const NewRecord& record, Durable);
  /// Publishes if that is possible at once; errc::would_block otherwise. Never throws, never sleeps; a record
  /// larger than any before it may ask the daemon for a larger lane.
  Result<Position> try_publish(const NewRecord& record) noexcept;
  /// Publishes and hands back a receipt that can be awaited until the record is durable.
  Receipt publish_async(const NewRecord& record);
  /// Publishes records in order, waking sleepers and reading the clock once. Returns the position of the
  /// last. Throws BatchError, with the errors of publish(): the records before the refused one are published.
  Position publish_batch(std::span<const NewRecord> records);
  /// Lends lane memory for a value of `bytes` bytes. Errors as publish; errc::lane_exhausted when open loans
  /// hold it all.
  Loan loan(std::size_t bytes, const LoanOptions& options = {});
  /// Waits until everything that this publisher published is durable.
  void flush(std::chrono::milliseconds timeout = std::chrono::milliseconds{60'000});

  std::int32_t partitions() const noexcept;
  /// The partition that Kafka's default partitioner gives this key.
  std::int32_t partition_of(BytesView key) const noexcept;

 private:
  std::unique_ptr<client::PublisherCore> core_;
};

}  // namespace busway
