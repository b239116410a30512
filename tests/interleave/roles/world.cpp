#include "tests/interleave/roles/world.hpp"

#include <algorithm>
#include <bit>
#include <stdexcept>

namespace busway::interleave {

World::World(const Shape& wanted) : shape(wanted) {
  add_ring(0, shape.slots);
  if (shape.next_slots != 0) add_ring(1, shape.next_slots);
  add_marks();
  add_wait();
  add_lanes();
}

void World::add_ring(std::uint32_t which, std::uint32_t slots) {
  RingWords& words = ring_words_[which];
  if (slots > words.slots.size()) throw std::length_error("a scenario's ring has at most four slots");
  const auto number = static_cast<std::uint8_t>(which);
  const bool first = which == 0;
  words.base =
      Checked::u64(locations.add(Place::base, number, 0, first ? 0 : memory::kBaseUnset, kEverybody, first));
  // Only who looks for the log end looks at the hint.
  const bool worker_walks = shape.fences || shape.retires;
  const std::uint8_t walkers =
      kPublisher | (worker_walks ? kWorker : 0) | (shape.reclaim == Reclaim::block ? kReader : 0);
  words.tail = Checked::u64(locations.add(Place::tail, number, 0, 0, walkers));
  words.reclaimed = Checked::u64(locations.add(Place::reclaimed, number, 0, 0));
  for (std::uint32_t i = 0; i < slots; ++i)
    words.slots[i] = Checked::u64(locations.add(Place::slot, number, static_cast<std::uint8_t>(i), 0));
  rings[which] = {.base_word = &words.base,
                  .tail = &words.tail,
                  .reclaimed = &words.reclaimed,
                  .slots = words.slots.data(),
                  .base = first ? 0 : memory::kBaseUnset,
                  .mask = slots - 1,
                  .shift = static_cast<std::uint32_t>(std::countr_zero(slots)),
                  .generation = which + 1};
}

void World::add_marks() {
  const bool all_granted = shape.granted == 0;
  granted_ = Checked::u64(locations.add(Place::granted, 0, 0, all_granted ? kOffsetsMost : shape.granted,
                                        kPublisher, all_granted));
  written_ =
      Checked::u64(locations.add(Place::written, 0, 0, 0, kEverybody, shape.reclaim != Reclaim::logged));
  ring_generation_ =
      Checked::u32(locations.add(Place::ring_generation, 0, 0, 1, kEverybody, shape.next_slots == 0));
  const std::uint8_t generation = locations.add(Place::lane_generation, 0, 0, 1, kEverybody, !shape.retires);
  lane_generation_.fill(Checked::u32(generation));
  partition.marks = {.granted = &granted_,
                     .written = &written_,
                     .durable = nullptr,
                     .log_start = nullptr,
                     .ring_generation = &ring_generation_,
                     .epoch = nullptr,
                     .state = nullptr,
                     .lane_generation = lane_generation_.data(),
                     .lanes = kLanesMost};
  partition.reclaim = shape.reclaim;
}

void World::add_wait() {
  if (shape.reader_sleeps) {
    record_sleepers_ = Checked::u64(locations.add(Place::record_sleepers, 0, 0, 0, kPublisher | kWorker));
    bells[kReaderBit] = Checked::u32(locations.add(Place::bell, kReaderBit, 0, 0, kReader));
  }
  if (shape.publishers_sleep) {
    space_sleepers_ = Checked::u64(locations.add(Place::space_sleepers, 0, 0, 0, kReader | kWorker));
    for (std::uint32_t i = 0; i < shape.publishers; ++i)
      bells[i] = Checked::u32(locations.add(Place::bell, static_cast<std::uint8_t>(i), 0, 0, kPublisher));
  }
  if (shape.worker_sleeps) {
    daemon_bell = Checked::u32(locations.add(Place::daemon_bell, 0, 0, 0, kWorker));
    daemon_asleep = Checked::u32(locations.add(Place::daemon_asleep, 0, 0, 0, kPublisher));
    dirty[0] = Checked::u64(locations.add(Place::dirty, 0, 0, 0, kPublisher | kWorker));
  }
  if (shape.retires)
    for (std::uint8_t actor = 0; actor < 2; ++actor)
      pidfds[actor] = Checked::u64(locations.add(Place::pidfd, 0, actor, 0, kWorker));
  const std::uint32_t cells = std::max(shape.leases, shape.cursors);
  for (std::uint32_t i = 0; i < cells; ++i) {
    const auto cell = static_cast<std::uint8_t>(i);
    leases_[i] =
        Checked::u64(locations.add(Place::lease, 0, cell, memory::kLeaseNone, kEverybody, i >= shape.leases));
    cursors_[i] = Checked::u64(
        locations.add(Place::cursor, 0, cell, memory::kCursorNone, kPublisher, i >= shape.cursors));
  }
  partition.wait = {.records = {&record_sleepers_, shape.reader_sleeps ? 1U : 0U},
                    .space = {&space_sleepers_, shape.publishers_sleep ? 1U : 0U},
                    .durable = {},
                    .leases = leases_.data(),
                    .cursors = cursors_.data(),
                    .cells = cells};
}

void World::add_lanes() {
  if (shape.publishers > kLanesMost || shape.publishers * shape.rooms * 2 > Checked::kLaneCells)
    throw std::length_error("more lanes than the scenarios have room for");
  for (std::uint32_t lane = 1; lane <= shape.publishers; ++lane)
    for (std::uint32_t cell = 2; cell < shape.rooms * 2; ++cell) {
      const std::size_t at = std::size_t{lane - 1} * shape.rooms * 2 + cell;
      Checked::lane_locations[at] = locations.add(Place::frame, static_cast<std::uint8_t>(lane),
                                                  static_cast<std::uint8_t>(cell), 0, kReader | kWorker);
    }
}

ring::LaneSpan World::resolve(std::uint32_t lane, std::uint32_t generation) const noexcept {
  const bool known = shape.retires ? lane == 1 && (generation == 1 || generation == 2)
                                   : lane >= 1 && lane <= shape.publishers && generation == 1;
  if (!known) return {};
  return {.data = lane_data(publisher_of(lane, generation)), .bytes = lane_bytes()};
}

}  // namespace busway::interleave
