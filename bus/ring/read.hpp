// Reading one offset of one ring, by copy or in place under a lease. Subscribers and the daemon's drain use
// the same functions.
//
// Everything that is read here was written by others: a length is loaded once, into private memory, and
// checked against the size that the daemon gave for the lane. What was copied counts only if `reclaimed` had
// not passed the offset after the copy. No allocation, no exception. Thread safety: a Lease and its cell
// belong to one thread; the rest are pure functions over shared words.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "bus/memory/lane_layout.hpp"
#include "bus/ring/frame.hpp"
#include "bus/ring/prefetch.hpp"
#include "bus/ring/slot.hpp"
#include "bus/ring/views.hpp"

namespace busway::ring {

enum class ReadStatus : std::uint8_t {
  record,
  fenced,        ///< the ring ends at this offset: `reason` says why
  nothing_yet,   ///< look at marks' ring generation (newer_ring) before sleeping
  behind,        ///< `reclaimed` is beyond: a logged topic's record is in the log, a memory topic's is lost
  unknown_lane,  ///< take up what the daemon has sent, then ask it; never "nothing yet"
  too_small,     ///< by copy: the record needs `body_bytes` of room
  bad_frame,     ///< what the slot names is no frame of this partition; its publisher broke the format
  corrupt,       ///< the slot holds what no publisher writes
};

/// What a read found. Which fields mean something depends on the status.
struct Found {
  memory::FrameHeader header{};     ///< record: a private, checked copy
  std::uint64_t reclaimed = 0;      ///< behind
  const std::byte* body = nullptr;  ///< in place: headers, key, value; hostile bytes, look once
  std::size_t body_bytes = 0;       ///< record, too_small
  std::uint32_t lane = 0;           ///< record, unknown_lane, bad_frame
  std::uint32_t lane_generation = 0;
  FenceReason reason = FenceReason::unknown;
};

/// Do these lengths make a frame that ends within its lane? `room` is what the lane has from the frame's
/// start on.
inline bool frame_fits(const memory::FrameHeader& header, std::size_t room) noexcept {
  return header.key_bytes >= memory::kNullLength && header.value_bytes >= memory::kNullLength &&
         memory::frame_bytes(header.headers_bytes, header.key_bytes, header.value_bytes) <= room;
}

/// Where a slot word's frame lies, if its lane is known. `resolve(lane, generation)` gives a LaneSpan, empty
/// if there is no such mapping here.
enum class Located : std::uint8_t { here, unknown_lane, impossible };

template <class A, class Resolve>
[[gnu::always_inline]] inline Located locate(const MarksView<A>& marks, std::uint64_t word, Resolve& resolve,
                                             Found& found, std::span<const std::byte>& room) noexcept {
  found.lane = slot_lane(word);
  if (found.lane > marks.lanes) return Located::impossible;
  // acquire: pairs with the daemon's release store when it hands an id out anew; it does so only once no slot
  // below whose `reclaimed` we would accept the copy can mean the old generation (H6).
  found.lane_generation = marks.lane_generation[found.lane].load(std::memory_order_acquire);
  const LaneSpan& lane = resolve(found.lane, found.lane_generation);  // or a value, kept alive
  if (lane.data == nullptr) return Located::unknown_lane;
  const std::size_t at = std::size_t{place_unit(slot_place(word))} << limits::kUnitShift;
  if (at < sizeof(memory::LaneHeader) || at >= lane.bytes || lane.bytes - at < sizeof(memory::FrameHeader))
    return Located::impossible;
  room = {lane.data + at, lane.bytes - at};
  return Located::here;
}

/// Copies a frame's header out and checks it against where it was found.
template <class A>
[[gnu::always_inline]] inline bool take_header(const PartitionView<A>& partition, std::uint64_t word,
                                               std::span<const std::byte> room, Found& found) noexcept {
  found.header = get_header<A>(room.data());
  if (found.header.place != slot_place(word) || found.header.partition != partition.number ||
      !frame_fits(found.header, room.size()))
    return false;
  found.body_bytes =
      memory::frame_bytes(found.header.headers_bytes, found.header.key_bytes, found.header.value_bytes) -
      sizeof(memory::FrameHeader);
  return true;
}

/// Copies the record behind a slot word that was set for `offset`. `retry` when nothing that was seen counts.
enum class Copied : std::uint8_t { record, too_small, bad_frame, unknown_lane, overtaken };

template <class A, class Resolve>
[[gnu::always_inline]] inline Copied copy_frame(const PartitionView<A>& partition, const RingView<A>& ring,
                                                std::uint64_t offset, std::uint64_t word, Resolve& resolve,
                                                std::span<std::byte> to, Found& found) noexcept {
  std::span<const std::byte> room;
  Copied result = Copied::bad_frame;
  const Located located = locate(partition.marks, word, resolve, found, room);
  if (located == Located::unknown_lane) return Copied::unknown_lane;
  if (located == Located::here && take_header(partition, word, room, found)) {
    result = found.body_bytes <= to.size() ? Copied::record : Copied::too_small;
    if (result == Copied::record && found.body_bytes != 0)
      take_bytes<A>(to.data(), room.data() + sizeof(memory::FrameHeader), found.body_bytes);
  }
  // Had any byte above been overwritten, this fence would have paired with the overwriter's release fence,
  // and the load would see the `reclaimed` that allowed it.
  A::fence(std::memory_order_acquire);
  return ring.reclaimed->load(std::memory_order_relaxed) <= offset ? result : Copied::overtaken;
}

/// How often a reader looks again at a slot that contradicts itself.
inline constexpr unsigned kReadRetries = 8;

/// The first look at an offset. What came of it: the slot's word, and of its frame, if it names one.
struct Look {
  std::uint64_t word = 0;
  Copied copied = Copied::overtaken;
};

/// Mostly one look is enough: for a record it is all there is to reading it. `found` is best an object that
/// nobody else is given: then it stays in registers.
template <class A, class Resolve>
[[nodiscard]] [[gnu::always_inline]] inline Look look_at(const PartitionView<A>& partition,
                                                         const RingView<A>& ring, std::uint64_t offset,
                                                         Resolve& resolve, std::span<std::byte> to,
                                                         Found& found) noexcept {
  // acquire: pairs with the commit: the frame's bytes are there.
  Look look{.word = ring.slot(offset).load(std::memory_order_acquire)};
  if (laps_ahead(look.word, ring.lap(offset)) == 0 && !is_fence(look.word)) [[likely]]
    look.copied = copy_frame(partition, ring, offset, look.word, resolve, to, found);
  return look;
}

/// Goes on from a look that did not give a record.
template <class A, class Resolve>
[[nodiscard]] [[gnu::noinline]] ReadStatus read_on(const PartitionView<A>& partition, const RingView<A>& ring,
                                                   std::uint64_t offset, Resolve& resolve,
                                                   std::span<std::byte> to, Found& found,
                                                   Look look) noexcept {
  for (unsigned attempt = 1;; ++attempt) {
    const std::int32_t ahead = laps_ahead(look.word, ring.lap(offset));
    if (ahead == 0) {
      if (is_fence(look.word)) {
        found.reason = fence_reason(look.word);
        return ReadStatus::fenced;
      }
      if (look.copied == Copied::record) return ReadStatus::record;
      if (look.copied == Copied::too_small) return ReadStatus::too_small;
      if (look.copied == Copied::bad_frame) return ReadStatus::bad_frame;
    }
    // After the slot's load: a slot of an earlier lap whose offset is not reclaimed has not been set.
    // acquire: pairs with advance(): on a logged topic the log has what is below.
    found.reclaimed = ring.reclaimed->load(std::memory_order_acquire);
    if (found.reclaimed > offset) return ReadStatus::behind;
    if (ahead < 0) return ReadStatus::nothing_yet;
    if (attempt == kReadRetries)
      return look.copied == Copied::unknown_lane ? ReadStatus::unknown_lane : ReadStatus::corrupt;
    A::restart();
    look = look_at(partition, ring, offset, resolve, to, found);
  }
}

/// Reads `offset` from `ring` (entered, base <= offset) into `to`: headers, key and value as they lie in the
/// frame. Source of the algorithm: docs/ring.md.
template <class A, class Resolve>
[[nodiscard]] ReadStatus read_copy(const PartitionView<A>& partition, const RingView<A>& ring,
                                   std::uint64_t offset, Resolve&& resolve, std::span<std::byte> to,
                                   Found& found) noexcept {
  const Look look = look_at(partition, ring, offset, resolve, to, found);
  if (look.copied == Copied::record) return ReadStatus::record;
  return read_on(partition, ring, offset, resolve, to, found, look);
}

/// Asks for the first lines of the frame that somebody waits for, at `guess`. It keeps the lines' way here
/// off the round trip, since they come together with the slot's, not after it; a publisher that streams would
/// have to fetch them back.
inline void prefetch_frame(const std::byte* guess) noexcept {
  if (guess == nullptr) return;
  prefetch_to_read(guess);
  prefetch_to_read(guess + limits::kCacheLine);
}

/// The lane that a run of records comes from: mostly they are all of one publisher.
struct RunLane {
  std::uint32_t lane = 0;
  std::uint32_t generation = 0;
  LaneSpan span;
};

/// How many records ahead of the one that is read a reader of a stream asks for. Their lines take longer on
/// their way than reading the records in between.
inline constexpr std::uint64_t kReadAhead = 24;

/// Asks for the frame that lies kReadAhead records behind `offset`, if it is there and in the same lane as
/// the one at `offset`. False: it is not.
template <class A>
[[gnu::always_inline]] inline bool prefetch_ahead(const RingView<A>& ring, std::uint64_t offset,
                                                  const LaneSpan& lane) noexcept {
  if constexpr (!A::kPrefetches) return true;
  // relaxed, both: a hint.
  const std::uint64_t word = ring.slot(offset).load(std::memory_order_relaxed);
  const std::uint64_t ahead = ring.slot(offset + kReadAhead).load(std::memory_order_relaxed);
  if (ahead >> limits::kUnitBits != word >> limits::kUnitBits) return false;
  prefetch_frame(lane.data + (std::size_t{place_unit(slot_place(ahead))} << limits::kUnitShift));
  return true;
}

/// Walks over what follows from `offset` on, below `end`, as long as it is plain: a record without headers,
/// of at most kShortMost bytes of key and value, out of this lane (which is known). `each(offset,
/// timestamp_ms, key_bytes, value_bytes, body)` looks at one, and says whether to go on behind it. Gives the
/// offset at which it stopped: whatever is there (the end, a fence, another lane, a frame that is odd) is
/// left to look_at(). What was seen counts as in copy_frame(): only if `reclaimed` had not passed the offset
/// afterwards. Few instructions, all in registers: a third of what a record costs otherwise.
template <class A, class Each>
[[nodiscard]] [[gnu::always_inline]] inline std::uint64_t walk_run(const PartitionView<A>& partition,
                                                                   const RingView<A>& ring,
                                                                   std::uint64_t offset, std::uint64_t end,
                                                                   const RunLane& lane, Each each) {
  constexpr std::size_t kBody = sizeof(memory::FrameHeader);
  constexpr auto kMost = static_cast<std::int32_t>(kShortMost);
  const typename A::u32& generation = partition.marks.lane_generation[lane.lane];
  const std::uint64_t of_partition = std::uint64_t{partition.number} << 32;
  const std::size_t lane_bytes = lane.span.bytes;
  for (; offset < end; ++offset) {
    // Memory orders and their reasons: as in look_at() and locate().
    const std::uint64_t word = ring.slot(offset).load(std::memory_order_acquire);
    if (word >> limits::kUnitBits !=
        slot_word(ring.lap(offset), place_word(lane.lane, 0)) >> limits::kUnitBits)
      break;
    if (generation.load(std::memory_order_acquire) != lane.generation) break;
    const std::size_t at = std::size_t{place_unit(slot_place(word))} << limits::kUnitShift;
    if (at < sizeof(memory::LaneHeader) || at + kBody > lane_bytes) break;
    const std::byte* const frame = lane.span.data + at;
    const auto [place, timestamp, headers_and_key, value] = A::template load_shared<4>(frame);
    const auto headers_bytes = static_cast<std::uint32_t>(headers_and_key);
    const auto key_bytes = static_cast<std::int32_t>(headers_and_key >> 32);
    const auto value_bytes = static_cast<std::int32_t>(value);
    if (place != (of_partition | slot_place(word)) || headers_bytes != 0) break;
    if (key_bytes < memory::kNullLength || key_bytes > kMost || value_bytes < 0 || value_bytes > kMost) break;
    const auto bytes = static_cast<std::size_t>(std::max(key_bytes, 0) + value_bytes);
    if (bytes > kShortMost || at + kBody + bytes > lane_bytes) break;
    if (!each(offset, static_cast<std::int64_t>(timestamp), key_bytes, value_bytes, frame + kBody)) break;
  }
  return offset;
}

/// Copies a run. `hold_back`: stop kReadAhead records before the end. `sink.room(bytes)` gives where that
/// many bytes may be copied to, or null to stop; `sink.add(offset, timestamp_ms, key_bytes, value_bytes)`
/// takes up the record whose key and value were copied there. A record that was overwritten meanwhile ends
/// the run.
template <class A, class Sink>
[[nodiscard]] [[gnu::always_inline]] inline std::uint64_t copy_run(const PartitionView<A>& partition,
                                                                   const RingView<A>& ring,
                                                                   std::uint64_t offset, std::uint64_t end,
                                                                   const RunLane& lane, bool hold_back,
                                                                   Sink& sink) noexcept {
  const auto copy = [&](std::uint64_t at, std::int64_t timestamp_ms, std::int32_t key_bytes,
                        std::int32_t value_bytes, const std::byte* body) {
    if (!prefetch_ahead(ring, at, lane.span) && hold_back) return false;
    const auto bytes = static_cast<std::size_t>(std::max(key_bytes, 0) + value_bytes);
    std::byte* const to = sink.room(bytes);
    if (to == nullptr) return false;
    take_bytes<A>(to, body, bytes);
    // Both as in copy_frame().
    A::fence(std::memory_order_acquire);
    if (ring.reclaimed->load(std::memory_order_relaxed) > at) return false;
    sink.add(at, timestamp_ms, key_bytes, value_bytes);
    return true;
  };
  return walk_run(partition, ring, offset, end, lane, copy);
}

/// Where the frame at `offset` will lie, if it comes from the publisher of the one before it: a guess, and an
/// address to prefetch, not to read. Null: no idea.
template <class A, class Resolve>
const std::byte* behind_last(const PartitionView<A>& partition, const RingView<A>& ring, std::uint64_t offset,
                             Resolve&& resolve) noexcept {
  if (offset <= ring.base) return nullptr;
  // acquire: as for every reader. What is read here may be overwritten meanwhile, which makes a bad guess.
  const std::uint64_t word = ring.slot(offset - 1).load(std::memory_order_acquire);
  Found found;
  std::span<const std::byte> room;
  if (is_fence(word) || locate(partition.marks, word, resolve, found, room) != Located::here ||
      !take_header(partition, word, room, found))
    return nullptr;
  constexpr std::size_t kUnit = limits::kUnitBytes;
  return room.data() + (sizeof(memory::FrameHeader) + found.body_bytes + kUnit - 1) / kUnit * kUnit;
}

/// A lease: nothing at or above its offset is overwritten while it is held, unless it is revoked. It covers
/// bytes, not slots (H16), of one ring (H31). Belongs to one cell, one thread.
template <class A>
class Lease {
 public:
  Lease() = default;
  explicit Lease(typename A::u64& cell) noexcept : cell_(&cell) {}

