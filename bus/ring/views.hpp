// What one process knows of a partition's shared memory: pointers to the words, and private copies of all
// that must not change under its hands.
//
// Three faces of one structure: the layout (bus/memory/*_layout.hpp), these views for clients,
// bus/ring/fence.hpp for the daemon. A subscriber's ring and marks lie in read-only mappings: storing through
// its views would fault, and no function that a subscriber calls does. Thread safety: a view is a value; the
// words behind it are atomics.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "bus/base/limits.hpp"
#include "bus/memory/atomics.hpp"
#include "bus/memory/lane_layout.hpp"
#include "bus/memory/marks_layout.hpp"
#include "bus/memory/ring_layout.hpp"
#include "bus/memory/wait_layout.hpp"

namespace busway::ring {

/// The slot ring of one partition and generation. For offset o: q = o - base, index q mod N, lap q / N + 1;
/// the lap never wraps, since the daemon fences first.
template <class A>
struct RingView {
  typename A::u64* base_word = nullptr;
  typename A::u64* tail = nullptr;
  typename A::u64* reclaimed = nullptr;
  typename A::u64* slots = nullptr;
  std::uint64_t base = memory::kBaseUnset;  ///< private copy, taken by enter()
  std::uint64_t mask = 0;                   ///< N - 1
  std::uint32_t shift = 0;                  ///< log2 N
  std::uint32_t generation = 0;

  std::uint64_t size() const noexcept { return mask + 1; }
  bool entered() const noexcept { return base != memory::kBaseUnset; }

  /// Takes the private copy of `base`. False while the previous ring's fence does not stand yet. Call it only
  /// once `marks` names this generation or a later one (H33).
  bool enter() noexcept {
    // acquire: pairs with open_ring()'s release, so that tail and reclaimed are at least the base.
    if (!entered()) base = base_word->load(std::memory_order_acquire);
    return entered();
  }

  typename A::u64& slot(std::uint64_t offset) const noexcept { return slots[(offset - base) & mask]; }
  /// Whole turns of the ring before `offset`.
  std::uint32_t laps_before(std::uint64_t offset) const noexcept {
    return static_cast<std::uint32_t>((offset - base) >> shift);
  }
  std::uint32_t lap(std::uint64_t offset) const noexcept { return laps_before(offset) + 1; }
};

/// What the daemon says about one partition. Memory that only the daemon writes.
template <class A>
struct MarksView {
  typename A::u64* granted = nullptr;
  typename A::u64* written = nullptr;
  typename A::u64* durable = nullptr;
  typename A::u64* log_start = nullptr;
  typename A::u32* ring_generation = nullptr;
  typename A::u32* epoch = nullptr;
  typename A::u32* state = nullptr;            ///< memory::PartitionState
  typename A::u32* lane_generation = nullptr;  ///< of the topic: index 1 to lanes
  std::uint32_t lanes = 0;
};

/// One bit per process that may sleep.
template <class A>
struct SleepersView {
  typename A::u64* words = nullptr;
  std::uint32_t count = 0;  ///< words
};

/// Who sleeps, what is leased, how far `overflow=block` subscribers are.
template <class A>
struct WaitView {
  SleepersView<A> records;
  SleepersView<A> space;
  SleepersView<A> durable;
  typename A::u64* leases = nullptr;
  typename A::u64* cursors = nullptr;
  std::uint32_t cells = 0;                       ///< of leases, and of cursors; at most A::kLeaseCells
  const typename A::u32* cells_given = nullptr;  ///< in `marks`: only the first so many; null = all

