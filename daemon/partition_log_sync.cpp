// PartitionLog: completions, syncs, and what follows from them: `written`, `durable`, indexes, sealing.

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <utility>

#include "daemon/partition_log.hpp"

namespace busway::daemon {
namespace {

// Entries for 1 MiB of log at Kafka's interval: the janitor is not woken for every few, and a reader of the
// active segment never has more than that to scan.
constexpr std::size_t kIndexBytesTaken = 2048;

std::vector<std::byte> copy_of(std::span<const std::byte> bytes) { return {bytes.begin(), bytes.end()}; }

}  // namespace

void PartitionLog::complete(const DiskCompletion& completion) {
  assert(tag_of(completion.token) == tag_);
  const auto ticket = static_cast<std::uint32_t>(completion.token);
  if ((ticket & kSyncTicket) != 0) {
    complete_sync(completion.error);
  } else {
    complete_write(ticket, completion.error);
  }
  if (in_flight() == 0) settle();
}

void PartitionLog::complete_write(std::uint32_t sequence, int error) {
  assert(writes_in_flight_ > 0);
  --writes_in_flight_;
  const std::uint32_t index = (sequence - first_sequence_) & kSequenceMask;
  Pending& pending = window_[index];
  pending.error = error;
  if (error == 0) {
    pending.done = true;
    open_segment(pending.segment).dirty = true;
    if (index == done_prefix_) advance_written();
  } else {
    on_write_error(error);
  }
}

/// `written` moves over the contiguous prefix of what is done (ring-spec: H24).
void PartitionLog::advance_written() {
  if (rewrite_due_) return;  // what a poisoned file holds does not count any more
  while (done_prefix_ < window_.size() && window_[done_prefix_].done) {
    const Pending& pending = window_[done_prefix_++];
    if (pending.segment != indexed_segment_) {
      finish_index();
      begin_index(pending.segment);
    }
    indexer_.add(pending.batch, static_cast<std::int64_t>(pending.position));
    OpenSegment& segment = open_segment(pending.segment);
    segment.max_timestamp_ms = std::max(segment.max_timestamp_ms, pending.batch.max_timestamp_ms);
    written_ = pending.batch.next_offset();
    if (pending.segment == last_open()) {
      files_->segments.set_last_bytes(pending.position + static_cast<std::uint64_t>(pending.batch.bytes));
    }
  }
  if (indexer_.offset_bytes().size() >= kIndexBytesTaken) take_index();
}

SyncOutcome PartitionLog::check_sync() {
  if (health_ == LogHealth::failed) return SyncOutcome::failed;
  if (rewrite_due_) return SyncOutcome::stalled;
  if (syncs_in_flight_ > 0) return SyncOutcome::under_way;
  if (durable_ == written_) return SyncOutcome::clean;
  if (!names_dirty_ || directory_file_) return SyncOutcome::submitted;
  const std::string& directory = files_->segments.directory();
  const int fd = context_.files.open(directory, OpenMode::directory);
  if (fd < 0) {
    stall(-fd);
    return SyncOutcome::stalled;
  }
  directory_file_ = File(context_.files, fd, directory);
  return SyncOutcome::submitted;
}

SyncOutcome PartitionLog::sync() {
  if (const SyncOutcome outcome = check_sync(); outcome != SyncOutcome::submitted) return outcome;
  sync_target_ = written_;
  sync_error_ = 0;
  for (OpenSegment& segment : open_) {
    if (!segment.dirty) continue;
    // Cleared now: a write that is reaped later needs a sync of its own.
    segment.dirty = !submit_part(segment.file.fd(), SyncKind::data);
  }
  if (directory_file_) names_dirty_ = !submit_part(directory_file_.fd(), SyncKind::full);
  return syncs_in_flight_ > 0 ? SyncOutcome::submitted : SyncOutcome::busy;
}

/// One of the operations that make up a sync. False: the disk has no place; then this sync proves nothing.
bool PartitionLog::submit_part(int fd, SyncKind kind) {
  const std::uint64_t token = (std::uint64_t{tag_} << 32) | kSyncTicket;
  if (!context_.disk.submit_sync(token, fd, kind)) {
    sync_target_ = durable_;
    return false;
  }
  ++syncs_in_flight_;
  return true;
}

SyncOutcome PartitionLog::sync_now() {
  if (in_flight() > 0) return SyncOutcome::under_way;
  if (const SyncOutcome outcome = check_sync(); outcome != SyncOutcome::submitted) return outcome;
  sync_target_ = written_;
  sync_error_ = 0;
  syncs_in_flight_ = 1;
  int error = 0;
  for (OpenSegment& segment : open_) {
    if (!segment.dirty || error != 0) continue;
    segment.dirty = false;
    error = context_.disk.sync_now(segment.file.fd(), SyncKind::data);
  }
  if (directory_file_ && error == 0) {
    names_dirty_ = false;
    error = context_.disk.sync_now(directory_file_.fd(), SyncKind::full);
  }
  complete_sync(error);
  settle();
  if (health_ == LogHealth::failed) return SyncOutcome::failed;
  return durable_ >= sync_target_ ? SyncOutcome::submitted : SyncOutcome::stalled;
}

void PartitionLog::complete_sync(int error) {
  assert(syncs_in_flight_ > 0);
  if (error != 0 && sync_error_ == 0) sync_error_ = error;
  if (--syncs_in_flight_ > 0) return;
  directory_file_.close();
  if (sync_error_ != 0) {
    fail_file(sync_error_);
  } else if (!rewrite_due_) {
    durable_ = std::max(durable_, sync_target_);
    advance_durable();
  }
}

/// Staging below `durable` is free, segments below it are complete.
void PartitionLog::advance_durable() {
  while (!window_.empty() && window_.front().batch.next_offset() <= durable_) {
    context_.staging.release(window_.front().staged);
    window_.pop_front();
    first_sequence_ = (first_sequence_ + 1) & kSequenceMask;
    --done_prefix_;
  }
  seal_durable_segments();
}

std::shared_ptr<IndexFiles> PartitionLog::make_index_files(Offset base, std::uint64_t index_bytes,
                                                           std::uint64_t time_index_bytes) const {
  const SegmentList& segments = files_->segments;
  return std::make_shared<IndexFiles>(context_.files, segments.path(base, log::SegmentFile::index),
                                      segments.path(base, log::SegmentFile::time_index), index_bytes,
                                      time_index_bytes);
}

/// The indexer goes on with this segment.
void PartitionLog::begin_index(std::uint32_t number) {
  const Offset base = open_segment(number).base;
  indexed_segment_ = number;
  indexer_ = log::SegmentIndexer(base, static_cast<std::int32_t>(config_.index_interval_bytes));
  index_files_ = make_index_files(base, 0, 0);
  context_.janitor.submit([index = index_files_] { index->append({}, {}); });
}

/// Has the entries so far written.
void PartitionLog::take_index() {
  context_.janitor.submit([index = index_files_, offsets = copy_of(indexer_.offset_bytes()),
                           times = copy_of(indexer_.time_bytes())] { index->append(offsets, times); });
  indexer_.taken();
}

/// Every batch of the segment that the indexer is at was added.
void PartitionLog::finish_index() {
  OpenSegment& segment = open_segment(indexed_segment_);
  indexer_.finish();
  take_index();
  segment.index = std::move(index_files_);
}

void PartitionLog::seal_durable_segments() {
  while (!open_.empty()) {
    OpenSegment& segment = open_.front();
    if (segment.next_base == SegmentInfo::kOpenEnd || segment.next_base > durable_) return;
    const bool indexer_is_here = !segment.index;
    if (indexer_is_here) finish_index();
    submit_seal(segment, segment.next_base);
    open_.pop_front();
    ++first_open_;
    if (indexer_is_here && !open_.empty()) begin_index(first_open_);
  }
}

/// The janitor trims the file, completes the indexes, and moves the recovery point to `end`.
void PartitionLog::submit_seal(OpenSegment& segment, Offset end) {
  auto file = std::make_shared<File>(std::move(segment.file));
  context_.janitor.submit([files = files_, file, index = std::move(segment.index), end, base = segment.base,
                           bytes = segment.bytes, allocated = segment.allocated,
                           max_timestamp_ms = segment.max_timestamp_ms] {
    if (allocated > bytes) {
      file->truncate(bytes);
      file->sync();
    }
    file->close();
    files->segments.seal(base, bytes, max_timestamp_ms);
    index->finish();
    files->checkpoint.advance(std::nullopt, end);
  });
}

void PartitionLog::seal_for_close() {
  if (!open_.empty()) {
    assert(indexed_segment_ == last_open());
    finish_index();
    return submit_seal(open_.back(), log_end_);
  }
  // No file ends there: the log jumped, or retention took the rest.
  context_.janitor.submit([files = files_, end = log_end_] {
    make_directory_durably(files->file_system, files->segments.directory());
    files->checkpoint.advance(std::nullopt, end);
  });
}

}  // namespace busway::daemon
