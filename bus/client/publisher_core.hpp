// The body of Publisher.
//
// A publish: choose the partition, take room in the own lane, write the frame, one compare-and-swap, wake who
// sleeps. That path takes no lock, makes no syscall, allocates nothing and has one locked instruction. What
// can be in its way (no room, a fence, a restarted service) is dealt with in publisher_wait.cpp, out of line.
//
// Everything that belongs to one attachment lies in a Berth; when the service was restarted the publisher
// moves to a new one, and frames that were written but not published are copied over. Belongs to one thread
// (checked in debug builds).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <busway/publisher.hpp>

#include "bus/base/clock.hpp"
#include "bus/client/bus_core.hpp"
#include "bus/client/durable_wait.hpp"
#include "bus/client/topic_link.hpp"
#include "bus/ring/lane_writer.hpp"
#include "bus/ring/publish.hpp"
#include "bus/wait/sleeper.hpp"
#include "bus/wait/spin.hpp"
#include "bus/wait/waker.hpp"

namespace busway::client {

using Atomics = memory::StdAtomics;

/// Monotonic ns, asked only when a lease is in the way.
struct LeaseClock {
  std::int64_t operator()() const noexcept {
    return std::chrono::steady_clock::now().time_since_epoch().count();
  }
};
using LeasePatience = ring::LeasePatience<LeaseClock>;

/// One ring that this publisher publishes, or has published, into.
struct RingSeat {
  ring::Ledger<Atomics> ledger;
  std::shared_ptr<const void> keep;
};

/// One lane of this publisher.
struct LaneSeat {
  explicit LaneSeat(OwnLane own);

  OwnLane lane;
  std::unique_ptr<ring::Remembered<Atomics>, void (*)(void*)> book;
  ring::LaneWriter<Atomics> writer;
};

/// One partition.
struct PartitionSeat {
  ring::Partition partition;
  const memory::PartitionMarks* marks = nullptr;
  RingSeat* ring = nullptr;                      ///< the newest one; null before the first publish
  std::vector<std::unique_ptr<RingSeat>> rings;  ///< all whose frames are still remembered
  std::uint64_t end = 0;  ///< one past the last offset published into rings that were left
  Position position{};    ///< of the ring's records, but for their offset
  bool unwoken = false;   ///< published into since its sleepers were last woken

  /// One past the last offset published here; 0 = none. Not counted along: a store less for every publish.
  std::uint64_t published_end() const noexcept {
    const bool used = ring != nullptr && ring->ledger.seen > ring->ledger.ring.base;
    return used ? ring->ledger.seen : end;
  }
};

/// One attachment and what came of it.
struct Berth {
  std::shared_ptr<Use> use;
  TopicLink* link = nullptr;  ///< use's
  std::vector<PartitionSeat> seats;
  std::vector<std::unique_ptr<LaneSeat>> lanes;  ///< the active one last
  std::size_t open_loans = 0;
};

/// A frame in a lane, not yet published.
struct Frame {
  Berth* berth = nullptr;
  LaneSeat* lane = nullptr;
  std::uint64_t handle = 0;
  std::byte* data = nullptr;
  std::uint32_t place = 0;
  std::uint32_t partition = 0;
  std::size_t bytes = 0;  ///< header included
  bool loaned = false;    ///< counted in berth->open_loans
};

class PublisherCore {
 public:
  PublisherCore(std::shared_ptr<BusCore> core, std::string topic, const PublisherOptions& options);
  ~PublisherCore();
  PublisherCore(const PublisherCore&) = delete;
  PublisherCore& operator=(const PublisherCore&) = delete;

  Position publish(const NewRecord& record);
  Position publish_durable(const NewRecord& record);
  Result<Position> try_publish(const NewRecord& record) noexcept;
  Receipt publish_async(const NewRecord& record);
  Position publish_batch(std::span<const NewRecord> records);
  Loan loan(std::size_t bytes, const LoanOptions& options);
  Position publish_loan(std::uint64_t ticket, std::size_t bytes);
  void abandon_loan(std::uint64_t ticket) noexcept;
  void flush(std::chrono::milliseconds timeout);

