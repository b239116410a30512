// The daemon's worker: drains, moves `written`, grows or fences the ring, and takes over from one that died.
#pragma once

#include <array>

#include "tests/interleave/roles/reader.hpp"

namespace busway::interleave {

struct Worker {
  enum class Phase : std::uint64_t {
    take_over,
    drain,
    retire,
    wake_space,
    grow,
    open_next,
    announce,
    wake_all,
    idle
  };

  explicit Worker(const World& in) : world(&in) {}

  const World* world;
  Phase phase = Phase::drain;
  std::uint64_t next = 0;        ///< offset to drain
  std::uint64_t which_ring = 0;  ///< that it is drained from
  std::uint64_t grow_at = 1000;  ///< grows (or fences) once so much is drained
  std::uint64_t fence_at = 0;
  std::uint64_t retired = 0;  ///< 1: the first publisher's lane
  ring::FenceReason fence_reason = ring::FenceReason::grown;
  std::array<ring::RingView<Checked>, 2> rings{};

  Step step() {
    if (rings[0].slots == nullptr) rings = world->rings;
    switch (phase) {
      case Phase::take_over:
        return take_over();
      case Phase::drain:
        return drain();
      case Phase::retire:
        return retire();
      case Phase::wake_space:
        return wake_space();
      case Phase::grow:
        return grow();
      case Phase::open_next:
        return open_next();
      case Phase::announce:
        return announce();
      case Phase::wake_all:
        return wake_all();
      case Phase::idle:
        return idle();
    }
    return Step::done;
  }

 private:
  auto resolver() const {
    return [this](std::uint32_t lane, std::uint32_t generation) { return world->resolve(lane, generation); };
  }
  bool publishers_sleep() const { return world->shape.publishers_sleep; }

  Step take_over() {
    next = ask(Report::disk_end);
    ring::raise_written(world->partition.marks, next);
    if (world->shape.next_slots != 0) {
      const std::uint32_t newest = world->partition.marks.ring_generation->load(std::memory_order_acquire);
      if (newest == 1) ring::resume_growth(world->partition.marks, rings[0], rings[1]);
      for (auto& ring : rings) ring.enter();
      if (rings[1].entered()) {
        grow_at = 1000;
        if (rings[1].base <= next) which_ring = 1;
      }
    }
    phase = Phase::wake_all;
    return Step::again;
  }

  Step drain() {
    if (next >= grow_at) {
      grow_at = 1000;
      phase = Phase::grow;
      return Step::again;
    }
    std::array<std::byte, 8> room{};
    ring::Found found;
    switch (ring::read_copy(world->partition, rings[which_ring], next, resolver(), room, found)) {
      case ring::ReadStatus::record: {
        std::uint64_t body = 0;
        std::memcpy(&body, room.data(), sizeof body);
        tell(Report::drained, next, ids_of(found.header, body));
        ++next;
        if (world->shape.granted != 0)  // persisted, then told
          world->partition.marks.granted->store(next + world->shape.granted, std::memory_order_release);
        ring::raise_written(world->partition.marks, next);
        if (publishers_sleep()) phase = Phase::wake_space;
        return Step::again;
      }
      case ring::ReadStatus::fenced:
        if (found.reason == ring::FenceReason::grown && rings[1].entered()) {
          which_ring = 1;
          return Step::again;
        }
        return Step::wait;
      case ring::ReadStatus::nothing_yet:
        if (world->shape.retires && retired == 0) phase = Phase::retire;
        if (phase == Phase::retire) return Step::again;
        if (!world->shape.worker_sleeps) return Step::wait;
        phase = Phase::idle;
        return Step::again;
      case ring::ReadStatus::behind:
        tell(Report::drain_behind, next);
        break;
      default:
        tell(Report::corrupt, 5);
    }
    return Step::done;
  }

  /// The first publisher's lane, once its owner has ended and nothing can refer to it any more.
  Step retire() {
    phase = Phase::drain;
    if (world->pidfds[0].load(std::memory_order_acquire) == 0) return Step::wait;
    const ring::LogEnd end = ring::find_log_end(rings[0]);
    if (end.status != ring::EndStatus::open) tell(Report::corrupt, 7);
    if (end.offset != next) return Step::again;  // the rest is drained first
    if (!ring::lane_retirable(world->partition, rings[0], end.offset)) {
      // Quiet topics' `reclaimed` is moved by the daemon (H20).
      const bool moved = ring::advance(world->partition, rings[0], end.offset, end.offset, end.offset);
      if (!moved || !ring::lane_retirable(world->partition, rings[0], end.offset)) return Step::wait;
    }
    const_cast<World*>(world)->partition.marks.lane_generation[1].store(2, std::memory_order_release);
    retired = 1;
    return Step::again;
  }

  void ring_bell(std::uint32_t bit) const {
    world->bells[bit].fetch_add(1, std::memory_order_relaxed);
    world->bells[bit].futex_wake();
  }
  Step wake_space() {
    ring::wake_all(world->partition.wait.space, [this](std::uint32_t bit) { ring_bell(bit); });
    phase = Phase::drain;
    return Step::again;
  }

  Step grow() {
    const ring::LogEnd end = ring::set_fence(rings[0], fence_reason);
    if (end.status != ring::EndStatus::fenced) tell(Report::corrupt, 6);
    fence_at = end.offset;
    phase = fence_reason == ring::FenceReason::grown ? Phase::open_next : Phase::wake_all;
    return Step::again;
  }
  Step open_next() {
    ring::open_ring(rings[1], fence_at);
    phase = Phase::announce;
    return Step::again;
  }
  Step announce() {
    ring::announce_ring(world->partition.marks, rings[1].generation);
    phase = Phase::wake_all;
    return Step::again;
  }
  Step wake_all() {
    ring::wake_all(world->partition.wait.records, [this](std::uint32_t bit) { ring_bell(bit); });
    phase = publishers_sleep() ? Phase::wake_space : Phase::drain;
    return Step::again;
  }

  Step idle() {
    auto* self = const_cast<World*>(world);
    ring::daemon_sleep<Checked>(self->daemon_bell, self->daemon_asleep, std::span(self->dirty),
                                [&](std::uint32_t before) { self->daemon_bell.futex_wait(before); });
    // Only what is dirty is drained; somebody's death makes it sweep (H22).
    if (ring::take_dirty<Checked>(self->dirty[0]) != 0 || ask(Report::deaths) != 0) phase = Phase::drain;
    return Step::again;
  }
};

}  // namespace busway::interleave
