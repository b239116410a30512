#include "daemon/recovery.hpp"

#include <algorithm>
#include <cerrno>

#include <busway/error.hpp>

#include "bus/log/names.hpp"
#include "daemon/partition_log_files.hpp"
#include "daemon/recovery_mend.hpp"
#include "daemon/recovery_scan.hpp"

namespace busway::daemon {
namespace {

/// One recovery of one partition. First all segments are looked at, then they are mended from the last to the
/// first, so that of each it is known what the later ones hold.
class Recovery {
 public:
  Recovery(FileSystem& files, const std::string& directory, const RecoveryOptions& options)
      : files_(files), directory_(directory), options_(options) {}

  RecoveredLog run() {
    std::vector<std::string> names;
    if (const int listed = files_.list(directory_, names); listed != -ENOENT) {
      check_file(listed, "cannot list", directory_);
    }
    const auto checkpoint = Checkpoint::load(files_, directory_);
    had_checkpoint_ = checkpoint.has_value();
    log_.checkpoint = checkpoint.value_or(CheckpointValues{});
    checkpoint_damaged_ = !had_checkpoint_ && std::ranges::count(names, Checkpoint::kFileName) > 0;
    take_names(names);
    if (bases_.empty() && !had_checkpoint_) return std::move(log_);
    sync_keeper_fd();
    plan();
    scans_.resize(bases_.size());
    // Forwards, as a hole may end the log; bases_ may become shorter.
    for (std::size_t i = 0; i < bases_.size(); ++i) look_at(i);
    for (std::size_t i = bases_.size(); i > 0; --i) recover_segment(i - 1);
    finish();
    return std::move(log_);
  }

 private:
  std::string path(Offset base, log::SegmentFile kind = log::SegmentFile::log) const {
    return directory_ + "/" + log::segment_file_name(base, kind);
  }
  Offset next_base(std::size_t i) const { return i + 1 < bases_.size() ? bases_[i + 1] : -1; }
  bool is_last(std::size_t i) const { return i + 1 == bases_.size(); }
  Offset durable_floor() const { return std::max(options_.durable, log_.checkpoint.recovery_point); }
  Offset in_rings_from() const { return options_.in_rings_from.value_or(-1); }

  void take_names(const std::vector<std::string>& names);
  void finish_rewrite(Offset base);
  void remove_leftover(const std::string& name);
  void remove_below_log_start();
  void sync_keeper_fd();
  void plan();
  bool must_scan(std::size_t i) const;

  void look_at(std::size_t i);
  void drop_behind(std::size_t i, Offset end);
  void recover_segment(std::size_t i);
  void take_unscanned(std::size_t i);
  void report_missing_end(std::size_t i, const SegmentScan& scan);
  void take_epoch(std::int32_t epoch);
  SegmentScan scan(std::size_t i, const File& file, bool whole);
  void mend(std::size_t i, const File& file, SegmentScan& scan);
  void set_aside(const File& file, const SegmentScan& scan, const ScannedGap& gap, Offset lost_to);
  bool is_torn_tail(std::size_t i, const ScannedGap& gap) const;
  void cut(const File& file, const SegmentScan& scan);
  void rewrite_whole(const SegmentScan& scan);
  void take_run(const ScannedRun& run, std::int64_t max_timestamp_ms);
  void take_active(SegmentScan& scan);
  void finish();
  void take_late_start(Offset first);
  bool note_lost();
  void save_checkpoint(bool lost_more);

  void report(RecoveryEvent event) { log_.events.push_back(std::move(event)); }

