#include "daemon/partition_log.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <utility>

#include <busway/error.hpp>

#include "bus/base/clock.hpp"
#include "bus/base/limits.hpp"

namespace busway::daemon {
namespace {

// A segment this full has its successor prepared.
constexpr std::uint64_t prepare_at(const TopicConfig& config) noexcept {
  return static_cast<std::uint64_t>(config.segment_bytes) / 2;
}
// A segment larger than this has room reserved ahead of it: as much again, up to the most, and always more
// than the least.
constexpr std::uint64_t kReserveLeast = limits::kMiB;
constexpr std::uint64_t kReserveMost = 16 * limits::kMiB;

}  // namespace

PartitionLog::PartitionLog(const StoreContext& context, std::uint32_t tag, const TopicConfig& config,
                           RecoveredLog recovered, const std::string& directory)
    : context_(context),
      config_(config),
      files_(std::make_shared<PartitionFiles>(context.files, directory, std::move(recovered.segments),
                                              recovered.log_start, recovered.checkpoint)),
      tag_(tag),
      log_end_(recovered.log_end),
      written_(recovered.log_end),
      durable_(recovered.log_end) {
  if (recovered.lost_unsaved) files_->checkpoint.owe(std::move(recovered.lost));
  if (!recovered.active) return;
  ActiveSegment& active = *recovered.active;
  OpenSegment& segment = open_.emplace_back();
  ++files_opened_;
  segment.base = active.base;
  segment.file = File::open(context_.files, active_path(), OpenMode::write);
  segment.bytes = active.bytes;
  segment.epoch = active.epoch;
  segment.max_timestamp_ms = active.indexer.max_timestamp_ms();
  const std::int64_t now_ms = coarse_unix_ms();
  segment.opened_ms = active.first_timestamp_ms >= 0 ? std::min(active.first_timestamp_ms, now_ms) : now_ms;
  indexer_ = std::move(active.indexer);
  index_files_ = make_index_files(segment.base, active.index_bytes, active.time_index_bytes);
}

PartitionLog::~PartitionLog() {
  // The kernel may still read what is in flight: that staging is never given to anybody else.
  if (in_flight() == 0) release_all();
}

std::string PartitionLog::active_path() const {
  return open_.empty() ? std::string() : files_->segments.path(open_.back().base, log::SegmentFile::log);
}

std::uint64_t PartitionLog::write_token(std::uint32_t sequence) const noexcept {
  return (std::uint64_t{tag_} << 32) | (sequence & kSequenceMask);
}

AppendOutcome PartitionLog::append(const log::BatchSummary& batch, const Staged& staged) {
  if (const AppendOutcome outcome = check_append(batch); outcome != AppendOutcome::appended) return outcome;
  const std::uint32_t sequence = first_sequence_ + static_cast<std::uint32_t>(window_.size());
  const OpenSegment& segment = open_.back();
  if (!context_.disk.submit_write(write_token(sequence), segment.file.fd(), staged.span(), segment.bytes)) {
    return AppendOutcome::busy;
  }
  ++writes_in_flight_;
  place(batch, staged);
  return AppendOutcome::appended;
}

AppendOutcome PartitionLog::append_now(const log::BatchSummary& batch, const Staged& staged) {
  if (const AppendOutcome outcome = check_append(batch); outcome != AppendOutcome::appended) return outcome;
  const OpenSegment& segment = open_.back();
  const int error = context_.disk.write_now(segment.file.fd(), staged.span(), segment.bytes);
  const std::uint32_t sequence = first_sequence_ + static_cast<std::uint32_t>(window_.size());
  place(batch, staged);
  ++writes_in_flight_;
  complete({write_token(sequence), error});
  return AppendOutcome::appended;
}

/// Everything but the write itself; afterwards open_.back() is where the batch goes.
AppendOutcome PartitionLog::check_append(const log::BatchSummary& batch) {
  assert(batch.base_offset == log_end_ && batch.last_offset >= batch.base_offset);
  if (health_ == LogHealth::failed) return AppendOutcome::failed;
  if (health_ == LogHealth::stalled || rewrite_due_) return AppendOutcome::stalled;
  if (!must_roll(batch)) return AppendOutcome::appended;
  const int error = start_segment(batch.base_offset, Epoch{batch.leader_epoch});
  if (error == 0) return AppendOutcome::appended;
  if (is_passing(error)) {
    stall(error);
    return AppendOutcome::stalled;
  }
  fail_partition(error);
  if (in_flight() == 0) settle();
  return AppendOutcome::failed;
}

bool PartitionLog::must_roll(const log::BatchSummary& batch) const {
  if (open_.empty() || fresh_segment_) return true;
  const OpenSegment& active = open_.back();
  if (active.next_base != SegmentInfo::kOpenEnd) return true;
  if (active.bytes == 0) return active.epoch != Epoch{batch.leader_epoch};
  return active.epoch != Epoch{batch.leader_epoch} ||
         active.bytes + static_cast<std::uint64_t>(batch.bytes) >
             static_cast<std::uint64_t>(config_.segment_bytes) ||
         batch.last_offset - active.base > log::kRelativeMost ||
         coarse_unix_ms() - active.opened_ms >= config_.segment_ms;
}

void PartitionLog::place(const log::BatchSummary& batch, const Staged& staged) {
  OpenSegment& segment = open_.back();
  window_.push_back({.batch = batch, .staged = staged, .position = segment.bytes, .segment = last_open()});
  segment.bytes += static_cast<std::uint64_t>(batch.bytes);
  log_end_ = batch.next_offset();
  if (segment.bytes >= prepare_at(config_)) prepare_next();
  if (segment.bytes >= kReserveLeast && segment.bytes + kReserveLeast > segment.allocated)
    reserve_ahead(segment);
}

/// Buffered writes into room that is reserved take half the time: no block has to be found for each page. As
/// much again as there is, so that small logs take no more room than they need; sealing gives the rest back.
void PartitionLog::reserve_ahead(OpenSegment& segment) noexcept {
  const std::uint64_t ahead = std::min(segment.bytes, kReserveMost);
  const std::uint64_t end =
      std::min(segment.bytes + ahead, static_cast<std::uint64_t>(config_.segment_bytes));
  const std::uint64_t from = std::max(segment.allocated, window_.back().position);
  if (end <= from) return;
  // A hint: where there is no room, writing goes on as it would without, and this is not tried again soon.
  static_cast<void>(context_.files.reserve(segment.file.fd(), from, end - from));
  segment.allocated = end;
}

/// Makes open_.back() a segment that begins at `base`. 0 or errno; after an error nothing has changed.
int PartitionLog::start_segment(Offset base, Epoch epoch) {
  if (!open_.empty() && open_.back().bytes == 0 && open_.back().next_base == SegmentInfo::kOpenEnd) {
    if (open_.back().base == base) {
      open_.back().epoch = epoch;
      fresh_segment_ = false;
      return 0;
    }
    if (const int error = remove_empty_active(); error != 0) return error;
  }
  File file;
  std::uint64_t allocated = 0;
  if (const int error = open_next_file(base, file, allocated); error != 0) return error;
  if (!open_.empty()) open_.back().next_base = base;
  if (window_.empty()) seal_durable_segments();
  OpenSegment& segment = open_.emplace_back();
  ++files_opened_;
  segment.base = base;
  segment.file = std::move(file);
  segment.allocated = allocated;
  segment.epoch = epoch;
  segment.opened_ms = coarse_unix_ms();
  fresh_segment_ = false;
  names_dirty_ = true;
  files_->segments.begin_segment(base);
  // Otherwise the indexer is still at the segment before, until `written` gets here.
  if (window_.empty()) begin_index(last_open());
  return 0;
}

/// The prepared file under its name, or a new one. 0 or errno.
int PartitionLog::open_next_file(Offset base, File& file, std::uint64_t& allocated) {
  const std::string path = files_->segments.path(base, log::SegmentFile::log);
  if (auto prepared = files_->prepared.take()) {
    const int renamed = context_.files.rename(prepared->file.path(), path);
    if (renamed < 0) return -renamed;
    file = std::move(prepared->file);
    file.set_path(path);
    allocated = prepared->allocated;
    return 0;
  }
  int fd = context_.files.open(path, OpenMode::create);
  if (fd == -ENOENT) {
    if (const int error = make_partition_directory(); error != 0) return error;
    fd = context_.files.open(path, OpenMode::create);
  }
  if (fd < 0) return -fd;
  file = File(context_.files, fd, path);
  if (!config_.preallocate) return 0;
  const auto size = static_cast<std::uint64_t>(config_.segment_bytes);
  // Without room for the whole segment it grows as it is written.
  if (context_.files.allocate(fd, size) == 0) allocated = size;
  return 0;
}

int PartitionLog::make_partition_directory() {
  const std::string& directory = files_->segments.directory();
  const int made = context_.files.make_directory(directory);
  if (made < 0 && made != -EEXIST) return -made;
  const std::string parent = parent_of(directory);
  const int fd = context_.files.open(parent, OpenMode::directory);
  if (fd < 0) return -fd;
  const File file(context_.files, fd, parent);
  return -context_.files.sync(fd, SyncKind::full);
}

/// An active segment that holds nothing makes way: the next batch begins elsewhere.
int PartitionLog::remove_empty_active() {
  const Offset base = open_.back().base;
  const int removed = context_.files.unlink(active_path());
  if (removed < 0 && removed != -ENOENT) return -removed;
  names_dirty_ = true;
  if (index_files_ && indexed_segment_ == last_open()) {
    context_.janitor.submit([index = index_files_] { index->remove(); });
    index_files_.reset();
  }
  files_->segments.remove_last(base);
  open_.pop_back();
  return 0;
}

void PartitionLog::prepare_next() {
  if (open_.back().prepared_next) return;
  open_.back().prepared_next = true;
  if (!files_->prepared.request()) return;
  const std::uint64_t allocate = config_.preallocate ? static_cast<std::uint64_t>(config_.segment_bytes) : 0;
  context_.janitor.submit([files = files_, allocate] {
    const std::string path = files->segments.directory() + "/" + std::string(PreparedFile::kFileName);
    std::uint64_t allocated = 0;
    const int fd = files->file_system.open(path, OpenMode::open_always);
    File file;
    if (fd >= 0) {
      file = File(files->file_system, fd, path);
      if (allocate > 0 && files->file_system.allocate(fd, allocate) == 0) allocated = allocate;
    }
    files->prepared.put(std::move(file), allocated);
  });
}

void PartitionLog::jump(Offset offset) {
  assert(window_.empty() && in_flight() == 0 && offset >= log_end_);
  if (offset == log_end_ && !open_.empty() && open_.back().bytes == 0) return;
  end_active();
  log_end_ = written_ = durable_ = offset;
  fresh_segment_ = true;
}

/// The active segment takes no further batches.
void PartitionLog::end_active() {
  if (open_.empty()) return;
  OpenSegment& active = open_.back();
  if (active.next_base != SegmentInfo::kOpenEnd || active.bytes == 0) return;
  active.next_base = log_end_;
  files_->segments.close_last(log_end_);
  seal_durable_segments();
}

void PartitionLog::tick(std::int64_t now_ms) {
  if (health_ == LogHealth::stalled && in_flight() == 0) retry();
  if (health_ != LogHealth::running || !window_.empty() || open_.size() != 1) return;
  const OpenSegment& active = open_.back();
  const bool expired = config_.retention_ms >= 0 && active.bytes > 0 && active.max_timestamp_ms >= 0 &&
                       active.max_timestamp_ms < now_ms - config_.retention_ms;
  if (expired) end_active();
}

int PartitionLog::close() {
  assert(in_flight() == 0);
  if (health_ == LogHealth::failed) return cause_;
  const SyncOutcome outcome = sync_now();
  if (outcome != SyncOutcome::clean && outcome != SyncOutcome::submitted) return cause_ != 0 ? cause_ : EIO;
  if (files_->checkpoint.values().recovery_point != log_end_) seal_for_close();
  if (files_->prepared.take()) {
    context_.janitor.submit([files = files_] {
      const std::string path = files->segments.directory() + "/" + std::string(PreparedFile::kFileName);
      check_file(files->file_system.unlink(path), "cannot remove", path);
    });
  }
  context_.janitor.finish();
  return 0;
}

}  // namespace busway::daemon
