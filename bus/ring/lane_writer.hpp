// A publisher's private bookkeeping of one lane: where the next frame goes, and which old ones may be
// overwritten.
//
// Frames lie in lane order: each starts at a unit behind the lane's header, is contiguous and never wraps
// around the lane's end. Every unit is remembered, oldest first, until its bytes may be overwritten, in
// entries that follow one another without a gap:
//   open       a frame handed out, still being filled or waiting to be published: a loan. Nothing behind it
//              is freed.
//   abandoned  a frame handed back unpublished, or the end of the lane, too short for the frame that came
//   next published  a run of frames of one size at consecutive offsets of a ring: overwritten only below that
//              ring's `safe`. A stream of equal records is one entry that is not touched while it grows:
//              where the run ends is where the next entry begins, or the next frame.
// Order of events: advance `reclaimed`, seq_cst fence, scan the leases, release fence, overwrite.
// Nothing here is shared but what the ledgers point to. No allocation after construction. One thread.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "bus/ring/prefetch.hpp"
#include "bus/ring/publish.hpp"
#include "bus/ring/reclaim.hpp"
#include "bus/ring/slot.hpp"

namespace busway::ring {

/// An entry of the book: a frame, or a run of published ones.
template <class A>
struct Remembered {
  enum class State : std::uint32_t { published, open, abandoned };
  Ledger<A>* ledger = nullptr;  ///< published: of the ring it went into
  std::uint64_t offset = 0;     ///< published: of the first frame
  std::uint64_t place = 0;      ///< [state:8 | units of each frame:24 | unit of the first:32]

