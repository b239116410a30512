// The straight path of a publish, and what is built of it: batches, durable and asynchronous publishes.
#include "bus/client/publisher_core.hpp"

#include <algorithm>
#include <utility>

#include "bus/base/murmur2.hpp"
#include "bus/client/header_encoding.hpp"
#include "bus/ring/frame.hpp"

namespace busway::client {
namespace {

/// Beyond what any lane can hold, and far below where sums of lengths could overflow.
constexpr std::uint64_t kPayloadMost = limits::kLaneBytesMost;

}  // namespace

PublisherCore::PublisherCore(std::shared_ptr<BusCore> core, std::string topic,
                             const PublisherOptions& options)
    : clock_(options.precise_time ? CLOCK_REALTIME : CLOCK_REALTIME_COARSE),
      core_(std::move(core)),
      topic_(std::move(topic)),
      options_(options) {
  const Deadline deadline = core_->usual_deadline();
  take_up(make_attached(deadline, [&] { return make_berth(deadline); }));
  // Publishers of one topic start at different partitions.
  stick_to(raw(lane_->lane.info.lane) % partitions_);
}

PublisherCore::~PublisherCore() {
  for (const auto& berth : left_) leave(*berth);
  if (berth_ != nullptr) leave(*berth_);
}

/// What enter() would find nothing wrong with, in so far as it can be told without a call.
inline bool PublisherCore::may_enter() const noexcept {
#ifndef NDEBUG
  return false;
#else
  return !fork_mark_.forked();
#endif
}

void PublisherCore::enter() const {
  if (fork_mark_.forked()) [[unlikely]]
    fork_mark_.check();
#ifndef NDEBUG
  if (thread_ == std::thread::id{}) thread_ = std::this_thread::get_id();
  if (thread_ != std::this_thread::get_id())
    throw Error(errc::usage,
                "a publisher of topic " + topic_ +
                    " was used by a second thread: a publisher belongs to one thread, make one for each");
#endif
}

/// The connection is to be looked after now and then, and left if the service was restarted.
bool PublisherCore::attendance_due(std::int64_t now) const noexcept {
  // relaxed: a hint; who acts on it takes locks.
  if (stale_->load(std::memory_order_relaxed)) return true;
  // The clock may jump back, too.
  return static_cast<std::uint64_t>(now - attended_ms_) >= static_cast<std::uint64_t>(kAttendEveryMs);
}

errc PublisherCore::attend_in_time(std::int64_t now, Patience& patience) {
  return attendance_due(now) ? attend(now, patience) : errc::ok;
}

errc PublisherCore::choose_partition(BytesView key, std::optional<std::int32_t> wanted,
                                     std::uint32_t& partition) const noexcept {
  if (wanted) {
    partition = static_cast<std::uint32_t>(*wanted);
    return partition < partitions_ ? errc::ok : errc::invalid_partition;
  }
  const bool by_key = !key.is_null() && several_partitions_;
  partition = by_key ? partition_of_key(key.data(), key.size(), partitions_) : sticky_;
  return errc::ok;
}

template <PublisherCore::Way way>
[[gnu::always_inline]] inline void PublisherCore::put_frame(Place place, Parts parts) noexcept {
  const auto length = [](const BytesView& bytes) {
    return bytes.is_null() ? memory::kNullLength : static_cast<std::int32_t>(bytes.size());
  };
  const std::byte* const value = parts.value.data();
  const std::size_t value_bytes = parts.value.size();
  const auto put = [](std::byte* to, const std::byte* from, std::size_t bytes) {
    if constexpr (way != Way::any)
      ring::put_short<Atomics>(to, from, bytes);
    else
      ring::put_bytes<Atomics>(to, from, bytes);
  };
  ring::put_header<Atomics>(place.data, {.place = place.place,
                                         .partition = place.partition,
                                         .timestamp_ms = parts.timestamp_ms,
                                         .headers_bytes = static_cast<std::uint32_t>(parts.headers_bytes),
                                         .key_bytes = length(parts.key),
                                         .value_bytes = length(parts.value),
                                         .reserved = 0});
  std::byte* at = place.data + sizeof(memory::FrameHeader);
  if (way == Way::any && parts.headers_bytes != 0) at = encode_headers(at, parts.headers);
  if (way != Way::keyless && !parts.key.empty()) {
    put(at, parts.key.data(), parts.key.size());
    at += parts.key.size();
  }
  // A loan's value has a length but no bytes yet.
  if (way != Way::any || value != nullptr) put(at, value, value_bytes);
}

void PublisherCore::write_frame(Place place, Parts parts) noexcept { put_frame<Way::any>(place, parts); }

/// The record at `offset` of the seat's ring is ours.
Position PublisherCore::position_of(const PartitionSeat& seat, std::uint64_t offset) noexcept {
  Position position = seat.position;
  position.offset = static_cast<Offset>(offset);
  return position;
}

void PublisherCore::wake(PartitionSeat& seat) noexcept {
  waker_.wake(seat.partition.wait.records);
  // relaxed: an ordinal that changed meanwhile costs a sweep.
  if (logged_) waker_.mark_dirty(seat.marks->ordinal.load(std::memory_order_relaxed));
}

/// Is there nobody to be woken for what was published, and does the daemon know of it?
inline bool PublisherCore::nobody_to_tell(const PartitionSeat& seat) const noexcept {
  // relaxed: as in wake().
  return !waker_.asleep(seat.partition.wait.records) &&
         (!logged_ || waker_.is_dirty(seat.marks->ordinal.load(std::memory_order_relaxed)));
}

[[gnu::noinline]] Position PublisherCore::tell_of(PartitionSeat& seat, std::uint64_t offset) noexcept {
  wake(seat);
  return position_of(seat, offset);
}

/// Who stamps his records does not pay for a clock, but for a look now and then.
inline bool PublisherCore::unattended_for_long() noexcept {
  const std::uint64_t unit = lane_->writer.next_unit();  // back at the lane's start it is far ahead, too
  if (unit - attended_unit_ < kUnattendedUnits) return false;
  attended_unit_ = unit;
  return true;
}

/// May this record be published without a call? Murmur2 is one.
template <PublisherCore::Way way>
[[gnu::always_inline]] inline bool PublisherCore::is_short(const NewRecord& record) const noexcept {
  if (!record.headers.empty()) return false;
  if constexpr (way == Way::keyless) return record.value.size() <= short_most_;
  const bool by_key = !record.key.is_null() && several_partitions_ && !record.partition;
  return !by_key && record.key.size() <= short_most_ &&
         record.key.size() + record.value.size() <= short_most_;
}

/// Everything but waking for a short record, if nothing is in the way: no want of room, no fence, no restart,
/// nobody else publishing. No seat: nothing was published, and somebody with more patience sees to it from
/// the start. What counts here is the number of instructions, which all wait for the CAS before them, and of
/// stores shortly before the next one, which waits for them.
template <PublisherCore::Way way, bool kClock>
[[gnu::always_inline]] inline PublisherCore::Straight PublisherCore::publish_at_once(
    const NewRecord& record, std::int64_t now) noexcept {
  if (!is_short<way>(record)) [[unlikely]]
    return {};
  constexpr BytesView kNoKey;
  const BytesView& key = way == Way::keyless ? kNoKey : record.key;
  const std::size_t payload = key.size() + record.value.size();
  PartitionSeat* seat = sticky_seat_;
  if (record.partition) [[unlikely]] {
    const auto partition = static_cast<std::uint32_t>(*record.partition);
    if (partition >= partitions_) return {};
    seat = &seats_[partition];
  }
  if (seat->ring == nullptr) [[unlikely]]
    return {};
  ring::prefetch_commit(seat->ring->ledger);
  ring::LaneWriter<Atomics>& writer = lane_->writer;
  const std::uint64_t units = writer.units_of(sizeof(memory::FrameHeader) + payload);
  if (!writer.at_hand(units)) [[unlikely]]
    return {};
  const auto room = writer.room_at_hand(units);
  // Before the commit: what would have to be remembered over it takes more than giving back what fails.
  writer.take_to_commit(units, seat->ring->ledger);
  put_frame<way>({.data = room.data, .place = room.place, .partition = seat->partition.number},
                 {.key = key,
                  .value = record.value,
                  .headers = record.headers,
                  .headers_bytes = 0,
                  .timestamp_ms = kClock ? record.timestamp_ms.value_or(now) : *record.timestamp_ms});
  const std::uint64_t offset = ring::publish_at_once(seat->ring->ledger, room.place);
  if (offset == ring::kNotPublished) [[unlikely]] {
    lane_->writer.give_back(
        lane_->writer.units_of(sizeof(memory::FrameHeader) + key.size() + record.value.size()),
        seat->ring->ledger);
    return {};
  }
  if (several_partitions_) [[unlikely]]
    count_sticky(key.size() + record.value.size());
  return {.seat = seat, .offset = offset};
}

/// The same for any record, walking to the log end behind others.
[[gnu::noinline]] PublisherCore::Straight PublisherCore::publish_steadily(const NewRecord& record,
                                                                          std::int64_t now) noexcept {
  const std::size_t headers_bytes = record.headers.empty() ? 0 : encoded_headers_bytes(record.headers);
  const std::size_t payload = headers_bytes + record.key.size() + record.value.size();
  // relaxed: a limit, altered at any time.
  if (payload > std::min(marks_->max_message_bytes.load(std::memory_order_relaxed), kPayloadMost)) return {};
  std::uint32_t partition = 0;
  if (choose_partition(record.key, record.partition, partition) != errc::ok) return {};
  PartitionSeat& seat = seats_[partition];
  if (seat.ring == nullptr) return {};
  ring::Ledger<Atomics>& ledger = seat.ring->ledger;
  ring::prefetch_commit(ledger);
  ring::LaneWriter<Atomics>& writer = lane_->writer;
  const auto room = writer.find_room(sizeof(memory::FrameHeader) + payload, lease_patience());
  if (room.status != ring::ReserveStatus::reserved) return {};
  write_frame({.data = room.data, .place = room.place, .partition = partition},
              {.key = record.key,
               .value = record.value,
               .headers = record.headers,
               .headers_bytes = headers_bytes,
               .timestamp_ms = record.timestamp_ms.value_or(now)});
  const ring::PublishOutcome outcome = ring::publish(ledger, room.place);
  if (outcome.status != ring::PublishStatus::committed) return {};
  writer.take(room.units, ledger, outcome.offset);
  count_sticky(payload);
  return {.seat = &seat, .offset = outcome.offset};
}

/// The same, waiting for whatever is in the way.
[[gnu::noinline]] errc PublisherCore::publish_one(const NewRecord& record, std::int64_t now,
                                                  Patience& patience, Position& position) {
  const std::size_t headers_bytes = encoded_headers_bytes(record.headers);
  const std::size_t payload = headers_bytes + record.key.size() + record.value.size();
  // relaxed: as above.
  if (payload > std::min(marks_->max_message_bytes.load(std::memory_order_relaxed), kPayloadMost))
    return errc::record_too_large;
  errc code = attend_in_time(now, patience);
  Frame frame;
  if (code == errc::ok) code = choose_partition(record.key, record.partition, frame.partition);
  if (code == errc::ok) code = reserve_slowly(payload, frame, patience);
  if (code != errc::ok) return code;
  write_frame({.data = frame.data, .place = frame.place, .partition = frame.partition},
              {.key = record.key,
               .value = record.value,
               .headers = record.headers,
               .headers_bytes = headers_bytes,
               .timestamp_ms = record.timestamp_ms.value_or(now)});
  struct Unpublished {
    Frame* frame;
    ~Unpublished() {
      if (frame != nullptr) frame->lane->writer.abandon(frame->handle);
    }
  } unpublished{&frame};
  code = commit_slowly(frame, attempt(frame), patience, position);
  if (code == errc::ok) unpublished.frame = nullptr;
  return code;
}

[[gnu::noinline]] Position PublisherCore::publish_waiting(const NewRecord& record) {
  Patience patience(true);
  Position position;
  const errc code = publish_one(record, now_ms(), patience, position);
  if (code != errc::ok) fail(code, record);
  wake(seats_[position.partition]);
  return position;
}

/// Any record, with whatever it takes.
[[gnu::noinline]] Position PublisherCore::publish_in_full(const NewRecord& record) {
  enter();
  const std::int64_t now = now_ms();
  if (attendance_due(now)) return publish_waiting(record);
  const Straight published = publish_steadily(record, now);
  return published.seat == nullptr ? publish_waiting(record) : tell_of(*published.seat, published.offset);
}

/// The usual record. Whatever is not usual is left to a tail call, so that nothing has to be saved on the
/// stack. With a look at the clock, or without.
template <PublisherCore::Way way, bool kClock>
Position PublisherCore::publish_usual(const NewRecord& record) {
  std::int64_t now = 0;
  if constexpr (kClock) {
    now = now_ms();
    if (attendance_due(now)) [[unlikely]]
      return publish_in_full(record);
  }
  const Straight published = publish_at_once<way, kClock>(record, now);
  if (published.seat == nullptr) [[unlikely]]
    return publish_in_full(record);
  if (!nobody_to_tell(*published.seat)) [[unlikely]]
    return tell_of(*published.seat, published.offset);
  return position_of(*published.seat, published.offset);
}

Position PublisherCore::publish(const NewRecord& record) {
  if (!may_enter()) [[unlikely]]
    return publish_in_full(record);
  const bool clock = !record.timestamp_ms || unattended_for_long();
  if (record.key.is_null())
    return clock ? publish_usual<Way::keyless, true>(record) : publish_usual<Way::keyless, false>(record);
  return clock ? publish_usual<Way::keyed, true>(record) : publish_usual<Way::keyed, false>(record);
}

Result<Position> PublisherCore::try_publish(const NewRecord& record) noexcept {
  try {
    enter();
    const std::int64_t now = now_ms();
    if (!attendance_due(now)) {
      const Straight published = publish_steadily(record, now);
      if (published.seat != nullptr) {
        wake(*published.seat);
        return position_of(*published.seat, published.offset);
      }
    }
    Patience patience(false);
    Position position;
    const errc code = publish_one(record, now_ms(), patience, position);
    if (code != errc::ok) return code;
    wake(seats_[position.partition]);
    return position;
  } catch (const Error& error) {
    return error.error();
  } catch (const std::exception&) {
    return errc::io;
  }
}

[[gnu::noinline]] PublisherCore::Straight PublisherCore::publish_for_batch(std::span<const NewRecord> records,
                                                                           std::size_t at, std::int64_t now,
                                                                           bool straight) {
  if (straight) {
    const Straight published = publish_steadily(records[at], now);
    if (published.seat != nullptr) return published;
  }
  try {
    const Position position = publish_waiting(records[at]);
    return {.seat = &seats_[position.partition], .offset = static_cast<std::uint64_t>(position.offset)};
  } catch (const Error& error) {
    throw BatchError(error, at);
  }
}

Position PublisherCore::publish_batch(std::span<const NewRecord> records) {
  enter();
  if (records.empty()) return {};
  Straight last;
  struct Waking {
    PublisherCore& core;
    ~Waking() { core.wake_unwoken(); }
  } const waking{*this};
  const std::int64_t now = now_ms();
  bool straight = !attendance_due(now);
  for (const NewRecord& record : records) {
    Straight one;
    if (straight)
      one = record.key.is_null() ? publish_at_once<Way::keyless, true>(record, now)
                                 : publish_at_once<Way::keyed, true>(record, now);
    if (one.seat == nullptr) [[unlikely]]
      one = publish_for_batch(records, static_cast<std::size_t>(&record - records.data()), now, straight);
    straight = true;
    last = one;
    if (!one.seat->unwoken) [[unlikely]] {
      one.seat->unwoken = true;
      unwoken_.push_back(one.seat);  // never more than there are partitions: reserved
    }
  }
  return position_of(*last.seat, last.offset);
}

void PublisherCore::wake_unwoken() noexcept {
  for (PartitionSeat* seat : unwoken_) {
    seat->unwoken = false;
    wake(*seat);
  }
  unwoken_.clear();
}

// ---- durability

DurableTarget PublisherCore::durable_target(const Position& position) const {
  return {.use = berth_->use, .position = position};
}

Position PublisherCore::publish_durable(const NewRecord& record) {
  enter();
  if (!logged_) fail(errc::unsupported, record);
  Patience patience(true);
  Position position;
  const errc code = publish_one(record, now_ms(), patience, position);
  if (code != errc::ok) fail(code, record);
  const PartitionSeat& seat = seats_[position.partition];
  waker_.request_sync(seat.marks->ordinal.load(std::memory_order_relaxed));  // which tells of the record, too
  waker_.wake(seat.partition.wait.records);
  DurableTarget target = durable_target(position);
  const Deadline deadline =
      patience.waiting ? patience.waiting->deadline : Deadline::after(options_.max_block);
  throw_unless_durable(wait_durable(target, deadline, options_.spin), target);
  return position;
}

Receipt PublisherCore::publish_async(const NewRecord& record) {
  if (!logged_) fail(errc::unsupported, record);
  const Position position = publish(record);
  waker_.request_sync(seats_[position.partition].marks->ordinal.load(std::memory_order_relaxed));
  return Receipt(position, std::make_shared<DurableWait>(durable_target(position)));
}

void PublisherCore::flush(std::chrono::milliseconds timeout) {
  enter();
  if (!logged_) fail(errc::unsupported, NewRecord{});
  const Deadline deadline = Deadline::after(timeout);
  std::vector<DurableTarget> targets;
  for (std::uint32_t partition = 0; partition < partitions_; ++partition) {
    const PartitionSeat& seat = seats_[partition];
    const std::uint64_t end = seat.published_end();
    if (end == 0) continue;
    targets.push_back(durable_target(position_of(seat, end - 1)));
    // All are asked for before the first is waited for: one group of syncs.
    waker_.request_sync(seat.marks->ordinal.load(std::memory_order_relaxed));
  }
  for (DurableTarget& target : targets)
    throw_unless_durable(wait_durable(target, deadline, options_.spin), target);
}

}  // namespace busway::client