  /// The cells to look at: call it where a cell would be looked at, after the fence. Who misses a cell that
  /// is being given out missed what its holder stores there later, too.
  std::uint32_t cells_in_use() const noexcept {
    // acquire: pairs with the daemon's store, made before the holder learns its cell.
    return cells_given == nullptr ? cells : std::min(cells, cells_given->load(std::memory_order_acquire));
  }
};

/// What may be overwritten in a partition's rings.
enum class Reclaim : std::uint8_t {
  logged,       ///< what the daemon has written
  drop_oldest,  ///< anything that is published
  block,        ///< what every registered subscriber has read
};

/// One partition, apart from its rings.
template <class A>
struct PartitionView {
  MarksView<A> marks;
  WaitView<A> wait;
  Reclaim reclaim = Reclaim::logged;
  std::uint32_t number = 0;
};

/// Somebody's lane as a reader sees it: where it is mapped, and the size that the daemon gave.
struct LaneSpan {
  const std::byte* data = nullptr;
  std::size_t bytes = 0;
};

using Ring = RingView<memory::StdAtomics>;
using Partition = PartitionView<memory::StdAtomics>;

/// A ring in mapped memory of `mapped_bytes`; nothing if what its header claims cannot be true. `base` is not
/// yet taken: enter() does that. Publishers can write to the header: what is checked here is copied and never
/// looked at again.
inline std::optional<Ring> view_ring(memory::RingHeader* header, std::size_t mapped_bytes) noexcept {
  if (mapped_bytes < sizeof(memory::RingHeader)) return std::nullopt;
  memory::Identity identity{};
  memory::StdAtomics::copy_from_shared(&identity, &header->identity, sizeof identity);
  const std::uint64_t slots = identity.item_count;
  if (identity.kind != memory::Kind::ring || !std::has_single_bit(slots) || slots < 2 ||
      slots > limits::kRingSlotsMost || memory::ring_bytes(slots) > mapped_bytes)
    return std::nullopt;
  Ring view;
  view.base_word = &header->base;
  view.tail = &header->tail;
  view.reclaimed = &header->reclaimed;
  view.slots = memory::ring_slots(header);
  view.mask = slots - 1;
  view.shift = static_cast<std::uint32_t>(std::countr_zero(slots));
  view.generation = identity.generation;
  return view;
}

inline MarksView<memory::StdAtomics> view_marks(memory::MarksHeader* header,
                                                std::uint32_t partition) noexcept {
  memory::PartitionMarks& marks = memory::marks_partitions(header)[partition];
  return {.granted = &marks.granted,
          .written = &marks.written,
          .durable = &marks.durable,
          .log_start = &marks.log_start,
          .ring_generation = &marks.ring_generation,
          .epoch = &marks.epoch,
          .state = &marks.state,
          .lane_generation = memory::marks_tables(header)->lane_generation,
          .lanes = limits::kLanesPerTopic};
}

inline WaitView<memory::StdAtomics> view_wait(const memory::MarksHeader* marks, memory::WaitHeader* header,
                                              std::uint32_t partition) noexcept {
  memory::PartitionWait& wait = memory::wait_partitions(header)[partition];
  constexpr std::uint32_t kWords = limits::kSleepersPerTopic / 64;
  return {.records = {wait.records.words, kWords},
          .space = {wait.space.words, kWords},
          .durable = {wait.durable.words, kWords},
          .leases = wait.leases,
          .cursors = wait.cursors,
          .cells = limits::kSubscribersWithCells,
          .cells_given = &marks->lease_cells};
}

inline Reclaim reclaim_policy(memory::Storage storage, memory::Overflow overflow) noexcept {
  if (storage == memory::Storage::logged) return Reclaim::logged;
  return overflow == memory::Overflow::block ? Reclaim::block : Reclaim::drop_oldest;
}

/// A partition of a topic whose `marks` and `wait` are mapped whole (map_known() checked their sizes), or
/// nothing when there is no such partition in them.
inline std::optional<Partition> view_partition(memory::MarksHeader* marks, std::size_t marks_bytes,
                                               memory::WaitHeader* wait, std::size_t wait_bytes,
                                               std::uint32_t partition) noexcept {
  if (partition >= limits::kPartitionsPerTopic || memory::marks_bytes(partition + 1) > marks_bytes ||
      memory::wait_bytes(partition + 1) > wait_bytes)
    return std::nullopt;
  return Partition{.marks = view_marks(marks, partition),
                   .wait = view_wait(marks, wait, partition),
                   .reclaim = reclaim_policy(marks->storage, marks->overflow),
                   .number = partition};
}

}  // namespace busway::ring