  static constexpr std::uint64_t place_of(std::uint64_t unit, std::uint64_t units, State state) noexcept {
    return (std::uint64_t{static_cast<std::uint32_t>(state)} << 56) | (units << 32) | unit;
  }
  std::uint64_t unit() const noexcept { return place & 0xffff'ffffU; }
  std::uint64_t units() const noexcept { return place >> 32 & 0xff'ffffU; }
  State state() const noexcept { return static_cast<State>(place >> 56); }
  void set_state(State state) noexcept { place = place_of(unit(), units(), state); }
};

enum class ReserveStatus : std::uint8_t {
  reserved,
  too_large,   ///< no lane of this size can hold it
  loans,       ///< an open loan is in the way: a further lane, or an error
  wait_space,  ///< the oldest frame is not reclaimable yet: wait for space in `Reservation::blocker`'s
               ///< partition
  wait_lease,  ///< the oldest frame is leased and the lease has not timed out: likewise, but look again by
               ///< itself
};

/// Room for a frame. Nothing is taken yet.
template <class A>
struct [[nodiscard]] Room {
  ReserveStatus status = ReserveStatus::too_large;
  std::uint64_t units = 0;
  std::uint32_t place = 0;             ///< [lane | unit]: what the frame's header and the slot name
  std::byte* data = nullptr;           ///< the frame's first byte
  const Ledger<A>* blocker = nullptr;  ///< wait_*: whose ring is in the way
};

/// Room that was taken.
template <class A>
struct [[nodiscard]] Reservation {
  ReserveStatus status = ReserveStatus::too_large;
  std::uint32_t place = 0;
  std::uint64_t frame = 0;  ///< handle for published() and abandon()
  std::byte* data = nullptr;
  const Ledger<A>* blocker = nullptr;
};

/// How the writer tells time, asked only when a lease is in the way. `now_ns` is monotonic.
template <class Clock>
struct LeasePatience {
  Clock now_ns;
  std::int64_t timeout_ns = 0;
};

template <class A>
class LaneWriter {
 public:
  /// Entries that `book` must have for a lane of `bytes`: a power of two.
  static constexpr std::size_t book_size(std::size_t bytes) noexcept {
    return std::bit_ceil(bytes >> limits::kUnitShift);
  }

  /// `data` is the mapped lane, `bytes` what the daemon gave. `book` has book_size() entries and outlives the
  /// writer.
  LaneWriter(std::uint32_t lane, std::byte* data, std::size_t bytes, std::span<Remembered<A>> book) noexcept
      : data_(data),
        book_(book.data()),
        book_mask_(book.size() - 1),
        first_place_(place_word(lane, 0)),
        units_(bytes / limits::kUnitBytes) {}

  /// Room for a frame of `bytes`, header included. It is the caller's to write to, and given back by doing
  /// nothing.
  template <class Clock>
  [[gnu::always_inline]] Room<A> find_room(std::size_t bytes, LeasePatience<Clock> patience) noexcept {
    const std::uint64_t units = units_of(bytes);
    if (!at_hand(units)) [[unlikely]] {
      Room<A> refused = make_room(units, patience);
      if (refused.status != ReserveStatus::reserved) return refused;
    }
    return room_at_hand(units);
  }

  /// How much of the lane a frame of `bytes` takes.
  static constexpr std::uint64_t units_of(std::size_t bytes) noexcept {
    return (bytes + limits::kUnitBytes - 1) >> limits::kUnitShift;
  }

  /// Is there room for a frame of `units` without freeing any?
  bool at_hand(std::uint64_t units) const noexcept { return units <= end_ - next_; }

  /// That room.
  [[gnu::always_inline]] Room<A> room_at_hand(std::uint64_t units) const noexcept {
    std::byte* const data = data_ + next_ * limits::kUnitBytes;
    // The lines of a frame like this one, some frames ahead; larger frames overlap their own misses.
    prefetch_to_write(data + kPrefetchAhead);
    prefetch_to_write(data + kPrefetchAhead + limits::kCacheLine);
    return {.status = ReserveStatus::reserved,
            .units = units,
            .place = next_place(),
            .data = data,
            .blocker = nullptr};
  }

  /// Takes the room that was just given for a frame of `units`, which was committed at `offset` of `ledger`'s
  /// ring.
  void take(std::uint64_t units, Ledger<A>& ledger, std::uint64_t offset) noexcept {
    const std::uint32_t place = next_place();
    if (!goes_on(place, units, ledger)) begin_run(units, ledger, offset);
    move_on(place, units, ledger);
  }

  /// The same for a frame that is about to be committed at ledger.seen: give_back() if it was not.
  [[gnu::always_inline]] void take_to_commit(std::uint64_t units, Ledger<A>& ledger) noexcept {
    const std::uint32_t place = next_place();
    if (!goes_on(place, units, ledger)) [[unlikely]]
      begin_run(units, ledger, ledger.seen);
    move_on(place, units, ledger);
  }

  /// The frame that was taken last, of `units`, was not committed in `ledger`'s ring.
  void give_back(std::uint64_t units, Ledger<A>& ledger) noexcept {
    next_ -= units;
    if (at(last_ - 1).unit() == next_) --last_;  // it had begun a run
    ledger.run_units = 0;
  }

  /// Finds room and takes it: the frame is open until published() or abandon().
  template <class Clock>
  Reservation<A> reserve(std::size_t bytes, LeasePatience<Clock> patience) noexcept {
    const Room<A> room = find_room(bytes, patience);
    if (room.status != ReserveStatus::reserved)
      return {.status = room.status, .place = 0, .frame = 0, .data = nullptr, .blocker = room.blocker};
    remember({.ledger = nullptr,
              .offset = 0,
              .place = Remembered<A>::place_of(next_, room.units, Remembered<A>::State::open)});
    next_ += room.units;
    return {.status = room.status,
            .place = room.place,
            .frame = last_ - 1,
            .data = room.data,
            .blocker = nullptr};
  }

  /// The frame was committed at `offset` of `ledger`'s ring.
  void published(std::uint64_t frame, Ledger<A>& ledger, std::uint64_t offset) noexcept {
    Remembered<A>& entry = at(frame);
    entry.ledger = &ledger;
    entry.offset = offset;
    entry.set_state(Remembered<A>::State::published);
    ledger.run_units = 0;
  }

  /// The frame will not be published: nobody but us has ever seen its bytes.
  void abandon(std::uint64_t frame) noexcept {
    at(frame).set_state(Remembered<A>::State::abandoned);
    // The newest ones give their room back at once: a publisher that gives up at its deadline leaves no
    // trace.
    while (last_ != first_ && at(last_ - 1).state() == Remembered<A>::State::abandoned)
      next_ = at(--last_).unit();
    end_ = next_;  // to be found out anew: next_ may be back before the lane's start
  }

  /// Frees what is free without waiting, so that a quiet publisher's rings can be retired.
  template <class Clock>
  void settle(LeasePatience<Clock> patience) noexcept {
    bool freed = false;
    while (first_ != last_ && free_oldest(patience, freed) == ReserveStatus::reserved) continue;
    if (freed) A::fence(std::memory_order_release);
  }

  std::uint32_t lane() const noexcept { return place_lane(first_place_); }
  std::size_t bytes() const noexcept { return units_ * limits::kUnitBytes; }
  bool empty() const noexcept { return first_ == last_; }
  /// Does an entry name this ledger? Then it must stay.
  bool names(const Ledger<A>& ledger) const noexcept {
    for (std::uint64_t entry = first_; entry != last_; ++entry)
      if (book_[entry & book_mask_].ledger == &ledger) return true;
    return false;
  }
  /// Entries of the book.
  std::uint64_t remembered() const noexcept { return last_ - first_; }
  /// The k-th oldest of them; for tests.
  const Remembered<A>& oldest(std::uint64_t k = 0) const noexcept { return book_[(first_ + k) & book_mask_]; }
  /// Where the next frame begins if it fits there.
  std::uint64_t next_unit() const noexcept { return next_; }

 private:
  /// A first look at the leases for the oldest frame, and what later looks may use of it (H28).
  struct Scan {
    static constexpr std::uint64_t kNone = ~std::uint64_t{0};
    std::uint64_t entry = kNone;  ///< whose first frame it was made for
    std::uint64_t offset = 0;     ///< of that frame
    std::uint64_t bound = 0;      ///< `reclaimed` as it was before the first look
    const PartitionView<A>* partition = nullptr;
    std::array<std::uint64_t, A::kLeaseCells> cells{};
    std::array<std::int64_t, A::kLeaseCells>
        since_ns{};  ///< when the cell was first seen with this value; 0 = not noted
  };

  static constexpr std::size_t kPrefetchAhead = 2048;
  /// The first unit behind the lane's header.
  static constexpr std::uint64_t kBegin = sizeof(memory::LaneHeader) >> limits::kUnitShift;

  Remembered<A>& at(std::uint64_t entry) noexcept { return book_[entry & book_mask_]; }

  void remember(const Remembered<A>& entry) noexcept {
    at(last_++) = entry;
    same_from_ = last_;
  }

  std::uint32_t next_place() const noexcept { return first_place_ + static_cast<std::uint32_t>(next_); }

  /// Is a frame of `units` at `place`, where there is room, one more of the newest run's? The ledger must be
  /// that run's: its place may be of a lane that has gone, whose number this one got.
  [[gnu::always_inline]] bool goes_on(std::uint32_t place, std::uint64_t units,
                                      const Ledger<A>& ledger) const noexcept {
    if (&ledger != run_ledger_ || place != ledger.run_place || units != ledger.run_units) [[unlikely]]
      return false;
    return true;
  }

  [[gnu::always_inline]] void move_on(std::uint32_t place, std::uint64_t units, Ledger<A>& ledger) noexcept {
    ledger.run_place = place + static_cast<std::uint32_t>(units);
    next_ += units;
  }

  [[gnu::always_inline]] void begin_run(std::uint64_t units, Ledger<A>& ledger,
                                        std::uint64_t offset) noexcept {
    if (&ledger != run_ledger_) same_from_ = last_;
    run_ledger_ = &ledger;
    ledger.run_units = units;
    at(last_++) = {.ledger = &ledger,
                   .offset = offset,
                   .place = Remembered<A>::place_of(next_, units, Remembered<A>::State::published)};
  }

  /// Frames of the run that `entry` is.
  std::uint64_t frames(std::uint64_t entry) noexcept {
    const Remembered<A>& run = at(entry);
    const std::uint64_t following = entry + 1 == last_ ? next_ : at(entry + 1).unit();
    const std::uint64_t end =
        following > run.unit() ? following : units_;  // the lane's end, if it went round
    return (end - run.unit()) / run.units();
  }

  /// Is there contiguous room? Moves next_ to the lane's start if that is where it is, and end_ along. What
  /// is left at the end is an entry of its own, so that each ends where the next one begins.
  bool fits(std::uint64_t units) noexcept {
    const std::uint64_t begin = first_ == last_ ? units_ : at(first_).unit();
    if (first_ == last_) next_ = kBegin;
    end_ = next_ <= begin ? begin : units_;
    if (units <= end_ - next_) return true;
    if (next_ <= begin || units > begin - kBegin) return false;
    if (next_ != units_)
      remember({.ledger = nullptr,
                .offset = 0,
                .place = Remembered<A>::place_of(next_, units_ - next_, Remembered<A>::State::abandoned)});
    next_ = kBegin;
    end_ = begin;
    return true;
  }

  template <class Clock>
  [[gnu::noinline]] Room<A> make_room(std::uint64_t units, LeasePatience<Clock> patience) noexcept {
    if (units > units_ - kBegin) return {};
    Room<A> result{.status = ReserveStatus::reserved};
    bool freed = false;
    while (result.status == ReserveStatus::reserved && !fits(units)) {
      const Remembered<A>& oldest = at(first_);
      result.blocker = oldest.state() == Remembered<A>::State::published ? oldest.ledger : nullptr;
      result.status = free_oldest(patience, freed);
    }
    // Before the first byte is overwritten: a reader that sees a new byte sees, after its acquire fence, the
    // `reclaimed` or the revoked lease that allowed it. Also when we give up here: what was freed may fit a
    // smaller frame next time.
    if (freed) A::fence(std::memory_order_release);
    return result;
  }

  /// Forgets the oldest entry, or the frames in front of it, if their bytes may be overwritten.
  template <class Clock>
  ReserveStatus free_oldest(LeasePatience<Clock>& patience, bool& freed) noexcept {
    using State = typename Remembered<A>::State;
    Remembered<A>& frame = at(first_);
    if (frame.state() == State::open) return ReserveStatus::loans;
    if (frame.state() == State::published) {
      Ledger<A>& ledger = *frame.ledger;
      while (frame.offset >= ledger.safe) {
        if (!advance(*ledger.partition, ledger.ring, frame.offset + 1, want(), ledger.seen))
          return ReserveStatus::wait_space;
        learn_safe(ledger);
        if (frame.offset >= ledger.safe && !revoke(*ledger.partition, frame.offset, patience))
          return ReserveStatus::wait_lease;
      }
      freed = true;
      forget_safe(ledger);
      return ReserveStatus::reserved;
    }
    ++first_;
    return ReserveStatus::reserved;
  }

  /// Forgets the oldest frame, published into `ledger`'s ring and safe, and all behind it that are so too:
  /// the next reservations find room without coming here.
  void forget_safe(Ledger<A>& ledger) noexcept {
    const std::uint64_t beyond =
        first_ >= same_from_ ? beyond_safe_of_same(ledger.safe) : beyond_safe(ledger);
    first_ = beyond - 1;  // the last that begins below; all before it end below
    Remembered<A>& run = at(first_);
    const std::uint64_t safe = ledger.safe - run.offset;
    if (safe < frames(first_)) {
      run.offset += safe;
      run.place += safe * run.units();
      return;
    }
    first_ = beyond;
    if (first_ == last_) ledger.run_units = 0;
  }

  /// The first entry behind the oldest that does not begin below what is safe in `ledger`'s ring.
  std::uint64_t beyond_safe(const Ledger<A>& ledger) noexcept {
    std::uint64_t next = first_ + 1;
    while (next != last_) {
      const Remembered<A>& entry = at(next);
      if (entry.state() != Remembered<A>::State::published || entry.ledger != &ledger ||
          entry.offset >= ledger.safe)
        break;
      ++next;
    }
    return next;
  }

  /// The same of entries that are all published into one ring: their offsets grow, so halving finds it.
  std::uint64_t beyond_safe_of_same(std::uint64_t safe) noexcept {
    std::uint64_t next = first_ + 1;
    for (std::uint64_t left = last_ - next; left != 0;) {
      const std::uint64_t half = left / 2;
      const bool below = at(next + half).offset < safe;
      next = below ? next + half + 1 : next;
      left = below ? left - half - 1 : half;
    }
    return next;
  }

  /// How far to reclaim at once for the oldest frame: an eighth of what is remembered, or an eighth of the
  /// lane if that is one run, as far as it lies in that frame's ring.
  std::uint64_t want() noexcept {
    const Remembered<A>& oldest = at(first_);
    const std::uint64_t further = first_ + (last_ - first_) / 8;
    if (further == first_)
      return oldest.offset + std::clamp<std::uint64_t>(units_ / 8 / oldest.units(), 1, frames(first_));
    const Remembered<A>& run = at(further);
    const bool same = run.state() == Remembered<A>::State::published && run.ledger == oldest.ledger;
    return same ? run.offset + 1 : oldest.offset + 1;
  }

  static bool nothing_leased(const WaitView<A>& wait) noexcept {
    std::uint64_t any = memory::kLeaseNone;
    const std::uint32_t cells = wait.cells_in_use();
    for (std::uint32_t cell = 0; cell < cells; ++cell)
      any |= wait.leases[cell].load(std::memory_order_acquire);  // as in learn_safe()
    return any == memory::kLeaseNone;
  }

  /// Scans the leases for the oldest frame and raises its ring's `safe`. What is safe once is safe for ever.
  void learn_safe(Ledger<A>& ledger) noexcept {
    const WaitView<A>& wait = ledger.partition->wait;
    const bool first = scan_.entry != first_ || scan_.offset != at(first_).offset;
    if (first) {
      // Also when another publisher advanced it (H15). Never a newer value while filtering (H28): a larger
      // one wants a new fence and a full scan. acquire: pairs with advance().
      scan_.bound = ledger.ring.reclaimed->load(std::memory_order_acquire);
      // A holder stores its lease, fences, looks at `reclaimed`: either it sees ours, or we see its lease.
      A::fence(std::memory_order_seq_cst);
      if (nothing_leased(wait)) {
        scan_.entry = Scan::kNone;  // the next look is a first one
        scan_.partition = nullptr;
        ledger.safe = std::max(ledger.safe, scan_.bound);
        return;
      }
    }
    const bool same_cells = scan_.partition == ledger.partition;
    std::uint64_t safe = scan_.bound;
    const std::uint32_t cells = wait.cells_in_use();
    for (std::uint32_t cell = 0; cell < cells; ++cell) {
      // acquire: pairs with the holder's release: its last look at the bytes is over.
      const std::uint64_t lease = wait.leases[cell].load(std::memory_order_acquire);
      if (first) {
        if (!same_cells || scan_.cells[cell] != lease) scan_.since_ns[cell] = 0;
        scan_.cells[cell] = lease;
      } else if (scan_.cells[cell] != lease) {
        // A lease taken after the first scan has seen `reclaimed` beyond the frame: it covers nothing of it
        // (H28).
        scan_.cells[cell] = memory::kLeaseNone;
      }
      if (lease_counts(scan_.cells[cell])) safe = std::min(safe, lease_offset(lease));
    }
    scan_.entry = first_;
    scan_.offset = at(first_).offset;
    scan_.partition = ledger.partition;
    ledger.safe = std::max(ledger.safe, safe);
  }

  /// Takes back the leases that hold up `offset` for too long. False: none of them is due yet.
  template <class Clock>
  bool revoke(const PartitionView<A>& partition, std::uint64_t offset,
              LeasePatience<Clock>& patience) noexcept {
    const std::int64_t now = std::max<std::int64_t>(patience.now_ns(), 1);
    bool revoked = false;
    const std::uint32_t cells = partition.wait.cells_in_use();
    for (std::uint32_t cell = 0; cell < cells; ++cell) {
      std::uint64_t lease = scan_.cells[cell];
      if (!lease_counts(lease) || lease_offset(lease) > offset) continue;
      std::int64_t& since = scan_.since_ns[cell];
      if (since == 0) since = now;
      if (now - since < patience.timeout_ns) continue;
      // acq_rel: the holder's valid() and release() see that it lost the bytes before it could see others in
      // them; we see its last look if it released just now. Failure: it has gone, the next scan counts it no
      // more.
      partition.wait.leases[cell].compare_exchange_strong(
          lease, memory::kLeaseRevoked, std::memory_order_acq_rel, std::memory_order_relaxed);
      revoked = true;
    }
    return revoked;
  }

  std::byte* data_;
  Remembered<A>* book_;
  std::uint64_t book_mask_;
  std::uint64_t first_ = 0;                ///< handle of the oldest entry
  std::uint64_t last_ = 0;                 ///< handle that the next entry gets
  std::uint64_t same_from_ = 0;            ///< from here on all entries are published into run_ledger_'s ring
  const Ledger<A>* run_ledger_ = nullptr;  ///< of the newest run
  std::uint64_t next_ = kBegin;            ///< unit where the next frame goes, if it fits
  std::uint64_t end_ = kBegin;             ///< units from next_ up to here are free
  std::uint32_t first_place_;              ///< of unit 0; the unit is in the low bits
  std::uint64_t units_;                    ///< of the lane, its header's included
  Scan scan_;
};

}  // namespace busway::ring
