// A subscriber: by copy or in place, from the ring or, on a logged topic, from the log; sleeps where there is
// nothing.
#pragma once

#include <array>

#include "bus/ring/fence.hpp"
#include "bus/ring/read.hpp"
#include "bus/ring/sleep.hpp"
#include "tests/interleave/roles/witness.hpp"

namespace busway::interleave {

/// A frame's two copies of its record's id, header and body, as the witness wants them.
inline std::uint64_t ids_of(const memory::FrameHeader& header, std::uint64_t body) noexcept {
  return body | static_cast<std::uint64_t>(header.timestamp_ms) << 32;
}

struct Reader {
  enum class Phase : std::uint64_t { attach, copy, in_place, wake_space };

  Reader(const World& in, bool read_in_place) : world(&in), prefers_place(read_in_place ? 1 : 0) {}

  const World* world;
  std::uint64_t prefers_place;
  Phase phase = Phase::attach;
  std::uint64_t next = 0;
  std::uint64_t tries = 0;  ///< leases so far, if they are counted
  std::uint64_t fence_known = 0;
  std::uint64_t run_lane = 0;  ///< of the last record that was copied; 0: none
  std::uint64_t run_generation = 0;
  ring::RingView<Checked> ring{};
  ring::Lease<Checked> lease{};

  Step step() {
    switch (phase) {
      case Phase::attach:
        return attach();
      case Phase::copy:
        return copy();
      case Phase::in_place:
        return in_place_once();
      case Phase::wake_space:
        return wake_space();
    }
    return Step::done;
  }

 private:
  bool logged() const { return world->shape.reclaim == Reclaim::logged; }
  auto resolver() const {
    return [this](std::uint32_t lane, std::uint32_t generation) { return world->resolve(lane, generation); };
  }

  Step attach() {
    ring = world->rings[0];
    if (world->shape.leases != 0)
      lease = ring::Lease<Checked>(const_cast<Checked::u64&>(world->partition.wait.leases[0]));
    phase = prefers_place != 0 ? Phase::in_place : Phase::copy;
    if (world->shape.reclaim != Reclaim::block) return Step::again;
    const ring::LogEnd end = ring::register_cursor(cursor(), ring);
    if (end.status != ring::EndStatus::open) tell(Report::corrupt, 2);
    next = end.offset;
    tell(Report::registered, next);
    return Step::again;
  }
  Checked::u64& cursor() const { return world->partition.wait.cursors[0]; }

  /// Takes up what ring::copy_run() copies.
  struct Sink {
    std::array<std::byte, 8> bytes{};
    std::int64_t timestamp_ms = 0;

    std::byte* room(std::size_t wanted) noexcept { return wanted == bytes.size() ? bytes.data() : nullptr; }
    void add(std::uint64_t /*offset*/, std::int64_t stamp, std::int32_t /*key*/, std::int32_t /*value*/) {
      timestamp_ms = stamp;
    }
    std::uint64_t ids() const noexcept {
      std::uint64_t body = 0;
      std::memcpy(&body, bytes.data(), sizeof body);
      return body | static_cast<std::uint64_t>(timestamp_ms) << 32;
    }
  };

  /// First as one of a run: from the lane that the last record came from.
  Step copy() {
    const auto lane = static_cast<std::uint32_t>(run_lane);
    const auto generation = static_cast<std::uint32_t>(run_generation);
    if (run_lane != 0) {
      Sink sink;
      const ring::RunLane run{
          .lane = lane, .generation = generation, .span = world->resolve(lane, generation)};
      if (ring::copy_run(world->partition, ring, next, next + 1, run, false, sink) != next)
        return took(sink.ids());
    }
    return copy_any();
  }

  Step copy_any() {
    std::array<std::byte, 8> room{};
    ring::Found found;
    switch (ring::read_copy(world->partition, ring, next, resolver(), room, found)) {
      case ring::ReadStatus::record: {
        std::uint64_t body = 0;
        std::memcpy(&body, room.data(), sizeof body);
        run_lane = found.lane;
        run_generation = found.lane_generation;
        return took(ids_of(found.header, body));
      }
      case ring::ReadStatus::fenced:
        fence_known = 1;
        return nothing();
      case ring::ReadStatus::nothing_yet:
        return nothing();
      case ring::ReadStatus::behind:
        return behind(found.reclaimed);
      default:
        tell(Report::corrupt, 3);
    }
    return Step::done;
  }