  FileSystem& files_;
  const std::string directory_;
  const RecoveryOptions& options_;
  RecoveredLog log_;
  std::vector<Offset> bases_;
  struct Looked {
    std::optional<SegmentScan> scan;  // nothing: below the recovery point
    bool sync_failed = false;
  };
  std::vector<Looked> scans_;
  bool had_checkpoint_ = false;
  bool checkpoint_damaged_ = false;  // there is one, and it does not check out
  bool keeper_sync_failed_ = false;
  bool fresh_ = false;             // something was quarantined: go on in a fresh segment
  Offset later_end_ = -1;          // where the log ends; -1: no segment was looked at yet
  std::int32_t later_epoch_ = -1;  // of the segment looked at before this one; -1: unknown
  std::uint64_t bytes_done_ = 0;
  std::uint64_t bytes_all_ = 0;
};

void Recovery::take_names(const std::vector<std::string>& names) {
  std::vector<Offset> rewrites;
  for (const std::string& name : names) {
    if (const Offset base = rewrite_base(name); base >= 0) rewrites.push_back(base);
  }
  std::sort(rewrites.begin(), rewrites.end());
  for (const Offset base : rewrites) finish_rewrite(base);
  std::vector<std::string> now;
  check_file(rewrites.empty() ? (now = names, 0) : files_.list(directory_, now), "cannot list", directory_);

  for (const std::string& name : now) {
    const auto segment = log::parse_segment_file_name(name);
    if (segment && segment->kind == log::SegmentFile::log) bases_.push_back(segment->base_offset);
  }
  std::sort(bases_.begin(), bases_.end());
  for (const std::string& name : now) {
    const auto segment = log::parse_segment_file_name(name);
    const bool orphan = segment && !std::binary_search(bases_.begin(), bases_.end(), segment->base_offset);
    if (orphan || is_aside(name) || name == PreparedFile::kFileName) remove_leftover(name);
  }
  remove_below_log_start();
}

/// Steps 3 and 4 of PartitionLog's rewrite.
void Recovery::finish_rewrite(Offset base) {
  const std::string from = rewrite_path(directory_, base);
  std::vector<std::string> names;
  check_file(files_.list(directory_, names), "cannot list", directory_);
  for (const std::string& name : names) {
    const auto segment = log::parse_segment_file_name(name);
    if (segment && segment->base_offset >= base) {
      check_file(files_.unlink(directory_ + "/" + name), "cannot remove", directory_ + "/" + name);
    }
  }
  // The segment that `base` lies in is cut when it is looked at: what it holds from there on is superseded.
  check_file(files_.rename(from, path(base)), "cannot rename to", path(base));
  sync_directory(files_, directory_);
  report({.kind = RecoveryEventKind::finished_rewrite, .file = path(base), .first_offset = base});
}

void Recovery::remove_leftover(const std::string& name) {
  const std::string leftover = directory_ + "/" + name;
  check_file(files_.unlink(leftover), "cannot remove", leftover);
  report({.kind = RecoveryEventKind::removed_leftover, .file = leftover});
}

/// Retention had moved the log start and was stopped before it had deleted the files.
void Recovery::remove_below_log_start() {
  std::size_t below = 0;
  while (below + 1 < bases_.size() && bases_[below + 1] <= log_.checkpoint.log_start) ++below;
  // Retention takes whole segments: one that begins below the log start lies below it.
  const bool last_too = below + 1 == bases_.size() && bases_[below] < log_.checkpoint.log_start;
  if (last_too) ++below;
  for (std::size_t i = 0; i < below; ++i) {
    remove_segment(files_, directory_, bases_[i]);
    report({.kind = RecoveryEventKind::removed_leftover, .file = path(bases_[i])});
  }
  bases_.erase(bases_.begin(), bases_.begin() + static_cast<std::ptrdiff_t>(below));
}

void Recovery::sync_keeper_fd() {
  if (options_.keeper_fd >= 0) keeper_sync_failed_ = files_.sync(options_.keeper_fd, SyncKind::data) < 0;
}

bool Recovery::must_scan(std::size_t i) const {
  return is_last(i) || (!options_.clean && next_base(i) > log_.checkpoint.recovery_point);
}

void Recovery::plan() {
  for (std::size_t i = 0; i < bases_.size(); ++i) {
    if (must_scan(i)) bytes_all_ += File::open(files_, path(bases_[i]), OpenMode::read).size();
  }
}

void Recovery::look_at(std::size_t i) {
  if (!must_scan(i)) return;
  const File file = File::open(files_, path(bases_[i]), OpenMode::read);
  // Before it is read: what is counted as present must stay.
  scans_[i].sync_failed = files_.sync(file.fd(), SyncKind::data) < 0 || keeper_sync_failed_;
  scans_[i].scan = scan(i, file, scans_[i].sync_failed);
  const SegmentScan& found = *scans_[i].scan;
  log_.scanned_bytes += found.scanned_bytes;
  const Offset end = found.runs.back().next_offset;
  const bool hole = !is_last(i) && !found.superseded_from && end < next_base(i);
  if (options_.in_rings_from && end >= *options_.in_rings_from && (hole || found.cut_for_rings)) {
    drop_behind(i, end);
  }
}

/// The rings hold everything from `end` on: what lies in later segments is drained again.
void Recovery::drop_behind(std::size_t i, Offset end) {
  for (std::size_t later = bases_.size(); later > i + 1; --later) {
    remove_segment(files_, directory_, bases_[later - 1]);
    report({.kind = RecoveryEventKind::cut_for_rings, .file = path(bases_[later - 1]), .first_offset = end});
  }
  bases_.resize(i + 1);
  scans_.resize(i + 1);
}

void Recovery::recover_segment(std::size_t i) {
  if (!scans_[i].scan) return take_unscanned(i);
  SegmentScan& scanned = *scans_[i].scan;
  const File file = File::open(files_, path(bases_[i]), OpenMode::write);
  mend(i, file, scanned);
  if (scans_[i].sync_failed && scanned.kept().bytes > 0) rewrite_whole(scanned);

  report_missing_end(i, scanned);

  const ScannedRun& kept = scanned.kept();
  const bool goes_on = is_last(i) && !fresh_;
  if (kept.bytes > 0 || goes_on) {
    const bool rebuilt = write_indexes(files_, directory_, scanned, !goes_on);
    if (rebuilt && !goes_on) report({.kind = RecoveryEventKind::rebuilt_index, .file = path(bases_[i])});
    take_run(kept, scanned.indexer.max_timestamp_ms());
    if (goes_on) take_active(scanned);
  } else if (scanned.runs.size() == 1 || scanned.runs[1].first_offset != bases_[i]) {
    remove_segment(files_, directory_, bases_[i]);  // what it held does not check out and is in quarantine
  }
  if (later_end_ < 0) later_end_ = scanned.runs.back().next_offset;
  take_epoch(scanned.epoch);
}

/// A segment that ends at a batch's border, but below where the next one begins.
void Recovery::report_missing_end(std::size_t i, const SegmentScan& scan) {
  const Offset end = scan.runs.back().next_offset;
  if (is_last(i) || scan.superseded_from || scan.has_tail_gap() || end >= next_base(i)) return;
  const bool jumped = scan.epoch >= 0 && later_epoch_ > scan.epoch;
  if (jumped) return;
  report({.kind = RecoveryEventKind::lost_range,
          .file = path(scan.base),
          .first_offset = end,
          .next_offset = next_base(i),
          .position = scan.kept().bytes});
}

void Recovery::take_epoch(std::int32_t epoch) {
  if (epoch < 0) return;
  later_epoch_ = epoch;
  if (raw(log_.epoch) < 0) log_.epoch = Epoch{epoch};
}

void Recovery::take_unscanned(std::size_t i) {
  const Offset base = bases_[i];
  const File file = File::open(files_, path(base), OpenMode::read);
  const auto indexed = [&] {
    return File::open_if_there(files_, path(base, log::SegmentFile::index), OpenMode::read) &&
           File::open_if_there(files_, path(base, log::SegmentFile::time_index), OpenMode::read);
  };
  std::int64_t latest = last_indexed_timestamp(files_, directory_, base);
  if (!indexed()) {
    latest = rebuild_indexes(files_, directory_, base, options_.index_interval_bytes);
    if (indexed()) report({.kind = RecoveryEventKind::rebuilt_index, .file = path(base)});
  }
  log_.segments.push_back({.base = base,
                           .next_base = next_base(i),
                           .bytes = file.size(),
                           .max_timestamp_ms = latest,
                           .sealed = true});
  if (const auto first = first_batch(file)) take_epoch(first->leader_epoch);
}

SegmentScan Recovery::scan(std::size_t i, const File& file, bool whole) {
  ScanLimits limits{.next_base = next_base(i),
                    .offset_limit = options_.offset_limit,
                    .in_rings_from = in_rings_from(),
                    .index_interval_bytes = options_.index_interval_bytes};
  std::function<void(std::uint64_t)> progress;
  if (options_.progress) {
    progress = [this](std::uint64_t bytes) { options_.progress(bytes_done_ += bytes, bytes_all_); };
  }
  // What was durable when the checkpoint was written, or is in the page cache since, need not be read again.
  const Offset trusted_to = std::max(log_.checkpoint.recovery_point, in_rings_from());
  if (is_last(i) && !whole && trusted_to > bases_[i]) {
    if (const auto start = find_scan_start(files_, directory_, file, bases_[i], trusted_to)) {
      SegmentScan scanned = scan_segment(file, bases_[i], limits, *start, progress);
      const bool as_expected =
          scanned.gaps.empty() && !scanned.cut_for_rings && scanned.kept().next_offset >= trusted_to;
      if (as_expected || !options_.clean) return scanned;
    }
  }
  return scan_segment(file, bases_[i], limits, {}, progress);
}

bool Recovery::is_torn_tail(std::size_t i, const ScannedGap& gap) const {
  if (gap.next_offset >= 0 || gap.first_offset < durable_floor()) return false;
  return is_last(i) || next_base(i) <= gap.first_offset;
}

void Recovery::mend(std::size_t i, const File& file, SegmentScan& scan) {
  for (const ScannedGap& gap : scan.gaps) {
    const bool tail = gap.next_offset < 0;
    if (tail && is_torn_tail(i, gap)) {
      report({.kind = RecoveryEventKind::torn_tail,
              .file = path(scan.base),
              .first_offset = gap.first_offset,
              .position = gap.position,
              .bytes = gap.bytes});
      continue;
    }
    const Offset floor = std::max(durable_floor(), gap.first_offset);
    set_aside(file, scan, gap, !tail ? gap.next_offset : is_last(i) ? floor : next_base(i));
    if (is_last(i)) fresh_ = true;
  }
  if (scan.superseded_from) {
    const std::uint64_t bytes = scan.file_bytes - *scan.superseded_from;
    RecoveryEvent event{.kind = RecoveryEventKind::superseded,
                        .file = path(scan.base),
                        .first_offset = next_base(i),
                        .next_offset = scan.superseded_end,
                        .position = *scan.superseded_from,
                        .bytes = bytes};
    // Nothing that checks out is dropped unless a later segment has it.
    if (scan.superseded_end > later_end_) {
      quarantine(files_, directory_, file, scan.base, *scan.superseded_from, bytes);
    }
    report(std::move(event));
  }
  if (scan.cut_for_rings) {
    const std::uint64_t from = scan.runs.back().position + scan.runs.back().bytes;
    report({.kind = RecoveryEventKind::cut_for_rings,
            .file = path(scan.base),
            .first_offset = scan.runs.back().next_offset,
            .position = from,
            .bytes = scan.file_bytes - from});
  }
  for (std::size_t run = scan.runs.size(); run > 1; --run) {
    const ScannedRun& part = scan.runs[run - 1];
    write_run(files_, directory_, file, part);
    take_run(part, rebuild_indexes(files_, directory_, part.first_offset, options_.index_interval_bytes));
  }
  cut(file, scan);
}

void Recovery::set_aside(const File& file, const SegmentScan& scan, const ScannedGap& gap, Offset lost_to) {
  std::string where = path(scan.base);
  if (gap.bytes > 0) where = quarantine(files_, directory_, file, scan.base, gap.position, gap.bytes);
  report({.kind = RecoveryEventKind::lost_range,
          .file = where,
          .first_offset = gap.first_offset,
          .next_offset = lost_to,
          .position = gap.position,
          .bytes = gap.bytes});
}

/// The file ends behind its first run.
void Recovery::cut(const File& file, const SegmentScan& scan) {
  const bool replaced = scan.runs.size() > 1 && scan.runs[1].first_offset == scan.base;
  if (replaced || scan.file_bytes <= scan.kept().bytes) return;
  file.truncate(scan.kept().bytes);
  // Of the new size. An error of the bytes below is handled by whoever synced before the scan.
  static_cast<void>(files_.sync(file.fd(), SyncKind::full));
}

/// The kernel could not write this file out: what can still be read of it goes to another one.
void Recovery::rewrite_whole(const SegmentScan& scan) {
  const File file = File::open(files_, path(scan.base), OpenMode::read);
  write_run(files_, directory_, file, scan.kept());
  report({.kind = RecoveryEventKind::rewrote_segment,
          .file = path(scan.base),
          .first_offset = scan.base,
          .next_offset = scan.kept().next_offset,
          .bytes = scan.kept().bytes});
}

void Recovery::take_run(const ScannedRun& run, std::int64_t max_timestamp_ms) {
  log_.segments.push_back({.base = run.first_offset,
                           .next_base = run.next_offset,
                           .bytes = run.bytes,
                           .max_timestamp_ms = max_timestamp_ms,
                           .sealed = true});
}

void Recovery::take_active(SegmentScan& scan) {
  SegmentInfo& last = log_.segments.back();
  last.next_base = SegmentInfo::kOpenEnd;
  last.sealed = false;
  log_.active = ActiveSegment{.base = scan.base,
                              .bytes = scan.kept().bytes,
                              .epoch = Epoch{scan.epoch},
                              .first_timestamp_ms = scan.first_timestamp_ms,
                              .indexer = std::move(scan.indexer),
                              .index_bytes = scan.start.index_bytes,
                              .time_index_bytes = scan.start.time_index_bytes};
}

void Recovery::finish() {
  std::vector<SegmentInfo>& segments = log_.segments;
  std::sort(segments.begin(), segments.end(),
            [](const SegmentInfo& a, const SegmentInfo& b) { return a.base < b.base; });
  for (std::size_t i = 0; i + 1 < segments.size(); ++i) segments[i].next_base = segments[i + 1].base;

  const Offset end = later_end_ >= 0 ? later_end_ : log_.checkpoint.log_start;
  log_.log_end = end;
  // Offsets below the floor were given out and were durable: gone, they stay gone. With the rings still there
  // the drain may have them again.
  if (!options_.in_rings_from || later_end_ < 0) log_.log_end = std::max(end, durable_floor());
  if (log_.log_end > end && later_end_ >= 0 && !fresh_) {
    report({.kind = RecoveryEventKind::lost_range,
            .file = directory_,
            .first_offset = end,
            .next_offset = log_.log_end});
  }
  if (log_.log_end > end && log_.active) {
    log_.active.reset();
    segments.back().sealed = true;
    segments.back().next_base = end;
    rebuild_indexes(files_, directory_, segments.back().base, options_.index_interval_bytes);
  }
  if (segments.empty()) log_.checkpoint.log_start = std::max(log_.checkpoint.log_start, log_.log_end);
  log_.log_start = log_.checkpoint.log_start;
  if (!segments.empty() && segments.front().base > log_.log_start) take_late_start(segments.front().base);
  if (!options_.clean || !log_.events.empty()) sync_directory(files_, directory_);
  save_checkpoint(note_lost());
}

/// What is lost is written down before the checkpoint moves: from then on nobody looks at these places again.
void Recovery::save_checkpoint(bool lost_more) {
  Checkpoint checkpoint(files_, directory_, log_.checkpoint);
  if (lost_more) checkpoint.owe(log_.lost);
  try {
    checkpoint.advance(log_.log_start, log_.active ? log_.active->base : log_.log_end);
  } catch (const Error& error) {
    // Without room the old one stays: the next start finds all of this again.
    if (error.error() != errc::disk_full) throw;
  }
  log_.lost_unsaved = checkpoint.owes();
  log_.checkpoint = checkpoint.values();
}

/// The first segment begins above the log start.
void Recovery::take_late_start(Offset first) {
  if (!had_checkpoint_ && checkpoint_damaged_) {
    log_.log_start = first;  // how much retention had deleted is not known
    return;
  }
  report({.kind = RecoveryEventKind::lost_range,
          .file = directory_,
          .first_offset = log_.log_start,
          .next_offset = first});
}

/// True: there is more than the file says.
bool Recovery::note_lost() {
  log_.lost = LostOffsets::load(files_, directory_);
  const LostOffsets before = log_.lost;
  for (const RecoveryEvent& event : log_.events) {
    if (event.kind == RecoveryEventKind::lost_range) log_.lost.add({event.first_offset, event.next_offset});
  }
  log_.lost.drop_below(log_.log_start);
  return log_.lost != before;
}

}  // namespace

RecoveredLog recover_partition(FileSystem& file_system, const std::string& directory,
                               const RecoveryOptions& options) {
  return Recovery(file_system, directory, options).run();
}

std::string RecoveryEvent::sentence() const {
  const std::string offsets =
      "offsets " + std::to_string(first_offset) + " to " + std::to_string(next_offset - 1);
  const std::string range = std::to_string(bytes) + " bytes at position " + std::to_string(position);
  switch (kind) {
    case RecoveryEventKind::torn_tail:
      return file + ": a torn tail was cut off behind offset " + std::to_string(first_offset - 1) + ": " +
             range;
    case RecoveryEventKind::lost_range:
      return offsets + " are lost: " + file + " (" + range + ")";
    case RecoveryEventKind::cut_for_rings:
      return file + ": cut behind offset " + std::to_string(first_offset - 1) + " (" + range +
             "): the rings still hold what comes then";
    case RecoveryEventKind::superseded:
      return file + ": " + offsets + " were cut off (" + range + "): a later segment holds them";
    case RecoveryEventKind::rebuilt_index:
      return file + ": its indexes were built anew";
    case RecoveryEventKind::rewrote_segment:
      return file + ": could not be synced and was copied to a new file: " + offsets;
    case RecoveryEventKind::finished_rewrite:
      return file + ": the rewrite of what could not be synced was finished, from offset " +
             std::to_string(first_offset) + " on";
    case RecoveryEventKind::removed_leftover:
      return file + ": was left over and removed";
  }
  return file;
}

}  // namespace busway::daemon