  std::uint32_t partitions() const noexcept { return partitions_; }

 private:
  /// How long one call may still wait; costs nothing until it has to.
  struct Patience {
    explicit Patience(bool may_wait) noexcept : waits(may_wait) {}
    struct Waiting {
      Deadline deadline;
      wait::Spinner spinner;
      wait::Backoff backoff;
      bool spinning = true;
      bool asked_growth = false;
    };
    bool waits;
    std::optional<Waiting> waiting{};
  };

  /// What a frame is made of. A view: what it refers to is read where it is needed, not held in registers.
  struct Parts {
    const BytesView& key;
    const BytesView& value;
    const HeaderList& headers;
    std::size_t headers_bytes = 0;
    std::int64_t timestamp_ms = 0;
  };
  /// What kind of record a frame is made of.
  enum class Way : std::uint8_t {
    keyless,  ///< a short one without key and headers
    keyed,    ///< a short one without headers
    any,
  };
  /// What came of the straight path: where the record lies, or no seat.
  struct Straight {
    PartitionSeat* seat = nullptr;
    std::uint64_t offset = 0;
  };
  /// Where a frame is written, and what its header says of that.
  struct Place {
    std::byte* data = nullptr;
    std::uint32_t place = 0;
    std::uint32_t partition = 0;
  };

  /// Records without a key stay in one partition for so many bytes (Kafka's sticky partitioner).
  static constexpr std::size_t kStickyBytes = 16 * limits::kKiB;
  /// Shared memory does not tell when keeper and worker have died together; the connection does. One look (a
  /// system call) in so many ms bounds what is published to nobody.
  static constexpr std::int64_t kAttendEveryMs = 100;
  /// Who stamps his records looks at the clock no more often than once in so many units of his lane: 16
  /// records of 64 bytes.
  static constexpr std::uint64_t kUnattendedUnits = 48;

  struct OpenLoan {
    Frame frame;
    std::optional<std::int64_t> timestamp_ms{};
    std::size_t value_bytes = 0;
    bool open = false;
  };

  // publisher_core.cpp: the straight path
  void enter() const;
  bool may_enter() const noexcept;
  bool unattended_for_long() noexcept;
  template <Way way>
  bool is_short(const NewRecord& record) const noexcept;
  template <Way way, bool kClock>
  Straight publish_at_once(const NewRecord& record, std::int64_t now) noexcept;
  Straight publish_steadily(const NewRecord& record, std::int64_t now) noexcept;
  template <Way way, bool kClock>
  Position publish_usual(const NewRecord& record);
  Position publish_in_full(const NewRecord& record);
  Straight publish_for_batch(std::span<const NewRecord> records, std::size_t at, std::int64_t now,
                             bool straight);
  bool nobody_to_tell(const PartitionSeat& seat) const noexcept;
  Position tell_of(PartitionSeat& seat, std::uint64_t offset) noexcept;
  Position publish_waiting(const NewRecord& record);
  errc publish_one(const NewRecord& record, std::int64_t now, Patience& patience, Position& position);
  errc choose_partition(BytesView key, std::optional<std::int32_t> wanted,
                        std::uint32_t& partition) const noexcept;
  void count_sticky(std::size_t bytes) noexcept {
    if (!several_partitions_) return;
    sticky_bytes_ += bytes;
    if (sticky_bytes_ < kStickyBytes) return;
    sticky_bytes_ = 0;
    stick_to(sticky_ + 1 == partitions_ ? 0 : sticky_ + 1);
  }
  void stick_to(std::uint32_t partition) noexcept {
    sticky_ = partition;
    sticky_seat_ = &seats_[partition];
  }
  template <Way way>
  void put_frame(Place place, Parts parts) noexcept;
  void write_frame(Place place, Parts parts) noexcept;
  void wake(PartitionSeat& seat) noexcept;
  std::int64_t now_ms() const noexcept { return clock_.unix_ms(); }
  LeasePatience lease_patience() const noexcept { return {.now_ns = {}, .timeout_ns = lease_timeout_ns_}; }