  /// Takes a lease from `offset` on. False: the ring's `reclaimed` is beyond already, read by copy; nothing
  /// is held, but a publisher may have seen the cell and gone to sleep: as after release(), ring who sleeps
  /// for space (C3).
  [[nodiscard]] bool take(const RingView<A>& ring, std::uint64_t offset) noexcept {
    value_ = lease_word(++seq_, offset);
    cell_->store(value_, std::memory_order_relaxed);  // the fence below orders it
    // Pairs with the fence between a publisher's look at `reclaimed` and its scan: either it sees this lease,
    // or we see its `reclaimed`.
    A::fence(std::memory_order_seq_cst);
    // acquire: pairs with advance(), as for every reader.
    if (ring.reclaimed->load(std::memory_order_acquire) <= offset) return held_ = true;
    clear();
    A::fence(std::memory_order_seq_cst);  // as in release()
    return false;
  }

  bool held() const noexcept { return held_; }

  /// Were all bytes that were looked at so far the record's? False: the lease was revoked, what was seen may
  /// be torn.
  [[nodiscard]] bool valid() const noexcept {
    // Pairs with the overwriter's release fence: had we seen one of its bytes, we would see the revocation.
    A::fence(std::memory_order_acquire);
    return held_ && cell_->load(std::memory_order_relaxed) == value_;
  }

