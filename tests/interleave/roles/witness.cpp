#include "tests/interleave/roles/witness.hpp"

namespace busway::interleave {

template <class Memory>
void Witness<Memory>::accessed(Notes& notes, const Memory& memory, std::size_t, const Access& access,
                               std::uint64_t answer) const {
  if (access.op == Op::load || access.op == Op::fence) return;
  const Place place = world_->locations[access.location].place;
  require(!world_->locations[access.location].constant,
          "a word that the scenario calls constant was stored to");
  if (access.op == Op::cas && answer != access.expected) return;
  if (place == Place::slot) {
    slot_set(notes, memory, access);
  } else if (place == Place::reclaimed) {
    reclaimed_moved(notes, memory, access);
  } else if (place == Place::frame) {
    frame_begun(notes, memory, access);
  } else if (place == Place::written) {
    require(access.operand <= notes.drained, "`written` beyond what is on disk");
  }
}

template <class Memory>
void Witness<Memory>::slot_set(Notes& notes, const Memory& memory, const Access& access) const {
  const Locations::Location& slot = world_->locations[access.location];
  const auto& ring = world_->rings[slot.owner];
  const std::uint64_t lap = ring::slot_lap(access.operand);
  require(lap >= 1, "a slot was set for lap 0");
  const std::uint64_t offset = base_of(memory, slot.owner) + (lap - 1) * ring.size() + slot.index;
  require(notes.fences[slot.owner] == 0, "a slot was set behind the fence of its ring");
  require(offset == notes.end,
          offset < notes.end ? "an offset holds two records" : "a slot was set beyond the log end");
  if (ring::is_fence(access.operand))
    fence_set(notes, slot.owner, offset);
  else
    record_committed(notes, memory, slot.owner, offset, access.operand);
}

template <class Memory>
void Witness<Memory>::record_committed(Notes& notes, const Memory& memory, std::uint32_t ring,
                                       std::uint64_t offset, std::uint64_t word) const {
  require(offset < memory.newest(world_->partition.marks.granted->location()),
          "an offset was given that is not granted");
  const std::uint64_t reclaimed = memory.newest(world_->rings[ring].reclaimed->location());
  require(offset + 1 < reclaimed + world_->rings[ring].size(), "no slot was left free for a fence");
  require(offset < kOffsetsMost, "the scenario has more records than the witness has room for");
  const std::uint32_t place = ring::slot_place(word);
  const std::uint32_t lane = ring::place_lane(place);
  const std::uint32_t unit = ring::place_unit(place);
  const auto generation =
      static_cast<std::uint32_t>(memory.newest(world_->partition.marks.lane_generation[lane].location()));
  const std::uint32_t publisher = world_->publisher_of(lane, generation);
  const std::uint8_t body = world_->frame_location(publisher, unit) + 1U;
  const std::uint64_t id = Recorder::current().frame(memory.newest(body))[0];
  require(id / 16 == publisher, "a record was committed before its bytes were there");
  require(id > notes.last[publisher], "a publisher's records were committed twice or out of order");
  notes.last[publisher] = static_cast<std::uint8_t>(id);
  notes.committed[offset] = static_cast<std::uint8_t>(id);
  notes.frames[publisher - 1][unit / 2] = static_cast<std::uint8_t>(offset + 1);
  notes.rings_of[(publisher - 1) * 8 + unit / 2] = static_cast<std::uint8_t>(ring);
  notes.end = static_cast<std::uint8_t>(offset + 1);
}

template <class Memory>
void Witness<Memory>::fence_set(Notes& notes, std::uint32_t ring, std::uint64_t offset) const {
  notes.fences[ring] = static_cast<std::uint8_t>(offset + 1);
}

template <class Memory>
void Witness<Memory>::reclaimed_moved(Notes& notes, const Memory& memory, const Access& access) const {
  const std::uint32_t ring = world_->locations[access.location].owner;
  const std::uint64_t now = memory.newest(access.location);
  const bool opening = base_of(memory, ring) == memory::kBaseUnset;
  require(opening || now >= notes.reclaimed[ring], "`reclaimed` went back");
  require(now <= end_of(notes, ring), "`reclaimed` passed its ring's end");
  if (world_->shape.reclaim == Reclaim::logged && !opening)
    require(
        now <= std::max(base_of(memory, ring), memory.newest(world_->partition.marks.written->location())),
        "`reclaimed` passed `written`");
  notes.reclaimed[ring] = static_cast<std::uint8_t>(now);
}

template <class Memory>
void Witness<Memory>::frame_begun(const Notes& notes, const Memory& memory, const Access& access) const {
  const Locations::Location& cell = world_->locations[access.location];
  const std::uint32_t room = cell.index / 2U;
  const std::uint8_t held = notes.frames[cell.owner - 1U][room];
  if (held == 0) return;
  const std::uint32_t ring = notes.rings_of[(cell.owner - 1U) * 8U + room];
  require(memory.newest(world_->rings[ring].reclaimed->location()) >= held,
          "a frame was overwritten that is not reclaimed");
}

template <class Memory>
void Witness<Memory>::took(const Notes& notes, std::uint64_t offset, std::uint64_t ids,
                           const char* who) const {
  if (offset >= notes.end) throw Broken(std::string(who) + " took a record that was not committed");
  const std::uint64_t right = notes.committed[offset];
  if (ids != (right | right << 32)) throw Broken(std::string(who) + " took wrong bytes for right ones");
}

template <class Memory>
std::uint64_t Witness<Memory>::report(Notes& notes, const Memory& memory, std::size_t,
                                      const Access& access) const {
  const std::uint64_t offset = access.operand;
  switch (static_cast<Report>(access.location)) {
    case Report::read:
      took(notes, offset, access.expected, "the reader");
      require(offset == notes.next, "the reader missed a record or took one twice");
      ++notes.next;
      return 0;
    case Report::looked:
      took(notes, offset, access.expected, "the reader in place");
      return 0;
    case Report::lost:
      require(world_->shape.reclaim == Reclaim::drop_oldest, "a record was lost that may not be");
      require(offset == notes.next && access.expected > offset, "the reader counts its losses wrongly");
      require(access.expected <= memory.newest(world_->rings[0].reclaimed->location()) ||
                  access.expected <= memory.newest(world_->rings[1].reclaimed->location()),
              "the reader was told that it lost what is still there");
      notes.next = static_cast<std::uint8_t>(access.expected);
      return 0;
    case Report::read_log:
      require(offset < notes.drained, "the log was read beyond its end");
      return notes.committed[offset];
    case Report::registered:
      notes.next = static_cast<std::uint8_t>(offset);
      notes.guaranteed = static_cast<std::uint8_t>(offset);
      return 0;
    case Report::drained:
      took(notes, offset, access.expected, "the worker");
      require(offset == notes.drained, "the worker missed a record or wrote one twice");
      ++notes.drained;
      return 0;
    case Report::log_short:
      throw Broken("the log does not have what was reclaimed");
    case Report::drain_behind:
      throw Broken("a record was reclaimed before it was drained");
    case Report::deaths:
      return notes.crashed;
    case Report::disk_end:
      return notes.drained;
    case Report::entered:
      require(notes.fences[0] != 0 && offset == notes.fences[0] - 1U,
              "a ring was entered before its base was right");
      return 0;
    case Report::corrupt:
      break;
  }
  throw Broken("somebody found what nobody writes");
}

template <class Memory>
std::uint64_t Witness<Memory>::announced(const Notes& notes) const {
  std::uint64_t end = notes.end;
  if (frozen_)
    while (end > 0 && gone(notes, cast_.publishers[notes.committed[end - 1] / 16U - 1U])) --end;
  return end;
}

template <class Memory>
std::string Witness<Memory>::end(const Notes& notes, const std::array<Status, kActorsMost>& status) const {
  const bool worker_gone = gone(notes, cast_.worker) && gone(notes, cast_.heir);
  const bool logged = world_->shape.reclaim == Reclaim::logged;
  if (logged && !worker_gone && notes.drained < announced(notes)) return "a record was not drained";
  if (cast_.reader >= 0 && !gone(notes, cast_.reader) && notes.next < announced(notes))
    return "the reader has not read all";
  // Who may hold up a publisher for ever: nobody but a dead worker and a dead subscriber's cursor (H19),
  // which the daemon clears when it learns of the death.
  const bool held_up =
      (logged && worker_gone) || (world_->shape.reclaim == Reclaim::block && gone(notes, cast_.reader));
  for (const int publisher : cast_.publishers)
    if (publisher >= 0 && !gone(notes, publisher) && !held_up &&
        status[static_cast<std::size_t>(publisher)] != Status::finished)
      return "a publisher has not finished";
  return {};
}

template class Witness<SequentialMemory>;
template class Witness<ViewMemory>;

}  // namespace busway::interleave