  bool attendance_due(std::int64_t now) const noexcept;
  errc attend_in_time(std::int64_t now, Patience& patience);
  static Position position_of(const PartitionSeat& seat, std::uint64_t offset) noexcept;
  void wake_unwoken() noexcept;
  void wake_partition(std::uint32_t partition) noexcept { wake(seats_[partition]); }
  DurableTarget durable_target(const Position& position) const;

  // publisher_wait.cpp: what can be in the way
  errc attend(std::int64_t now, Patience& patience);
  errc reserve_slowly(std::size_t payload, Frame& frame, Patience& patience);
  errc further_lane(ring::ReserveStatus status, std::size_t payload, Patience& patience);
  errc commit_slowly(Frame& frame, ring::PublishOutcome outcome, Patience& patience, Position& position);
  errc behind_fence(std::uint32_t partition, ring::FenceReason reason, Patience& patience);
  errc enter_ring(PartitionSeat& seat, std::uint32_t generation, Patience& patience);
  ring::PublishOutcome attempt(const Frame& frame) noexcept;
  template <class Ready>
  errc wait_turn(std::uint32_t partition, Patience& patience, Ready&& ready);
  Patience::Waiting& begin_waiting(Patience& patience);
  Deadline ask_deadline(Patience& patience);
  errc judge_state(std::uint32_t partition) const noexcept;
  errc out_of_time() const noexcept;
  void widen_ring(PartitionSeat& seat, Patience& patience) noexcept;
  bool widen_lane(Patience& patience) noexcept;

  // publisher_berth.cpp: making, changing and leaving berths
  std::unique_ptr<Berth> make_berth(const Deadline& deadline);
  void take_up(std::unique_ptr<Berth> berth);
  void add_lane(Berth& berth, std::uint64_t least_record_bytes, const Deadline& deadline);
  void leave(Berth& berth) noexcept;
  errc move_berth(Patience& patience);
  errc carry_over(Frame& frame, Patience& patience);
  static void forget_rings(const Berth& berth, PartitionSeat& seat, const RingSeat* but) noexcept;
  void settle() noexcept;
  void learn_settings() noexcept;

  // publisher_errors.cpp
  static std::string held_up_by(const PartitionSeat& seat);
  [[noreturn]] void fail(errc code, std::size_t payload, std::int64_t partition) const;
  [[noreturn]] void fail(errc code, const NewRecord& record) const;

  // What the straight path reads.
  control::ForkMark fork_mark_;
  Berth* here_ = nullptr;
  PartitionSeat* seats_ = nullptr;
  PartitionSeat* sticky_seat_ = nullptr;  ///< where records without a key go
  LaneSeat* lane_ = nullptr;
  const memory::MarksHeader* marks_ = nullptr;
  const std::atomic<bool>* stale_ = nullptr;  ///< the link's
  std::int64_t attended_ms_ = 0;              ///< when the connection was last looked after
  wait::Waker waker_;
  std::uint32_t partitions_ = 0;
  std::uint32_t sticky_ = 0;         ///< number of sticky_seat_
  std::uint64_t attended_unit_ = 0;  ///< of the lane, when the clock was last looked at
  std::size_t sticky_bytes_ = 0;
  std::int64_t lease_timeout_ns_ = 0;
  bool unsettled_ = false;  ///< there is something that will no longer be needed
  bool logged_ = true;
  bool several_partitions_ = false;
  /// Bytes of key and value of a record that is short: ring::kShortMost, unless max.message.bytes is less.
  std::size_t short_most_ = 0;
  WallClock clock_;
#ifndef NDEBUG
  mutable std::thread::id thread_{};
#endif

  std::shared_ptr<BusCore> core_;
  const std::string topic_;
  const PublisherOptions options_;
  std::unique_ptr<Berth> berth_;
  std::vector<std::unique_ptr<Berth>> left_;  // berths with loans still open
  std::vector<PartitionSeat*> unwoken_;
  std::vector<OpenLoan> loans_;
  /// Refused growth is not asked for again before.
  std::chrono::steady_clock::time_point growth_not_before_{};
};

}  // namespace busway::client
