// The body of Subscriber.
//
// It reads its partitions in turn, each as one stream (bus/read), and waits: spins, then sleeps on the
// session's bell for all of them at once. After a restart of the service it attaches anew and goes on at the
// offsets where it stood. Descriptors, callbacks and coroutines are all one watcher at the bus's notifier
// (subscriber_async.cpp). Belongs to one thread at a time; the notifier's thread counts as one.
#pragma once

#include <algorithm>
#include <chrono>
#include <coroutine>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <busway/subscriber.hpp>

#include "bus/client/bus_core.hpp"
#include "bus/client/topic_link.hpp"
#include "bus/read/partition_reader.hpp"
#include "bus/wait/sleeper.hpp"

namespace busway::client {

class SubscriberWatcher;

/// Asks the daemon on behalf of one subscriber's readers, within the deadline of the call that is under way.
class LinkSource : public read::Source {
 public:
  explicit LinkSource(std::shared_ptr<TopicLink> link) : link_(std::move(link)) {}
  /// A request has at least `least`, however little is left.
  void set_deadline(const LazyDeadline& deadline, std::chrono::nanoseconds least = {}) noexcept {
    deadline_ = deadline;
    least_ = least;
  }

  std::vector<read::HeldRing> rings(std::uint32_t partition, std::uint32_t wanted) override {
    return link_->rings(partition, wanted, control::Role::subscriber, deadline());
  }
  read::HeldLane lane(std::uint32_t lane, std::uint32_t generation) override {
    return link_->lane(lane, generation, deadline());
  }
  std::vector<read::OpenSegment> segments(std::uint32_t partition, std::uint64_t offset) override {
    return link_->segments(partition, offset, deadline());
  }

 private:
  Deadline deadline() noexcept { return Deadline::after(std::max(deadline_.get().left(), least_)); }

  std::shared_ptr<TopicLink> link_;
  LazyDeadline deadline_ = Deadline::never();
  std::chrono::nanoseconds least_{0};
};

class SubscriberCore {
 public:
  SubscriberCore(std::shared_ptr<BusCore> core, std::string topic, const SubscriberOptions& options);
  ~SubscriberCore();
  SubscriberCore(const SubscriberCore&) = delete;
  SubscriberCore& operator=(const SubscriberCore&) = delete;

  std::span<const Record> poll(std::chrono::nanoseconds timeout);
  Result<std::span<const Record>> try_poll() noexcept;
  Subscriber::InPlace poll_in_place(std::chrono::nanoseconds timeout,
                                    const std::function<void(const Record&)>& each);
  bool lease_valid() const noexcept { return lease_ == nullptr || !lease_->held() || lease_->valid(); }

  int fd();
  void on_record(std::function<void(const Record&)> each);
  void stop();
  bool next_ready();
  void next_suspend(std::coroutine_handle<> resume);
  const Record& next_resume();
  void resume_on(std::function<void(std::function<void()>)> executor) { executor_ = std::move(executor); }

  void seek(std::int32_t partition, StartAt where);
  Offset position(std::int32_t partition) const;
  Offset end_offset(std::int32_t partition) const;
  const std::vector<std::int32_t>& partitions() const noexcept { return numbers_; }
  SubscriberCounters counters() const noexcept;

 private:
  friend class SubscriberWatcher;

  /// One partition of the present attachment.
  struct Seat {
    Seat(const ring::Partition& partition, const read::ReaderOptions& options, LinkSource& source,
         read::LaneCache& lanes)
        : reader(partition, options, source, lanes) {}
    read::PartitionReader reader;
    std::optional<ring::Lease<memory::StdAtomics>> lease;
    memory::Atomic64* cursor = nullptr;  ///< overflow=block
    std::uint64_t cursor_at = 0;
  };

  /// What a round over all partitions came to.
  struct Round {
    bool stalled = false;
    bool stopped = false;
    bool later = false;
    void note(read::Progress progress) noexcept;
  };

  /// One attachment: replaced as a whole when the service was restarted.
  struct Station {
    std::shared_ptr<Use> use;
    std::shared_ptr<TopicLink> link;  ///< use's
    std::unique_ptr<LinkSource> source;
    read::LaneCache lanes;
    std::vector<std::unique_ptr<Seat>> seats;
  };

  std::unique_ptr<Station> make_station(const Deadline& deadline);
  void add_seat(Station& station, std::uint32_t partition);
  void choose_partitions(const TopicLink& link);
  std::uint64_t resolve(Seat& seat, StartAt where, const Deadline& deadline);
  std::uint64_t first_at_time(Seat& seat, std::int64_t unix_ms, const Deadline& deadline);
  bool move_station();

  bool collect(const LazyDeadline& deadline);
  void judge(const Seat& seat, read::Progress progress);
  [[noreturn]] void condemn(const Seat& seat, read::Progress progress);
  void after_reading(Seat& seat) noexcept;
  bool any_ready() const noexcept;
  template <class Collect>
  bool wait_for_records(std::chrono::nanoseconds timeout, Collect&& collect);
  bool sleep_turn(const Deadline& deadline, wait::Backoff& backoff, wait::Backoff& nap);
  void look_after_link();
  void keep_distance(std::chrono::nanoseconds timeout) const noexcept;
  void purge() noexcept;
  void give_back(std::size_t index) noexcept;
  bool show_round(const LazyDeadline& deadline, const std::function<void(const Record&)>& each,
                  Subscriber::InPlace& result);
  Seat& seat_of(std::int32_t partition) const;
  void rearm();
  void disarm() noexcept;

  const std::shared_ptr<BusCore> core_;
  const control::ForkMark fork_mark_;
  const std::string topic_;
  SubscriberOptions options_;
  std::unique_ptr<Station> station_;
  std::vector<std::int32_t> numbers_;
  std::vector<wait::Spot> spots_;
  read::RecordBatch batch_;
  read::ReaderCounters counted_before_;  // by earlier stations
  std::size_t turn_ = 0;                 // the partition that is read first
  std::uint32_t polls_ = 0;
  Round round_;                                             // the last one
  bool streaming_ = false;                                  // the last poll gave several records
  bool caught_up_ = false;                                  // it gave a stream's, and all there were
  const ring::Lease<memory::StdAtomics>* lease_ = nullptr;  // held while a callback looks in place

  // Asynchronous use.
  std::shared_ptr<SubscriberWatcher> watcher_;
  std::function<void(std::function<void()>)> executor_;
  std::size_t next_index_ = 0;      // of the record that next() gives
  bool batch_is_for_next_ = false;  // who else reads gives back what next() has not given
};

}  // namespace busway::client
