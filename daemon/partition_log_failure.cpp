// PartitionLog: what happens when a write or a sync fails. The rules are in the header.
//
// A rewrite is finished by recovery if the power fails in between:
//   1. <base>.rewrite.new: everything not durable, synced
//   2. renamed to <base>.rewrite, directory synced       <- from here on it counts
//   3. segments from <base> on unlinked, the one that <base> lies in cut there
//   4. renamed to <base>.log, directory synced

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <utility>

#include <busway/error.hpp>

#include "bus/base/clock.hpp"
#include "bus/base/fd.hpp"
#include "daemon/partition_log.hpp"

namespace busway::daemon {

bool PartitionLog::is_passing(int error) noexcept {
  return is_no_room(error) || error == EMFILE || error == ENFILE || error == ENOMEM;
}

void PartitionLog::on_write_error(int error) {
  if (is_passing(error)) {
    stall(error);
  } else {
    fail_file(error);
  }
}

void PartitionLog::stall(int error) {
  if (health_ == LogHealth::failed) return;
  health_ = LogHealth::stalled;
  cause_ = error;
}

/// No file with something that is not durable is written or synced again.
void PartitionLog::fail_file(int error) {
  if (health_ == LogHealth::failed) return;
  rewrite_due_ = true;
  stall(error);
}

void PartitionLog::fail_partition(int error) {
  health_ = LogHealth::failed;
  cause_ = error;
}

/// Nothing is in flight: the kernel no longer reads from staging.
void PartitionLog::settle() {
  if (health_ == LogHealth::failed) return release_all();
  if (rewrite_due_ && !rewrite_tried_) {
    rewrite_tried_ = true;
    rewrite();
    return;
  }
  if (health_ != LogHealth::stalled || rewrite_due_ || !retried_) return;
  for (std::size_t i = done_prefix_; i < window_.size(); ++i) {
    if (window_[i].error != 0) return;
  }
  health_ = LogHealth::running;
  cause_ = 0;
  retried_ = false;
}

void PartitionLog::retry() {
  if (rewrite_due_) return rewrite();
  retried_ = true;
  for (std::size_t i = done_prefix_; i < window_.size(); ++i) {
    Pending& pending = window_[i];
    if (pending.error == 0) continue;
    const std::uint32_t sequence = first_sequence_ + static_cast<std::uint32_t>(i);
    const int fd = open_segment(pending.segment).file.fd();
    if (!context_.disk.submit_write(write_token(sequence), fd, pending.staged.span(), pending.position)) {
      return;  // the rest at the next tick
    }
    pending.error = 0;
    ++writes_in_flight_;
  }
  if (in_flight() == 0) settle();
}

void PartitionLog::release_all() {
  while (!window_.empty()) {
    context_.staging.release(window_.front().staged);
    window_.pop_front();
    first_sequence_ = (first_sequence_ + 1) & kSequenceMask;
  }
  done_prefix_ = 0;
}

/// Everything that is not durable goes from staging to a new segment.
void PartitionLog::rewrite() {
  assert(in_flight() == 0 && !window_.empty() && window_.front().batch.base_offset == durable_);
  const Offset base = durable_;
  const std::string path = rewrite_path(files_->segments.directory(), base);
  File file;
  int error = write_replacement(path, file);
  if (error == 0) {
    error = put_in_place(path, base, file);
  } else if (is_passing(error)) {
    return stall(error);
  }
  if (error != 0) {
    fail_partition(error);
    return release_all();
  }
  adopt_replacement(std::move(file), base);
}

/// Steps 1 and 2. 0 or errno.
int PartitionLog::write_replacement(const std::string& path, File& file) {
  FileSystem& files = context_.files;
  const std::string aside = path + ".new";
  const int fd = files.open(aside, OpenMode::open_always);
  if (fd < 0) return -fd;
  file = File(files, fd, aside);
  int error = -files.truncate(fd, 0);
  std::uint64_t position = 0;
  for (std::size_t i = 0; i < window_.size() && error == 0; ++i) {
    error = -files.write(fd, window_[i].staged.span(), position);
    position += window_[i].staged.bytes;
  }
  if (error == 0) error = -files.sync(fd, SyncKind::data);
  if (error == 0) error = -files.rename(aside, path);
  if (error == 0) error = sync_names();
  if (error == 0) return 0;
  file.close();
  // Best effort: recovery removes what is left.
  static_cast<void>(files.unlink(aside));
  return error;
}

/// Steps 3 and 4. 0 or errno.
int PartitionLog::put_in_place(const std::string& path, Offset base, File& file) {
  FileSystem& files = context_.files;
  for (OpenSegment& segment : open_) {
    const std::string log_path = files_->segments.path(segment.base, log::SegmentFile::log);
    if (segment.base >= base) {
      const int removed = files.unlink(log_path);
      if (removed < 0 && removed != -ENOENT) return -removed;
    } else if (segment.next_base == SegmentInfo::kOpenEnd || segment.next_base > base) {
      segment.bytes = window_.front().position;
      if (const int cut = files.truncate(segment.file.fd(), segment.bytes); cut < 0) return -cut;
      // For the new size alone: whether the bytes below were kept was settled when they became durable.
      static_cast<void>(files.sync(segment.file.fd(), SyncKind::full));
    }
  }
  const std::string log_path = files_->segments.path(base, log::SegmentFile::log);
  if (const int renamed = files.rename(path, log_path); renamed < 0) return -renamed;
  file.set_path(log_path);
  return sync_names();
}

int PartitionLog::sync_names() {
  const std::string& directory = files_->segments.directory();
  const int fd = context_.files.open(directory, OpenMode::directory);
  if (fd < 0) return -fd;
  const File file(context_.files, fd, directory);
  const int error = -context_.files.sync(fd, SyncKind::full);
  if (error == 0) names_dirty_ = false;
  return error;
}

/// The new segment is on the disk: from here on it is the active one, and everything is durable.
void PartitionLog::adopt_replacement(File file, Offset base) {
  drop_superseded(base);
  OpenSegment& segment = open_.emplace_back();
  ++files_opened_;
  segment.base = base;
  segment.file = std::move(file);
  segment.epoch = Epoch{window_.front().batch.leader_epoch};
  segment.opened_ms = coarse_unix_ms();
  begin_index(last_open());
  for (std::size_t i = 0; i < window_.size(); ++i) {
    const log::BatchSummary& batch = window_[i].batch;
    indexer_.add(batch, static_cast<std::int64_t>(segment.bytes));
    segment.bytes += static_cast<std::uint64_t>(batch.bytes);
    segment.max_timestamp_ms = std::max(segment.max_timestamp_ms, batch.max_timestamp_ms);
  }
  files_->segments.replace_from(base, segment.bytes);
  release_all();
  written_ = durable_ = log_end_;
  rewrite_due_ = rewrite_tried_ = retried_ = false;
  health_ = LogHealth::running;
  cause_ = 0;
}

/// Forgets the segments from `base` on, and hands the one that now ends there to the janitor.
void PartitionLog::drop_superseded(Offset base) {
  // Their index files go, also those of the segment that was cut: its entries reach beyond the cut.
  if (index_files_) {
    context_.janitor.submit([index = std::move(index_files_)] { index->remove(); });
    index_files_.reset();
  }
  for (OpenSegment& segment : open_) {
    if (segment.index) context_.janitor.submit([index = std::move(segment.index)] { index->remove(); });
  }
  while (!open_.empty() && open_.back().base >= base) open_.pop_back();
  const auto interval = static_cast<std::int32_t>(config_.index_interval_bytes);
  for (const OpenSegment& segment : open_) {
    const Offset end = segment.next_base == SegmentInfo::kOpenEnd ? base : std::min(base, segment.next_base);
    context_.janitor.submit(
        [files = files_, segment_base = segment.base, bytes = segment.bytes, end, interval] {
          const std::int64_t latest =
              rebuild_indexes(files->file_system, files->segments.directory(), segment_base, interval);
          files->segments.seal(segment_base, bytes, latest);
          files->checkpoint.advance(std::nullopt, end);
        });
  }
  first_open_ += static_cast<std::uint32_t>(open_.size());
  open_.clear();
}

}  // namespace busway::daemon
