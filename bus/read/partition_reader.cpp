#include "bus/read/partition_reader.hpp"

#include <algorithm>
#include <utility>

#include <busway/error.hpp>

#include "bus/ring/sleep.hpp"

namespace busway::read {
namespace {

using Atomics = memory::StdAtomics;

/// Changes of place (ring, log, over a bad frame) in one read before the caller may look at other partitions.
constexpr unsigned kTurns = 64;
/// How often an unknown lane is fetched before the reader pauses.
constexpr unsigned kLaneAttempts = 3;
/// How often a walk to the log end starts over while publishers outrun it.
constexpr unsigned kWalks = 16;

std::uint64_t written_end(const ring::Partition& partition) noexcept {
  // acquire, both: pair with the daemon's release stores: what lies below is in the files.
  return std::max(partition.marks.written->load(std::memory_order_acquire),
                  partition.marks.log_start->load(std::memory_order_acquire));
}

/// Reasons that pass by themselves: the daemon is being restarted, or is slow.
bool passes(errc code) noexcept { return code == errc::no_daemon || code == errc::deadline_exceeded; }

}  // namespace

bool Watch::ready() const noexcept {
  const auto& marks = partition.marks;
  // seq_cst, all: after our bit; pair with the fences behind the daemon's stores.
  if (durable_only) return marks.durable->load(std::memory_order_seq_cst) > offset;
  if (ring.keep != nullptr) return ring::readable_now(partition, ring.view, offset, fence_known);
  if (marks.ring_generation->load(std::memory_order_seq_cst) != generation) return true;
  return partition.reclaim == ring::Reclaim::logged &&
         marks.written->load(std::memory_order_seq_cst) > offset;
}

PartitionReader::PartitionReader(const ring::Partition& partition, const ReaderOptions& options,
                                 Source& source, LaneCache& lanes)
    : partition_(partition), options_(options), source_(&source), lanes_(&lanes) {}

void PartitionReader::seek(std::uint64_t offset) noexcept {
  offset_ = offset;
  in_log_ = overtaken_ = fence_known_ = false;
  ring_ = {};
}

void PartitionReader::give_back(std::uint64_t offset) noexcept {
  seek(offset);
  --counters_.delivered;
  counters_.from_log = std::min(counters_.from_log, counters_.delivered);
}

Watch PartitionReader::watch() const {
  return {.partition = partition_,
          .ring = ring_,
          .offset = offset_,
          .generation = newest_named_,
          .fence_known = fence_known_,
          .durable_only = options_.durable_only};
}

bool PartitionReader::ready() const noexcept {
  const auto& marks = partition_.marks;
  if (options_.durable_only) return marks.durable->load(std::memory_order_seq_cst) > offset_;
  if (ring_.keep == nullptr) return watch().ready();
  return ring::readable_now(partition_, ring_.view, offset_, fence_known_);
}

Progress PartitionReader::read(RecordBatch& into) {
  Progress progress = Progress::later;
  for (unsigned turn = 0; turn < kTurns; ++turn) {
    const bool again = in_log_ ? read_log(into, progress) : read_ring(into, progress);
    if (!again) return progress;
  }
  return Progress::later;
}

/// Where reading has to stop for now, whatever the ring holds.
std::uint64_t PartitionReader::limit() const noexcept {
  // acquire: pairs with the daemon's release store after the sync.
  return options_.durable_only ? partition_.marks.durable->load(std::memory_order_acquire)
                               : ~std::uint64_t{0};
}

/// As many plain records as there are. Out of copies of its own: the compiler cannot know that the bytes it
/// copies do not overwrite what it works with.
std::uint64_t PartitionReader::copy_plain(std::uint64_t end, bool hold_back,
                                          RecordBatch::Places& places) const noexcept {
  const ring::Partition partition = partition_;
  const ring::Ring ring = ring_.view;
  const ring::RunLane lane = run_lane_;
  RecordBatch::Places own = places;
  const std::uint64_t next = ring::copy_run<Atomics>(partition, ring, offset_, end, lane, hold_back, own);
  places = own;
  return next;
}

/// The next record is probably in the same lane as the one that was just found.
void PartitionReader::follow_lane(const ring::Found& found) {
  run_lane_ = {.lane = found.lane,
               .generation = found.lane_generation,
               .span = (*lanes_)(found.lane, found.lane_generation)};
}

ring::ReadStatus PartitionReader::copy_run(RecordBatch& into, ring::Found& found) {
  const std::uint64_t end = limit();
  RecordBatch::Run run(into, partition_.number);
  while (run.has_place()) {
    if (run_lane_.span.data != nullptr) {
      const std::uint64_t from = offset_;
      const bool hold_back = std::exchange(hold_back_, false);
      offset_ = copy_plain(end, hold_back, run.places());
      hold_back_ = offset_ - from >= ring::kReadAhead;
      if (hold_back && offset_ != from) break;
    }
    if (!run.has_place()) break;
    if (offset_ >= end) return ring::ReadStatus::nothing_yet;
    const ring::ReadStatus status =
        ring::read_copy<Atomics>(partition_, ring_.view, offset_, *lanes_, run.room(), found);
    if (status != ring::ReadStatus::record) return status;
    run.places().add(offset_++, found.header.timestamp_ms, found.header.key_bytes, found.header.value_bytes,
                     found.header.headers_bytes);
    follow_lane(found);
  }
  return ring::ReadStatus::record;
}

void PartitionReader::expect() noexcept {
  if (expected_ != offset_) {
    expected_ = offset_;
    guess_ = in_log_ || ring_.keep == nullptr
                 ? nullptr
                 : ring::behind_last<Atomics>(partition_, ring_.view, offset_, *lanes_);
  }
  ring::prefetch_frame(guess_);
}

// The functions below deal with one state each. They return true if reading may go on at once, false if
// `progress` is the answer.

bool PartitionReader::read_ring(RecordBatch& into, Progress& progress) {
  if (ring_.keep == nullptr)
    return into.empty() ? without_ring(progress) : (progress = Progress::later, false);
  ring::Found found;
  const std::size_t before = into.size();
  const ring::ReadStatus status = copy_run(into, found);
  if (into.size() > before) {
    counters_.delivered += into.size() - before;
    lane_attempts_ = 0;
    log_.reset();
    progress = Progress::records;
    return false;
  }
  if (status == ring::ReadStatus::nothing_yet && !ring::newer_ring(partition_.marks, ring_.view) &&
      !options_.durable_only) {
    progress = Progress::nothing_yet;
    return false;
  }
  if (!into.empty()) {
    progress = Progress::later;
    return false;
  }
  return act_on(status, found, into, progress);
}

bool PartitionReader::act_on(ring::ReadStatus status, const ring::Found& found, RecordBatch& into,
                             Progress& progress) {
  switch (status) {
    case ring::ReadStatus::nothing_yet:
      return at_end(progress);
    case ring::ReadStatus::fenced:
      return at_fence(found.reason, progress);
    case ring::ReadStatus::behind:
      if (!logged()) return gone(found.reclaimed, progress);
      in_log_ = overtaken_ = true;
      return true;
    case ring::ReadStatus::unknown_lane:
      return fetch_lane(found, progress);
    case ring::ReadStatus::bad_frame:
      ++offset_;
      ++counters_.skipped;
      return true;
    case ring::ReadStatus::too_small:
      return into.make_room(found.body_bytes);
    case ring::ReadStatus::record:
    case ring::ReadStatus::corrupt:
      break;
  }
  progress = Progress::corrupt;
  return false;
}

bool PartitionReader::at_end(Progress& progress) {
  progress = Progress::nothing_yet;
  if (options_.durable_only) {
    // It stops short of the slots, so it has to look for a fence by itself. acquire: pairs with its CAS.
    const std::uint64_t word = ring_.view.slot(offset_).load(std::memory_order_acquire);
    const std::int32_t ahead = ring::laps_ahead(word, ring_.view.lap(offset_));
    if (ahead == 0 && ring::is_fence(word)) return at_fence(ring::fence_reason(word), progress);
    if (ahead >= 0) return false;  // a record that is not durable yet, whatever ring is the newest
  }
  if (!ring::newer_ring(partition_.marks, ring_.view)) return false;
  return enter_other_ring(progress);
}

bool PartitionReader::at_fence(ring::FenceReason reason, Progress& progress) {
  fence_known_ = true;
  if (ring::newer_ring(partition_.marks, ring_.view)) return enter_other_ring(progress);
  progress = reason == ring::FenceReason::deleted   ? Progress::deleted
             : reason == ring::FenceReason::stopped ? Progress::stopped
                                                    : Progress::nothing_yet;
  return false;
}

/// `marks` names another ring than the one we stand in.
bool PartitionReader::enter_other_ring(Progress& progress) {
  Choice choice = Choice::none;
  if (!asking(progress, [&] { choice = choose_ring(); })) return false;
  if (choice != Choice::same) return true;
  // The ring behind ours has been retired already.
  ring_ = {};
  return without_ring(progress);
}

/// Sees to it that the ring that marks names is among `rings_`.
void PartitionReader::know_newest_ring() {
  // acquire: pairs with announce_ring(): the ring's base is there.
  newest_named_ = partition_.marks.ring_generation->load(std::memory_order_acquire);
  const bool known = std::any_of(rings_.begin(), rings_.end(),
                                 [&](const HeldRing& ring) { return ring.view.generation == newest_named_; });
  if (newest_named_ != 0 && !known) rings_ = source_->rings(partition_.number, newest_named_);
}

/// Takes the newest ring that marks names and that starts at or below our offset.
PartitionReader::Choice PartitionReader::choose_ring() {
  know_newest_ring();
  const auto moves = [&](const HeldRing* ring) {
    return ring != nullptr && (ring_.keep == nullptr || ring->view.generation != ring_.view.generation);
  };
  HeldRing* best = best_ring();
  const bool newest = best != nullptr && best->view.generation == newest_named_;
  if (!moves(best) && !newest && newest_named_ != 0) {
    rings_ = source_->rings(partition_.number, 0);  // one in between may be unknown here
    best = best_ring();
  }
  if (best == nullptr) {
    ring_ = {};
    return Choice::none;
  }
  if (!moves(best)) return Choice::same;
  ring_ = *best;
  fence_known_ = false;
  // Older ones are behind us: what they pin may go.
  std::erase_if(rings_, [&](const HeldRing& ring) { return ring.view.generation < ring_.view.generation; });
  return Choice::other;
}

HeldRing* PartitionReader::best_ring() noexcept {
  HeldRing* best = nullptr;
  for (HeldRing& ring : rings_) {
    if (ring.view.generation > newest_named_ || !ring.view.enter() || ring.view.base > offset_) continue;
    if (best == nullptr || ring.view.generation > best->view.generation) best = &ring;
  }
  return best;
}

/// No ring has our offset, as far as we know: there is none, or all begin behind it.
bool PartitionReader::without_ring(Progress& progress) {
  Choice choice = Choice::none;
  if (!asking(progress, [&] { choice = choose_ring(); })) return false;
  if (choice == Choice::other && !beyond_fence()) return true;
  ring_ = {};
  if (logged() && offset_ < std::min(limit(), written_end(partition_))) return in_log_ = true;
  std::uint64_t first = memory::kBaseUnset;
  for (const HeldRing& ring : rings_)
    if (ring.view.generation <= newest_named_ && ring.view.entered() && ring.view.base > offset_)
      first = std::min(first, ring.view.base);
  if (first == memory::kBaseUnset) {
    progress = newest_named_ == 0 ? Progress::nothing_yet : Progress::stalled;
    return false;
  }
  if (!logged()) return gone(first, progress);
  progress = options_.durable_only ? Progress::nothing_yet : Progress::stalled;
  return false;
}

/// Do we stand at or behind the fence of a ring that is not the newest one?
bool PartitionReader::beyond_fence() const noexcept {
  if (ring_.view.generation == newest_named_) return false;
  // acquire: pairs with the commit and the fence's CAS.
  const std::uint64_t word = ring_.view.slot(offset_).load(std::memory_order_acquire);
  const std::int32_t ahead = ring::laps_ahead(word, ring_.view.lap(offset_));
  return ahead < 0 || (ahead == 0 && ring::is_fence(word));
}

bool PartitionReader::fetch_lane(const ring::Found& found, Progress& progress) {
  if (++lane_attempts_ > kLaneAttempts) {
    lane_attempts_ = 0;
    progress = Progress::stalled;
    return false;
  }
  return asking(progress, [&] {
    HeldLane held = source_->lane(found.lane, found.lane_generation);
    if (held.span.data != nullptr) lanes_->put(found.lane, found.lane_generation, std::move(held));
  });
}

/// What we would read next is no longer there; `first_there` is.
bool PartitionReader::gone(std::uint64_t first_there, Progress& progress) {
  std::uint64_t next = first_there;
  switch (options_.policy) {
    case Policy::to_earliest:
      break;
    case Policy::to_latest:
      if (!asking(progress, [&] { next = std::max(next, log_end()); })) return false;
      break;
    case Policy::error:
      progress = Progress::lost;
      return false;
  }
  counters_.lost += next - offset_;
  offset_ = next;
  in_log_ = overtaken_ = false;
  return true;
}

bool PartitionReader::read_log(RecordBatch& into, Progress& progress) {
  progress = Progress::later;
  if (!into.empty()) return false;
  // acquire: pairs with the daemon's release store: what lies below is in the files.
  const std::uint64_t bound = std::min(limit(), partition_.marks.written->load(std::memory_order_acquire));
  const bool overtaken = std::exchange(overtaken_, false);
  if (offset_ >= bound) {
    in_log_ = false;
    // `reclaimed` beyond `written` is a publisher's lie, for now; a reader bound to `durable` just waits.
    if (overtaken && !options_.durable_only) progress = Progress::stalled;
    return !overtaken;
  }
  // acquire: pairs with retention's release store, made before the files go.
  const std::uint64_t start = partition_.marks.log_start->load(std::memory_order_acquire);
  if (offset_ < start) return gone(start, progress);
  if (log_ == nullptr) log_ = std::make_unique<LogCursor>(partition_.number);
  LogProgress found = LogProgress::end;
  if (!asking(progress, [&] { found = log_->read(*source_, offset_, bound, into); })) return false;
  account_log(into.size());
  switch (found) {
    case LogProgress::records:
      leave_log_in_time();
      progress = Progress::records;
      return false;
    case LogProgress::end:
      in_log_ = false;
      return true;
    case LogProgress::failed:
      break;
  }
  progress = Progress::corrupt;
  return false;
}

void PartitionReader::account_log(std::size_t delivered) {
  const std::uint64_t before = offset_;
  offset_ = log_->next_offset();
  counters_.delivered += delivered;
  counters_.from_log += delivered;
  // Retention may have taken the files away under our hands: then what looked like a gap was a loss.
  const bool deleted = partition_.marks.log_start->load(std::memory_order_acquire) > before;
  (deleted ? counters_.lost : counters_.skipped) += log_->skipped();
  counters_.corrupt += log_->corrupt();
}

/// Back to the ring once we are well ahead of what publishers reclaim, so as not to be overtaken at once.
void PartitionReader::leave_log_in_time() noexcept {
  if (ring_.keep == nullptr || ring_.view.base > offset_) return;
  if (ring::newer_ring(partition_.marks, ring_.view)) return;  // chosen at the log's end
  // acquire: as for every reader.
  const std::uint64_t reclaimed = ring_.view.reclaimed->load(std::memory_order_acquire);
  if (offset_ >= reclaimed + ring_.view.size() / 8) in_log_ = false;
}

/// Runs what asks the daemon. False: it does not answer for now.
template <class Work>
bool PartitionReader::asking(Progress& progress, Work&& work) {
  try {
    work();
    return true;
  } catch (const Error& error) {
    if (!passes(error.error())) throw;
    progress = Progress::stalled;
    return false;
  }
}

HeldRing* PartitionReader::newest_ring() {
  know_newest_ring();
  HeldRing* newest = nullptr;
  for (HeldRing& ring : rings_) {
    if (ring.view.generation > newest_named_ || !ring.view.enter()) continue;
    if (newest == nullptr || ring.view.generation > newest->view.generation) newest = &ring;
  }
  return newest;
}

std::uint64_t PartitionReader::earliest() {
  if (logged()) return partition_.marks.log_start->load(std::memory_order_acquire);
  std::uint64_t first = memory::kBaseUnset;
  newest_ring();
  for (const HeldRing& ring : rings_) {
    if (ring.view.generation <= newest_named_ && ring.view.entered())
      first = std::min(first, ring.view.reclaimed->load(std::memory_order_acquire));
  }
  return first == memory::kBaseUnset ? written_end(partition_) : first;
}

std::uint64_t PartitionReader::log_end() {
  std::uint64_t end = written_end(partition_);
  for (unsigned walk = 0; walk < kWalks; ++walk) {
    const HeldRing* ring = newest_ring();
    if (ring == nullptr) return end;
    const ring::LogEnd found = ring::find_log_end(ring->view);
    if (found.status != ring::EndStatus::corrupt) end = std::max(end, found.offset);
    if (found.status == ring::EndStatus::open) return end;
    // Fenced: a newer ring may be there already. Contended: the hint is as good as anything, but try again.
    if (found.status == ring::EndStatus::fenced && !ring::newer_ring(partition_.marks, ring->view))
      return end;
  }
  return end;
}

std::uint64_t PartitionReader::register_cursor(memory::Atomic64& cursor) {
  for (unsigned walk = 0; walk < kWalks; ++walk) {
    const HeldRing* ring = newest_ring();
    if (ring == nullptr) break;
    const ring::LogEnd found = ring::register_cursor<Atomics>(cursor, ring->view);
    if (found.status == ring::EndStatus::open || found.status == ring::EndStatus::fenced) return found.offset;
  }
  const std::uint64_t end = written_end(partition_);
  cursor.store(end, std::memory_order_release);  // pairs with reclaimable()
  return end;
}

void PartitionReader::prepare() {
  Progress progress = Progress::later;
  if (ring_.keep == nullptr && !in_log_) static_cast<void>(asking(progress, [&] { choose_ring(); }));
}

PartitionReader::Shown PartitionReader::show(ring::Lease<Atomics>* lease, std::size_t most, RecordBatch& into,
                                             const std::function<void(const Record&)>& each) {
  Shown shown;
  prepare();
  if (lease != nullptr && !in_log_ && ring_.keep != nullptr && lease->take(ring_.view, offset_)) {
    try {
      shown.records = show_leased(*lease, most, each);
    } catch (...) {
      static_cast<void>(lease->release());
      throw;
    }
    shown.valid = lease->release();
    shown.progress = Progress::records;
    if (shown.records > 0) return shown;
  }
  into.clear();
  shown = {.progress = read(into), .records = into.size(), .valid = true};
  const std::span<const Record> records = into.records();
  std::size_t given = 0;
  try {
    while (given < records.size()) each(records[given++]);
  } catch (...) {
    for (std::size_t last = records.size(); last > given; --last)
      give_back(static_cast<std::uint64_t>(records[last - 1].offset()));
    throw;
  }
  return shown;
}

/// Shows what follows, as long as it is plain and in the lane of the record before it. `each` may throw, and
/// may seek.
std::size_t PartitionReader::show_run(std::uint64_t end, std::size_t most,
                                      const std::function<void(const Record&)>& each) {
  if (run_lane_.span.data == nullptr) return 0;
  const bool hold_back = std::exchange(hold_back_, false);
  std::size_t count = 0;
  const auto show = [&](std::uint64_t offset, std::int64_t timestamp_ms, std::int32_t key_bytes,
                        std::int32_t value_bytes, const std::byte* body) {
    if (!ring::prefetch_ahead<Atomics>(ring_.view, offset, run_lane_.span) && hold_back) return false;
    offset_ = offset + 1;
    ++count;
    ++counters_.delivered;
    each(Record(static_cast<Offset>(offset), timestamp_ms, static_cast<std::int32_t>(partition_.number), body,
                0, key_bytes, value_bytes));
    return count < most && offset_ == offset + 1;
  };
  static_cast<void>(ring::walk_run<Atomics>(partition_, ring_.view, offset_, end, run_lane_, show));
  hold_back_ = count >= ring::kReadAhead;
  return count;
}

std::size_t PartitionReader::show_leased(ring::Lease<Atomics>& lease, std::size_t most,
                                         const std::function<void(const Record&)>& each) {
  const std::uint64_t end = limit();
  ring::Found found;
  std::size_t count = 0;
  std::uint64_t next = offset_;  // unless `each` seeks: the lease is for what lies behind here
  while (count < most && offset_ == next && offset_ < end) {
    const bool hold_back = hold_back_;
    const std::size_t run = show_run(end, most - count, each);
    count += run;
    next += run;
    if (count >= most || offset_ != next || offset_ >= end || (hold_back && run > 0)) break;
    const ring::ReadStatus status =
        ring::look_in_place<Atomics>(partition_, ring_.view, lease, offset_, *lanes_, found);
    Progress progress = Progress::later;
    if (status == ring::ReadStatus::unknown_lane && count == 0 && fetch_lane(found, progress)) continue;
    if (status != ring::ReadStatus::record) break;
    follow_lane(found);
    const Record record = RecordBatch::record_of(offset_, found.header, found.body);
    offset_ = ++next;
    ++count;
    ++counters_.delivered;
    each(record);
  }
  return count;
}

}  // namespace busway::read