  Step took(std::uint64_t ids) {
    tell(Report::read, next, ids);
    ++next;
    fence_known = 0;
    phase = prefers_place != 0 ? Phase::in_place : Phase::copy;
    if (world->shape.reclaim == Reclaim::block) {
      cursor().store(next, std::memory_order_release);
      Checked::fence(std::memory_order_seq_cst);
      if (world->shape.publishers_sleep) phase = Phase::wake_space;
    }
    return Step::again;
  }

  Step behind(std::uint64_t reclaimed) {
    if (!logged()) {
      tell(Report::lost, next, reclaimed);
      next = reclaimed;
      next_ring();
      return Step::again;
    }
    // The reader of the log: below `written` only. Who sees `reclaimed` sees the `written` that allowed it.
    if (world->partition.marks.written->load(std::memory_order_acquire) <= next)
      tell(Report::log_short, next);
    const std::uint64_t id = ask(Report::read_log, next);
    took(id | id << 32);
    next_ring();
    return Step::again;
  }

  /// Goes to the newest ring that begins at or below the next offset.
  bool next_ring() {
    if (world->shape.next_slots == 0) return false;
    std::array<ring::RingView<Checked>, 2> rings = world->rings;
    const auto* best =
        ring::ring_for(world->partition.marks, std::span<ring::RingView<Checked>>(rings), next);
    if (best == nullptr || best->generation == ring.generation) return false;
    ring = *best;
    fence_known = 0;
    return true;
  }

  Step nothing() {
    phase = prefers_place != 0 ? Phase::in_place : Phase::copy;
    if (next_ring()) return Step::again;
    if (!world->shape.reader_sleeps) return Step::wait;
    auto& bell = const_cast<Checked::u32&>(world->bells[kReaderBit]);
    ring::sleep_unless<Checked>(
        bell, world->partition.wait.records, kReaderBit,
        [this] { return ring::readable_now(world->partition, ring, next, fence_known != 0); },
        [&](std::uint32_t before) { bell.futex_wait(before); });
    return Step::again;
  }

  Step in_place_once() {
    phase = world->shape.publishers_sleep ? Phase::wake_space : Phase::copy;
    if (world->shape.lease_tries != 0 && ++tries == world->shape.lease_tries) prefers_place = 0;
    if (!lease.take(ring, next)) return Step::again;
    std::array<std::uint64_t, 2> seen{};
    for (std::uint32_t k = 0; k < world->shape.lease_batch && (k == 0 || seen[0] != 0); ++k)
      seen[k] = look(next + k);
    if (!lease.release()) return Step::again;
    for (const std::uint64_t ids : seen)
      if (ids != 0) tell(Report::read, next++, ids);
    if (seen[0] != 0 && !world->shape.publishers_sleep && prefers_place != 0) phase = Phase::in_place;
    return Step::again;
  }

  /// Under the lease: the ids that are there, 0 if there are none.
  std::uint64_t look(std::uint64_t offset) const {
    ring::Found found;
    switch (ring::look_in_place(world->partition, ring, lease, offset, resolver(), found)) {
      case ring::ReadStatus::record: {
        std::uint64_t body = 0;
        Checked::copy_from_shared(&body, found.body, sizeof body);
        const std::uint64_t ids = ids_of(found.header, body);
        if (lease.valid()) tell(Report::looked, offset, ids);
        return ids;
      }
      case ring::ReadStatus::nothing_yet:
      case ring::ReadStatus::behind:
      case ring::ReadStatus::fenced:
        break;
      default:
        tell(Report::corrupt, 4);
    }
    return 0;
  }

  Step wake_space() {
    ring::wake_all(world->partition.wait.space, [this](std::uint32_t bit) {
      world->bells[bit].fetch_add(1, std::memory_order_relaxed);
      world->bells[bit].futex_wake();
    });
    phase = Phase::copy;
    return Step::again;
  }
};

}  // namespace busway::interleave
