// A publisher: reserves, fills, commits, wakes; waits for space where it must; follows a growth.
#pragma once

#include <array>
#include <optional>

#include "bus/ring/lane_writer.hpp"
#include "bus/ring/read.hpp"
#include "bus/ring/sleep.hpp"
#include "tests/interleave/roles/witness.hpp"

namespace busway::interleave {

/// Time goes by between two looks at the clock, or it does not.
struct Moment {
  std::int64_t* now;
  std::int64_t operator()() const noexcept {
    if (Checked::choose(2) == 1) *now += 10;
    return *now;
  }
};

struct Publisher {
  enum class Phase : std::uint64_t { born, attach, reserve, fill, commit, wake_readers, wake_daemon, enter };

  Publisher(const World& in, std::uint32_t which) : world(&in), number_of_self(which) {}

  const World* world;
  std::uint32_t number_of_self;  ///< from 1
  std::uint32_t number = 0;      ///< of the next record
  Phase phase = Phase::born;
  std::uint64_t which_ring = 0;
  std::uint64_t armed = 0;  ///< 1: announced for space, then looked in vain once more
  std::uint64_t bell_before = 0;
  std::int64_t now = 1;
  std::array<ring::Ledger<Checked>, 2> ledgers{};
  std::array<ring::Remembered<Checked>, 4> book{};
  ring::Reservation<Checked> at{};
  std::optional<ring::LaneWriter<Checked>> lane{};

  static constexpr std::int64_t kLeaseTimeout = 5;

  Step step() {
    switch (phase) {
      case Phase::born:
        return born();
      case Phase::attach:
        return attach();
      case Phase::reserve:
        return reserve();
      case Phase::fill:
        return fill();
      case Phase::commit:
        return commit();
      case Phase::wake_readers:
        return wake_readers();
      case Phase::wake_daemon:
        return wake_daemon();
      case Phase::enter:
        return enter();
    }
    return Step::done;
  }

 private:
  /// Who inherits a lane id is told so by the daemon, once the lane is retired.
  Step born() {
    if (world->shape.retires && number_of_self == 2 &&
        world->partition.marks.lane_generation[1].load(std::memory_order_acquire) != 2)
      return Step::wait;
    phase = Phase::attach;
    return Step::again;
  }

  Step attach() {
    lane.emplace(world->lane_id(number_of_self), world->lane_data(number_of_self), world->lane_bytes(), book);
    ledgers[0] = {.ring = world->rings[0], .partition = &world->partition};
    ledgers[0].enter();
    phase = Phase::reserve;
    return Step::again;
  }

  Step reserve() {
    if (number == world->shape.records[number_of_self - 1]) return Step::done;
    at = lane->reserve(40, ring::LeasePatience<Moment>{.now_ns = {&now}, .timeout_ns = kLeaseTimeout});
    if (at.status == ring::ReserveStatus::wait_space) return wait_for_space();
    if (at.status == ring::ReserveStatus::wait_lease)
      return world->shape.publishers_sleep ? wait_for_space() : Step::wait_time;
    if (at.status != ring::ReserveStatus::reserved) tell(Report::corrupt, 0);
    forget_freed();
    phase = Phase::fill;
    return no_longer_waiting();
  }

  /// Entries that nobody will look at again would keep equal states apart.
  void forget_freed() {
    for (std::uint64_t i = lane->remembered(); i < book.size(); ++i)
      const_cast<ring::Remembered<Checked>&>(lane->oldest(i)) = {};
  }

  /// As the client does: the short way, then the one that sees to whatever is in the way.
  ring::PublishOutcome publish(ring::Ledger<Checked>& ledger) const {
    const std::uint64_t offset = ring::publish_at_once(ledger, at.place);
    if (offset == ring::kNotPublished) return ring::publish(ledger, at.place);
    return {ring::PublishStatus::committed, ring::FenceReason::unknown, offset};
  }

  Step fill() {
    const std::uint64_t id = record_id(number_of_self, number);
    const memory::FrameHeader header{.place = at.place,
                                     .partition = 0,
                                     .timestamp_ms = static_cast<std::int64_t>(id),
                                     .headers_bytes = 0,
                                     .key_bytes = memory::kNullLength,
                                     .value_bytes = 8,
                                     .reserved = 0};
    Checked::copy_to_shared(at.data, &header, sizeof header);
    Checked::copy_to_shared(at.data + sizeof header, &id, sizeof id);
    phase = Phase::commit;
    return Step::again;
  }

  Step commit() {
    ring::Ledger<Checked>& ledger = ledgers[which_ring];
    const ring::PublishOutcome outcome = publish(ledger);
    switch (outcome.status) {
      case ring::PublishStatus::committed:
        lane->published(at.frame, ledger, outcome.offset);
        at = {};
        ++number;
        phase = world->shape.reader_sleeps   ? Phase::wake_readers
                : world->shape.worker_sleeps ? Phase::wake_daemon
                                             : Phase::reserve;
        return no_longer_waiting();
      case ring::PublishStatus::wait_slots:
      case ring::PublishStatus::wait_granted:
        return wait_for_space();
      case ring::PublishStatus::fenced:
        if (outcome.reason != ring::FenceReason::grown) return Step::done;
        phase = Phase::enter;
        return no_longer_waiting();
      case ring::PublishStatus::corrupt:
        tell(Report::corrupt, 1);
    }
    return Step::done;
  }

  Step enter() {
    if (!ring::newer_ring(world->partition.marks, ledgers[which_ring].ring)) return wait_for_space();
    ++which_ring;
    ring::Ledger<Checked>& ledger = ledgers[which_ring];
    ledger = {.ring = world->rings[which_ring], .partition = &world->partition};
    ledger.enter();
    tell(Report::entered, ledger.ring.base);
    phase = Phase::commit;
    return no_longer_waiting();
  }

  Step wake_readers() {
    ring::wake_all(world->partition.wait.records, [this](std::uint32_t bit) { ring_bell(bit); });
    phase = world->shape.worker_sleeps ? Phase::wake_daemon : Phase::reserve;
    return Step::again;
  }
  void ring_bell(std::uint32_t bit) const {
    world->bells[bit].fetch_add(1, std::memory_order_relaxed);
    world->bells[bit].futex_wake();
  }
  Step wake_daemon() {
    auto* self = const_cast<World*>(world);
    if (ring::mark_dirty<Checked>(self->dirty[0], 1, self->daemon_asleep)) {
      world->daemon_bell.fetch_add(1, std::memory_order_relaxed);
      world->daemon_bell.futex_wake();
    }
    phase = Phase::reserve;
    return Step::again;
  }

  /// Without bells: until something changes. With them: announce, look once more, sleep.
  Step wait_for_space() {
    at = phase == Phase::reserve ? ring::Reservation<Checked>{} : at;
    if (!world->shape.publishers_sleep) return Step::wait;
    const Checked::u32& bell = world->bells[number_of_self - 1];
    if (armed == 0) {
      bell_before = bell.load(std::memory_order_acquire);
      ring::announce(world->partition.wait.space, number_of_self - 1);
      armed = 1;
      return Step::again;
    }
    bell.futex_wait(static_cast<std::uint32_t>(bell_before));
    return no_longer_waiting();
  }
  Step no_longer_waiting() {
    if (armed != 0) ring::retract(world->partition.wait.space, number_of_self - 1);
    armed = 0;
    bell_before = 0;
    return Step::again;
  }
};

}  // namespace busway::interleave