  /// Ends the lease; false if it had been revoked. Afterwards the caller rings who sleeps for space.
  bool release() noexcept {
    if (!held_) return false;
    bool kept = valid();
    if (!clear()) kept = false;
    held_ = false;
    // Either whoever goes to sleep for space sees the cell, or the caller sees its sleeper's bit.
    A::fence(std::memory_order_seq_cst);
    return kept;
  }

 private:
  /// release: our last look at the bytes comes before. A revoked cell is ours again.
  bool clear() noexcept {
    std::uint64_t mine = value_;
    if (cell_->compare_exchange_strong(mine, memory::kLeaseNone, std::memory_order_release,
                                       std::memory_order_relaxed))
      return true;
    cell_->store(memory::kLeaseNone, std::memory_order_release);
    return false;
  }

  typename A::u64* cell_ = nullptr;
  std::uint64_t value_ = memory::kLeaseNone;
  std::uint16_t seq_ = 0;
  bool held_ = false;
};

/// Looks at `offset` in place, under `lease`, taken in this ring at or below it. record: `found.body` points
/// into the lane; what was made of it counts only if lease.valid() says so afterwards. behind: the slot was
/// overwritten (H16) or the lease revoked: release it and read by copy. fenced: release it, and take a new
/// one in the next ring (H31).
template <class A, class Resolve>
[[nodiscard]] ReadStatus look_in_place(const PartitionView<A>& partition, const RingView<A>& ring,
                                       const Lease<A>& lease, std::uint64_t offset, Resolve&& resolve,
                                       Found& found) noexcept {
  // acquire: pairs with the commit. One load: the slot may change, the frame's bytes may not.
  const std::uint64_t word = ring.slot(offset).load(std::memory_order_acquire);
  const std::int32_t ahead = laps_ahead(word, ring.lap(offset));
  if (ahead < 0) return ReadStatus::nothing_yet;
  if (ahead > 0) return ReadStatus::behind;
  if (is_fence(word)) {
    found.reason = fence_reason(word);
    return ReadStatus::fenced;
  }
  std::span<const std::byte> room;
  const Located located = locate(partition.marks, word, resolve, found, room);
  if (located == Located::unknown_lane) return ReadStatus::unknown_lane;
  if (located == Located::here && take_header(partition, word, room, found)) {
    found.body = room.data() + sizeof(memory::FrameHeader);
    return ReadStatus::record;
  }
  return lease.valid() ? ReadStatus::bad_frame : ReadStatus::behind;
}

/// Does `marks` name a ring newer than `ring`? Ask before every sleep and after every return from the log: a
/// dead ring's slots never change (H32). The caller then takes the newest ring with base <= its offset.
template <class A>
bool newer_ring(const MarksView<A>& marks, const RingView<A>& ring) noexcept {
  // acquire: pairs with announce_ring(): the new ring's base is there.
  return marks.ring_generation->load(std::memory_order_acquire) != ring.generation;
}

/// The newest of `rings` (any order) that `marks` names, whose base is at or below `offset`; nullptr if there
/// is none. A ring that marks does not name yet is not entered (H33).
template <class A>
RingView<A>* ring_for(const MarksView<A>& marks, std::span<RingView<A>> rings,
                      std::uint64_t offset) noexcept {
  const std::uint32_t newest = marks.ring_generation->load(std::memory_order_acquire);  // as in newer_ring()
  RingView<A>* best = nullptr;
  for (RingView<A>& ring : rings) {
    if (ring.generation > newest || !ring.enter() || ring.base > offset) continue;
    if (best == nullptr || ring.generation > best->generation) best = &ring;
  }
  return best;
}

}  // namespace busway::ring
