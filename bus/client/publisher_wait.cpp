// What can be in a publisher's way: no room, a fence, no daemon. Out of line: none of it is the usual case.
#include <algorithm>
#include <utility>

#include "bus/client/publisher_core.hpp"

namespace busway::client {
namespace {

/// How long a call that must not wait, or an optional request, may wait for the daemon's answer.
constexpr auto kBriefly = std::chrono::milliseconds{200};
/// How long a publish that has no need of the daemon tries to find one that is gone.
constexpr auto kAttendFor = std::chrono::milliseconds{5};
constexpr auto kAskGrowthEvery = std::chrono::seconds{1};
/// While the service is stopped.
constexpr auto kStoppedNap = std::chrono::milliseconds{50};

bool must_wait(ring::PublishStatus status) noexcept {
  return status == ring::PublishStatus::wait_slots || status == ring::PublishStatus::wait_granted;
}
bool must_wait(ring::ReserveStatus status) noexcept {
  return status == ring::ReserveStatus::wait_space || status == ring::ReserveStatus::wait_lease;
}

}  // namespace

PublisherCore::Patience::Waiting& PublisherCore::begin_waiting(Patience& patience) {
  if (!patience.waiting)
    patience.waiting.emplace(Patience::Waiting{.deadline = Deadline::after(options_.max_block),
                                               .spinner = wait::Spinner(options_.spin, wait::Pace::steady),
                                               .backoff = wait::sleep_backoff()});
  learn_settings();
  return *patience.waiting;
}

Deadline PublisherCore::ask_deadline(Patience& patience) {
  return patience.waits ? begin_waiting(patience).deadline : Deadline::after(kBriefly);
}

/// What the daemon says of the topic and the partition, if that ends the waiting.
errc PublisherCore::judge_state(std::uint32_t partition) const noexcept {
  // acquire, both: pair with the daemon's release stores, the cause before the state.
  const auto topic = static_cast<memory::TopicState>(marks_->state.load(std::memory_order_acquire));
  if (topic == memory::TopicState::deleted) return errc::topic_deleted;
  const auto state =
      static_cast<memory::PartitionState>(seats_[partition].marks->state.load(std::memory_order_acquire));
  return state == memory::PartitionState::failed ? errc::partition_failed : errc::ok;
}

errc PublisherCore::attend(std::int64_t now, Patience& patience) {
  attended_ms_ = now;
  learn_settings();
  if (unsettled_) settle();
  core_->tend(kAttendFor);
  return here_->link->stale() ? move_berth(patience) : errc::ok;
}

/// The deadline has passed: with or without a daemon that could have made room.
errc PublisherCore::out_of_time() const noexcept {
  return core_->has_daemon() ? errc::deadline_exceeded : errc::no_daemon;
}

/// One turn of waiting for space: spins the first time, sleeps the next ones. ok: look again.
template <class Ready>
errc PublisherCore::wait_turn(std::uint32_t partition, Patience& patience, Ready&& ready) {
  if (!patience.waits) return errc::would_block;
  Patience::Waiting& waiting = begin_waiting(patience);
  wake_unwoken();
  if (std::exchange(waiting.spinning, false)) {
    while (waiting.spinner.turn())
      if (ready()) return errc::ok;
    return errc::ok;
  }
  if (const errc code = judge_state(partition); code != errc::ok) return code;
  const memory::PartitionMarks& marks = *seats_[partition].marks;
  const auto left = waiting.deadline.left();
  if (left <= std::chrono::nanoseconds::zero()) {
    // A last look: the time may have gone into asking for a larger lane, while the daemon made room.
    if (ready()) return errc::ok;
    const auto state = static_cast<memory::PartitionState>(marks.state.load(std::memory_order_acquire));
    return state == memory::PartitionState::disk_full ? errc::disk_full : out_of_time();
  }
  // Again at every turn: what told the daemon may have been lost with a worker (H22).
  if (logged_) waker_.mark_dirty(marks.ordinal.load(std::memory_order_relaxed));
  TopicLink& link = *here_->link;
  const wait::Spot spot{.partition = partition, .line = wait::Line::space};
  const bool already = link.sleeper().sleep(
      link.bell(), {&spot, 1}, [&] { return ready() || link.stale(); },
      std::min(left, waiting.backoff.next()));
  if (!already) core_->tend();
  return errc::ok;
}

// ---- room in the lane

errc PublisherCore::reserve_slowly(std::size_t payload, Frame& frame, Patience& patience) {
  const std::size_t bytes = sizeof(memory::FrameHeader) + payload;
  while (true) {
    auto got = lane_->writer.reserve(bytes, lease_patience());
    errc code = errc::ok;
    if (must_wait(got.status)) {
      const bool slept = patience.waiting && !patience.waiting->spinning;
      if (slept && widen_lane(patience)) continue;
      code = wait_turn(got.blocker->partition->number, patience, [&] {
        got = lane_->writer.reserve(bytes, lease_patience());
        return !must_wait(got.status);
      });
    } else if (got.status != ring::ReserveStatus::reserved) {
      code = further_lane(got.status, payload, patience);
    }
    if (code != errc::ok) return code;
    if (got.status == ring::ReserveStatus::reserved) {
      frame.berth = here_;
      frame.lane = lane_;
      frame.handle = got.frame;
      frame.data = got.data;
      frame.place = got.place;
      frame.bytes = bytes;
      return errc::ok;
    }
    if (here_->link->stale()) {
      if (code = move_berth(patience); code != errc::ok) return code;
    }
  }
}

/// The present lane cannot hold the frame, whatever one waits for.
errc PublisherCore::further_lane(ring::ReserveStatus status, std::size_t payload, Patience& patience) {
  const std::uint64_t before = lane_->lane.info.bytes;
  if (status == ring::ReserveStatus::loans) {
    const bool widened = before < limits::kLaneBytesMost && (begin_waiting(patience), widen_lane(patience));
    return widened ? errc::ok : errc::lane_exhausted;
  }
  try {
    add_lane(*berth_, payload, ask_deadline(patience));
  } catch (const Restarted&) {
    return errc::ok;  // the caller moves to another berth
  }
  return lane_->lane.info.bytes > before ? errc::ok : errc::record_too_large;
}

/// Asks for a lane four times as large. False if there is none to be had.
bool PublisherCore::widen_lane(Patience& patience) noexcept {
  const std::uint64_t bytes = lane_->lane.info.bytes;
  const auto now = std::chrono::steady_clock::now();
  if (bytes >= limits::kLaneBytesMost || now < growth_not_before_) return false;
  try {
    // Four records of this size, frame header and rounding included, and the lane's header make 4 * bytes.
    const std::uint64_t record = bytes - 2 * limits::kUnitBytes;
    const auto left =
        patience.waiting ? patience.waiting->deadline.left() : std::chrono::nanoseconds(kBriefly);
    add_lane(*berth_, record, Deadline::after(std::min<std::chrono::nanoseconds>(left, kBriefly)));
    return lane_->lane.info.bytes > bytes;
  } catch (const std::exception&) {
    growth_not_before_ = now + kAskGrowthEvery;  // no budget, or no daemon: make do with what there is
    return false;
  }
}

// ---- the commit

ring::PublishOutcome PublisherCore::attempt(const Frame& frame) noexcept {
  PartitionSeat& seat = seats_[frame.partition];
  if (seat.ring == nullptr)
    return {.status = ring::PublishStatus::fenced, .reason = ring::FenceReason::grown, .offset = 0};
  return ring::publish(seat.ring->ledger, frame.place);
}

errc PublisherCore::commit_slowly(Frame& frame, ring::PublishOutcome outcome, Patience& patience,
                                  Position& position) {
  while (outcome.status != ring::PublishStatus::committed) {
    errc code = errc::ok;
    if (outcome.status == ring::PublishStatus::corrupt) return errc::corrupt;
    if (outcome.status == ring::PublishStatus::fenced) {
      code = behind_fence(frame.partition, outcome.reason, patience);
    } else {
      if (outcome.status == ring::PublishStatus::wait_slots) widen_ring(seats_[frame.partition], patience);
      code = wait_turn(frame.partition, patience, [&] {
        outcome = attempt(frame);
        return !must_wait(outcome.status);
      });
    }
    if (outcome.status == ring::PublishStatus::committed) break;
    if (code == errc::ok && here_->link->stale()) code = move_berth(patience);
    if (code == errc::ok && frame.berth != here_) code = carry_over(frame, patience);
    if (code != errc::ok) return code;
    outcome = attempt(frame);
  }
  PartitionSeat& seat = seats_[frame.partition];
  frame.lane->writer.published(frame.handle, seat.ring->ledger, outcome.offset);
  count_sticky(frame.bytes - sizeof(memory::FrameHeader));
  position = position_of(seat, outcome.offset);
  return errc::ok;
}

/// Asks for a larger ring, once a call, when spinning did not help.
void PublisherCore::widen_ring(PartitionSeat& seat, Patience& patience) noexcept {
  if (!patience.waiting || patience.waiting->spinning || patience.waiting->asked_growth) return;
  patience.waiting->asked_growth = true;
  const auto now = std::chrono::steady_clock::now();
  if (seat.ring->ledger.ring.size() >= limits::kRingSlotsMost || now < growth_not_before_) return;
  try {
    here_->link->grow_ring(seat.partition.number, seat.ring->ledger.ring.generation,
                           Deadline::after(kBriefly));
  } catch (const std::exception&) {
    growth_not_before_ = now + kAskGrowthEvery;
  }
}

errc PublisherCore::behind_fence(std::uint32_t partition, ring::FenceReason reason, Patience& patience) {
  PartitionSeat& seat = seats_[partition];
  const std::uint32_t known = seat.ring == nullptr ? 0 : seat.ring->ledger.ring.generation;
  // acquire: pairs with announce_ring(): the new ring's base is there.
  const std::uint32_t named = seat.partition.marks.ring_generation->load(std::memory_order_acquire);
  if (named != known) return enter_ring(seat, named, patience);
  if (reason == ring::FenceReason::deleted) return errc::topic_deleted;
  if (reason == ring::FenceReason::failed) return errc::partition_failed;
  if (reason == ring::FenceReason::stopped) {
    core_->tend();
    if (here_->link->stale()) return errc::ok;
    if (patience.waits) begin_waiting(patience).backoff = wait::Backoff(kStoppedNap, kStoppedNap);
  }
  return wait_turn(partition, patience, [&] {
    // seq_cst: after our sleeper's bit; pairs with announce_ring()'s fence.
    return seat.partition.marks.ring_generation->load(std::memory_order_seq_cst) != known;
  });
}

errc PublisherCore::enter_ring(PartitionSeat& seat, std::uint32_t generation, Patience& patience) {
  const std::uint32_t partition = seat.partition.number;
  std::vector<read::HeldRing> rings;
  try {
    rings = here_->link->rings(partition, generation, control::Role::publisher, ask_deadline(patience));
  } catch (const Restarted&) {
    return errc::ok;  // the caller moves to another berth
  }
  for (const read::HeldRing& held : rings) {
    if (held.view.generation != generation) continue;
    auto ring = std::make_unique<RingSeat>();
    ring->ledger.ring = held.view;
    ring->ledger.partition = &seat.partition;
    if (!ring->ledger.enter()) continue;
    seat.end = seat.published_end();
    forget_rings(*here_, seat, nullptr);
    ring->keep = held.keep;
    seat.rings.push_back(std::move(ring));
    seat.ring = seat.rings.back().get();
    // relaxed: an epoch lasts longer than a ring.
    seat.position.epoch = static_cast<std::int32_t>(seat.marks->epoch.load(std::memory_order_relaxed));
    unsettled_ = unsettled_ || seat.rings.size() > 1;
    return errc::ok;
  }
  // The daemon named a ring that it does not hand out: it has moved on, or does not let us publish any more.
  return wait_turn(partition, patience, [] { return false; });
}

}  // namespace busway::client
