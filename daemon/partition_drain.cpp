#include "daemon/partition_drain.hpp"

#include <algorithm>
#include <chrono>

#include "bus/base/clock.hpp"
#include "bus/ring/read.hpp"

namespace busway::daemon {
namespace {

using memory::StdAtomics;

/// A lone batch up to this size is written before append returns: its publisher may be waiting, and an inline
/// write beats one that io_uring hands to a thread.
constexpr std::int32_t kInlineBytesMost = 1024 * 1024;

std::unique_ptr<log::Compressor> compressor_for(const TopicConfig& config) {
  if (config.compression == Compression::none) return nullptr;
  return std::make_unique<log::Compressor>(static_cast<log::Codec>(config.compression));
}

log::Bytes field(const std::byte* at, std::int32_t bytes) noexcept {
  return bytes < 0 ? log::Bytes() : log::Bytes(at, bytes);
}

/// A checked frame, as it goes into a batch.
log::RecordParts parts_of(const memory::FrameHeader& header, std::span<const std::byte> frame,
                          std::int64_t timestamp_ms) noexcept {
  const std::byte* headers = frame.data() + sizeof(memory::FrameHeader);
  const std::byte* key = headers + header.headers_bytes;
  const std::byte* value = key + std::max(header.key_bytes, 0);
  return {.timestamp_ms = timestamp_ms,
          .key = field(key, header.key_bytes),
          .value = field(value, header.value_bytes),
          .headers = {headers, header.headers_bytes}};
}

/// Frame bytes may be overwritten while they are read; see memory::StdAtomics.
struct CopyFromShared {
  void operator()(std::byte* to, const std::byte* from, std::size_t bytes) const noexcept {
    StdAtomics::copy_from_shared(to, from, bytes);
  }
};

#if defined(__SANITIZE_THREAD__)
using FrameCopy = CopyFromShared;
#else
using FrameCopy = log::SmallCopy;
#endif

}  // namespace

PartitionDrain::PartitionDrain(DrainSetup setup, Disk& disk, StagingArena& staging, DrainEvents& events)
    : memory_(std::move(setup.memory)),
      lanes_(std::move(setup.lanes)),
      log_(std::move(setup.log)),
      config_(setup.config),
      ringer_(setup.ringer),
      disk_(disk),
      staging_(staging),
      events_(events),
      ordinal_(setup.ordinal),
      granted_step_(setup.granted_step),
      epoch_(setup.epoch),
      next_(static_cast<std::uint64_t>(log_->log_end())),
      compressor_(compressor_for(setup.config)),
      written_(memory_->marks->written.load(std::memory_order_relaxed)),  // single writer: the worker
      durable_(memory_->marks->durable.load(std::memory_order_relaxed)),
      last_active_ms_(coarse_unix_ms()) {
  publish_written();
  publish_durable();
  note_active_segment();
}

PartitionDrain::~PartitionDrain() {
  if (unsent_) staging_.release(unsent_->staged);
}

void PartitionDrain::reconfigure(const TopicConfig& config) {
  if (config.compression != config_.compression) compressor_ = compressor_for(config);
  config_ = config;
  log_->reconfigure(config);
}

void PartitionDrain::forget_lane(LaneId id) noexcept {
  if (raw(id) < lane_cache_.size()) lane_cache_[raw(id)].reset();
}

DrainTurn PartitionDrain::turn(std::int64_t now_ms, std::size_t bytes_most) {
  const std::uint64_t bytes_before = counters_->bytes.load(std::memory_order_relaxed);
  bool progress = false;
  at_rest_ = false;
  while (true) {
    if (unsent_ && !append_unsent()) return DrainTurn::blocked;
    Taken taken = Taken::one;
    while (taken == Taken::one) {
      if (!batch_.empty()) take_run(now_ms);
      taken = take(now_ms);
    }
    progress |= !batch_.empty();
    if (!batch_.empty() && !finish_batch()) return DrainTurn::blocked;
    if (taken == Taken::no_room) return DrainTurn::blocked;
    at_rest_ = taken == Taken::nothing_yet;
    if (at_rest_) break;
    if (counters_->bytes.load(std::memory_order_relaxed) - bytes_before >= bytes_most) break;
  }
  if (!progress) return DrainTurn::idle;
  last_active_ms_ = now_ms;
  if (unsynced_since_ms_ < 0) unsynced_since_ms_ = now_ms;
  check_grant();
  return DrainTurn::progress;
}

PartitionDrain::Taken PartitionDrain::take(std::int64_t now_ms) {
  if (!ring_) ring_ = memory_->rings.for_offset(memory_->view, next_);
  if (!ring_) return Taken::nothing_yet;
  const ring::Ring& ring = ring_->view;
  // acquire: pairs with the commit: the frame's bytes are there.
  const std::uint64_t word = ring.slot(next_).load(std::memory_order_acquire);
  const std::int32_t ahead = ring::laps_ahead(word, ring.lap(next_));
  if (ahead == 0) [[likely]]
    return ring::is_fence(word) ? meet_fence(word) : take_frame(word, now_ms);
  // After the slot's load, as every reader; acquire: pairs with advance().
  const std::uint64_t reclaimed = ring.reclaimed->load(std::memory_order_acquire);
  if (reclaimed > next_) return skip_overwritten(reclaimed);
  return Taken::nothing_yet;
}

/// As many ordinary records as there are, into the batch that has begun. Whatever is not ordinary (a fence,
/// an odd stamp, a bad frame, a batch that is full) is left to take(), and so is the whole run if a record
/// may have been overwritten while it was copied: on a logged topic only a publisher that breaks the rules
/// gets there.
void PartitionDrain::take_run(std::int64_t now_ms) {
  // Copies: the compiler cannot know that the bytes it copies do not overwrite what it works with.
  const ring::Ring ring = ring_->view;
  const ring::Partition partition = memory_->view;
  const TimestampBounds bounds = timestamp_bounds(now_ms);
  const auto in_bounds = [&](std::int64_t stamp) {
    return stamp >= bounds.earliest && stamp <= bounds.latest;
  };
  log::BatchEncoder encoder = encoder_;
  std::uint64_t next = next_;
  ring::RunLane lane;
  const auto plain = [&](std::uint64_t offset, std::int64_t stamp, std::int32_t key_bytes,
                         std::int32_t value_bytes, const std::byte* body) {
    ring::prefetch_ahead(ring, offset, lane.span);
    const log::RecordParts parts{.timestamp_ms = stamp,
                                 .key = field(body, key_bytes),
                                 .value = field(body + std::max(key_bytes, 0), value_bytes),
                                 .headers = {}};
    return in_bounds(stamp) && encoder.append(parts, FrameCopy{}) == log::AppendResult::appended;
  };
  while (true) {
    if (lane.span.data != nullptr)
      next = ring::walk_run(partition, ring, next, ~std::uint64_t{0}, lane, plain);
    // acquire: pairs with the commit: the frame's bytes are there.
    const std::uint64_t word = ring.slot(next).load(std::memory_order_acquire);
    if (ring::laps_ahead(word, ring.lap(next)) != 0 || ring::is_fence(word)) break;
    ring::Found found;
    std::span<const std::byte> frame;
    auto resolver = [&](std::uint32_t id, std::uint32_t generation) {
      if (id != lane.lane || generation != lane.generation) lane = {id, generation, resolve(id, generation)};
      return lane.span;
    };
    if (ring::locate(partition.marks, word, resolver, found, frame) != ring::Located::here ||
        !ring::take_header(partition, word, frame, found))
      break;
    const std::int64_t stamp = found.header.timestamp_ms;
    if (!in_bounds(stamp)) break;
    if (encoder.append(parts_of(found.header, frame, stamp), FrameCopy{}) != log::AppendResult::appended)
      break;
    ++next;
  }
  // As overtaken(), once for all: had the first record not been overwritten, no other was.
  StdAtomics::fence(std::memory_order_acquire);
  if (ring.reclaimed->load(std::memory_order_relaxed) > next_) return;
  encoder_ = encoder;
  next_ = next;
}

PartitionDrain::Taken PartitionDrain::take_frame(std::uint64_t word, std::int64_t now_ms) {
  ring::Found found;
  std::span<const std::byte> frame;
  auto resolver = [this](std::uint32_t lane, std::uint32_t generation) { return resolve(lane, generation); };
  const bool here = ring::locate(memory_->view.marks, word, resolver, found, frame) == ring::Located::here;
  if (here && ring::take_header(memory_->view, word, frame, found)) return append_frame(found, frame, now_ms);
  if (overtaken()) return skip_overwritten(ring_->view.reclaimed->load(std::memory_order_acquire));
  return skip_bad_frame(found.lane);
}

PartitionDrain::Taken PartitionDrain::append_frame(const ring::Found& found, std::span<const std::byte> frame,
                                                   std::int64_t now_ms) {
  const memory::FrameHeader& header = found.header;
  const log::RecordParts parts = parts_of(header, frame, bounded_timestamp(header.timestamp_ms, now_ms));
  if (batch_.empty() && !begin_batch(found.body_bytes)) return Taken::no_room;
  const log::BatchEncoder before = encoder_;
  const log::AppendResult result = encoder_.append(parts, FrameCopy{});
  if (result == log::AppendResult::full) return Taken::batch_full;
  // The copy counts only if its bytes could not have been overwritten meanwhile.
  if (overtaken()) {
    encoder_ = before;
    return skip_overwritten(ring_->view.reclaimed->load(std::memory_order_acquire));
  }
  if (result == log::AppendResult::bad_headers) return skip_bad_frame(found.lane);
  ++next_;
  return Taken::one;
}

bool PartitionDrain::overtaken() const noexcept {
  // Had a byte been overwritten before we read it, this fence would pair with the overwriter's release fence,
  // and the load would see the `reclaimed` that allowed it.
  StdAtomics::fence(std::memory_order_acquire);
  return ring_->view.reclaimed->load(std::memory_order_relaxed) > next_;
}

ring::LaneSpan PartitionDrain::resolve(std::uint32_t lane, std::uint32_t generation) {
  if (lane < lane_cache_.size() && lane_cache_[lane] && raw(lane_cache_[lane]->generation) == generation)
      [[likely]] {
    return lane_cache_[lane]->span;
  }
  auto held = lanes_->find(static_cast<LaneId>(lane));
  if (!held || raw(held->generation) != generation) return {};
  if (lane >= lane_cache_.size()) lane_cache_.resize(lane + 1);
  lane_cache_[lane] = std::move(held);
  return lane_cache_[lane]->span;
}

PartitionDrain::Taken PartitionDrain::meet_fence(std::uint64_t word) {
  const ring::FenceReason reason = ring::fence_reason(word);
  if (reason != ring::FenceReason::grown) {
    ended_ = reason;
    return Taken::nothing_yet;
  }
  auto next = memory_->rings.for_offset(memory_->view, next_);
  if (!next || next == ring_) return Taken::nothing_yet;  // not announced yet
  ring_ = std::move(next);
  return Taken::one;
}

PartitionDrain::Taken PartitionDrain::skip_one() {
  if (batch_.empty() && !begin_batch(0)) return Taken::no_room;
  encoder_.skip();
  counters_->skipped.fetch_add(1, std::memory_order_relaxed);
  ++next_;
  return Taken::one;
}

PartitionDrain::Taken PartitionDrain::skip_bad_frame(std::uint32_t lane) {
  const std::uint64_t offset = next_;
  const Taken taken = skip_one();
  if (taken == Taken::one) events_.bad_frame(ordinal_, offset, lane);
  return taken;
}

PartitionDrain::Taken PartitionDrain::skip_overwritten(std::uint64_t reclaimed) {
  // A publisher may have written anything there: what was never granted cannot have been published.
  const std::uint64_t granted = memory_->marks->granted.load(std::memory_order_relaxed);
  const std::uint64_t to = std::min({reclaimed, granted, next_ + ring_->view.size()});
  if (to <= next_) return Taken::nothing_yet;
  const std::uint64_t from = next_;
  Taken taken = Taken::one;
  while (next_ < to && taken == Taken::one) taken = skip_one();
  if (next_ > from) events_.gap(ordinal_, from, next_);
  return taken;
}

PartitionDrain::TimestampBounds PartitionDrain::timestamp_bounds(std::int64_t now_ms) const noexcept {
  const bool unbounded = config_.timestamp_after_max_ms > INT64_MAX - now_ms;
  return {
      .earliest = config_.timestamp_before_max_ms >= now_ms ? 0 : now_ms - config_.timestamp_before_max_ms,
      .latest = unbounded ? INT64_MAX : now_ms + config_.timestamp_after_max_ms};
}

std::int64_t PartitionDrain::bounded_timestamp(std::int64_t timestamp_ms, std::int64_t now_ms) {
  const TimestampBounds bounds = timestamp_bounds(now_ms);
  const std::int64_t bounded = std::clamp(timestamp_ms, bounds.earliest, bounds.latest);
  if (bounded != timestamp_ms) [[unlikely]]
    counters_->clamped_timestamps.fetch_add(1, std::memory_order_relaxed);
  return bounded;
}

bool PartitionDrain::begin_batch(std::size_t bytes) {
  constexpr std::size_t kLeastBatch = 4096;
  const std::size_t needed = std::max(log::BatchEncoder::batch_bytes_most(0, 0, bytes), kLeastBatch);
  const std::span<std::byte> room = staging_.reserve(needed);
  if (room.empty()) return false;
  batch_ = room.first(std::min(room.size(), std::max(needed, limits::kBatchBytesTarget)));
  encoder_.begin(batch_, static_cast<std::int64_t>(next_), epoch_);
  return true;
}

bool PartitionDrain::finish_batch() {
  if (encoder_.empty()) {  // the very first record did not fit: begin anew with more room
    batch_ = {};
    return true;
  }
  log::BatchSummary summary = encoder_.finish();
  if (compressor_) compress(summary);
  counters_->records.fetch_add(static_cast<std::uint64_t>(summary.record_count), std::memory_order_relaxed);
  counters_->bytes.fetch_add(static_cast<std::uint64_t>(summary.bytes), std::memory_order_relaxed);
  counters_->batches.fetch_add(1, std::memory_order_relaxed);
  unsent_ = Unsent{summary, staging_.commit(static_cast<std::size_t>(summary.bytes))};
  batch_ = {};
  return append_unsent();
}

void PartitionDrain::compress(log::BatchSummary& summary) {
  const auto plain = batch_.first(static_cast<std::size_t>(summary.bytes));
  if (compress_buffer_.size() < plain.size()) compress_buffer_.resize(plain.size());
  const std::span<std::byte> out(compress_buffer_.data(), plain.size());
  if (!compressor_->compress(plain, out, summary)) return;  // would not be smaller
  std::copy_n(out.begin(), summary.bytes, plain.begin());
}

bool PartitionDrain::append_unsent() {
  const bool lone = log_->in_flight() == 0 && unsent_->summary.bytes <= kInlineBytesMost;
  const AppendOutcome outcome = lone ? log_->append_now(unsent_->summary, unsent_->staged)
                                     : log_->append(unsent_->summary, unsent_->staged);
  publish_health();
  if (outcome != AppendOutcome::appended) return false;
  unsent_.reset();
  note_active_segment();
  publish_written();
  return true;
}

void PartitionDrain::complete(const DiskCompletion& completion) {
  log_->complete(completion);
  publish_written();
  publish_durable();
  publish_health();
}

void PartitionDrain::publish_written() {
  const auto written = static_cast<std::uint64_t>(log_->written());
  if (written <= written_) return;
  written_ = written;
  // release: pairs with reclaimable(): whoever reclaims knows that the bytes were copied out.
  memory_->marks->written.store(written, std::memory_order_release);
  StdAtomics::fence(std::memory_order_seq_cst);  // either a sleeper's look sees it, or we see its bit
  ringer_.ring(memory_->view.wait.space);
}

void PartitionDrain::publish_durable() {
  const auto durable = static_cast<std::uint64_t>(log_->durable());
  if (durable <= durable_) return;
  durable_ = durable;
  counters_->syncs.fetch_add(1, std::memory_order_relaxed);
  unsynced_since_ms_ = durable_ == next_ ? -1 : coarse_unix_ms();
  disk_.note("durable", ordinal_, durable);
  // release: pairs with whoever waits for durability.
  memory_->marks->durable.store(durable, std::memory_order_release);
  StdAtomics::fence(std::memory_order_seq_cst);  // as above
  ringer_.ring(memory_->view.wait.durable);
}

void PartitionDrain::publish_health() {
  const LogHealth health = log_->health();
  if (health == health_) return;
  health_ = health;
  const auto state = health == LogHealth::running   ? memory::PartitionState::active
                     : health == LogHealth::stalled ? memory::PartitionState::disk_full
                                                    : memory::PartitionState::failed;
  memory_->marks->cause.store(static_cast<std::uint32_t>(log_->cause()), std::memory_order_relaxed);
  // release: the cause is there. Read by those who wait for room or durability.
  memory_->marks->state.store(static_cast<std::uint32_t>(state), std::memory_order_release);
  StdAtomics::fence(std::memory_order_seq_cst);
  ringer_.ring(memory_->view.wait.space);
  ringer_.ring(memory_->view.wait.durable);
  events_.health_changed(ordinal_, health, log_->cause());
}

void PartitionDrain::note_active_segment() {
  if (log_->active_file() == active_file_) return;
  active_file_ = log_->active_file();
  if (log_->active_base() >= 0) events_.active_segment(ordinal_, log_->active_base(), log_->active_path());
}

void PartitionDrain::check_grant() {
  if (grant_asked_) return;
  // relaxed: the control thread raises it; a stale value asks once too often.
  const std::uint64_t granted = memory_->marks->granted.load(std::memory_order_relaxed);
  if (granted >= next_ + granted_step_ / 2) return;
  grant_asked_ = true;
  events_.grant_running_out(ordinal_);
}

void PartitionDrain::want_sync() noexcept {
  sync_wanted_ = std::max({sync_wanted_, next_, memory_->rings.known_end().value_or(0)});
}

/// False: not done, somebody else is to do it.
bool PartitionDrain::sync_at_once() {
  constexpr auto kQuick = std::chrono::milliseconds(5);
  constexpr int kMostlySlow = 8;  // four slow ones in a row, or more than one in three
  constexpr int kRest = 64;       // syncs until it is tried again
  if (log_->in_flight() != 0) return false;
  if (slow_syncs_ >= kMostlySlow) {
    if (++slow_syncs_ == kMostlySlow + kRest) slow_syncs_ = kMostlySlow - 2;
    return false;
  }
  const auto start = std::chrono::steady_clock::now();
  const SyncOutcome outcome = log_->sync_now();  // whatever went wrong shows in its health
  const bool quick = std::chrono::steady_clock::now() - start <= kQuick;
  slow_syncs_ = quick ? std::max(slow_syncs_ - 1, 0) : slow_syncs_ + 2;
  publish_durable();
  publish_health();
  return outcome != SyncOutcome::under_way;
}

void PartitionDrain::sync_if_due(std::int64_t now_ms, SyncOccasion occasion) {
  if (written_ <= durable_) return;
  const bool hurry = occasion.hurry;
  const bool wanted = sync_wanted_ > durable_ && (written_ >= sync_wanted_ || hurry);
  const bool by_time = unsynced_since_ms_ >= 0 && now_ms - unsynced_since_ms_ >= config_.flush_ms;
  const bool by_count = static_cast<std::int64_t>(written_ - durable_) >= config_.flush_messages;
  if (!wanted && !by_time && !by_count && !hurry) return;
  if (wanted && occasion.alone && sync_at_once()) return;
  if (log_->sync() == SyncOutcome::submitted && !wanted) unsynced_since_ms_ = now_ms;
  publish_health();
}

std::optional<std::int64_t> PartitionDrain::sync_due_ms() const noexcept {
  if (unsynced_since_ms_ < 0) return std::nullopt;
  return config_.flush_ms >= INT64_MAX - unsynced_since_ms_ ? INT64_MAX
                                                            : unsynced_since_ms_ + config_.flush_ms;
}

void PartitionDrain::tick(std::int64_t now_ms) {
  log_->tick(now_ms);
  publish_written();
  publish_durable();
  publish_health();
}

bool PartitionDrain::pending() const noexcept {
  if (ended_) return false;
  const auto ring = memory_->rings.for_offset(memory_->view, next_);
  if (!ring) return false;
  const std::uint64_t word = ring->view.slot(next_).load(std::memory_order_acquire);  // pairs with the commit
  return ring::laps_ahead(word, ring->view.lap(next_)) >= 0;
}

bool PartitionDrain::busy() const noexcept {
  return unsent_.has_value() || log_->in_flight() != 0 || durable_ < next_ || health_ != LogHealth::running;
}

}  // namespace busway::daemon
