#include "daemon/recovery_scan.hpp"

#include <algorithm>
#include <array>

#include "bus/log/batch_view.hpp"
#include "bus/log/names.hpp"
#include "bus/log/segment_scanner.hpp"

namespace busway::daemon {
namespace {

constexpr std::uint64_t kProgressBytes = std::uint64_t{16} << 20;
constexpr std::uint64_t kIndexFileMost = std::uint64_t{1} << 30;

std::uint64_t unsigned_of(std::int64_t value) { return static_cast<std::uint64_t>(value); }

/// Takes the scanner's events in.
class Scan {
 public:
  Scan(const File& file, Offset base, const ScanLimits& limits, const ScanStart& start) : limits_(limits) {
    scan_.base = base;
    scan_.file_bytes = file.size();
    scan_.start = start;
    scan_.runs.push_back({.position = 0,
                          .bytes = start.position,
                          .first_offset = base,
                          .next_offset = start.position == 0 ? base : start.next_offset});
    scan_.indexer = log::SegmentIndexer(base, limits.index_interval_bytes);
    scan_.indexer.resume(base, start.last_time_entry);
    const auto first = start.position > 0 ? first_batch(file) : std::nullopt;
    if (first) take_first(*first);
  }

  /// False: the rest of the file does not matter.
  bool take_batch(const log::BatchView& batch, std::int64_t position) {
    if (limits_.next_base >= 0 && batch.base_offset() >= limits_.next_base) {
      if (!scan_.superseded_from) scan_.superseded_from = unsigned_of(position);
      scan_.superseded_end = batch.next_offset();
      return true;
    }
    if (scan_.epoch < 0) take_first(batch.summary());
    if (scan_.has_tail_gap()) begin_run(batch.base_offset(), position);
    ScannedRun& run = scan_.runs.back();
    run.bytes += batch.bytes().size();
    run.next_offset = batch.next_offset();
    // The batch that the scan started at has its index entry already.
    const bool indexed = unsigned_of(position) == scan_.start.position && scan_.start.index_bytes > 0;
    if (scan_.runs.size() == 1 && !indexed) scan_.indexer.add(batch.summary(), position);
    return true;
  }

  bool take_gap(const log::BadRegion& bad) {
    if (scan_.superseded_from) return true;
    if (limits_.in_rings_from >= 0 && bad.first_offset >= limits_.in_rings_from && bad.next_offset >= 0) {
      scan_.cut_for_rings = true;
      return false;
    }
    scan_.gaps.push_back({.position = unsigned_of(bad.position),
                          .bytes = unsigned_of(bad.bytes),
                          .first_offset = bad.first_offset,
                          .next_offset = bad.next_offset});
    return true;
  }

  SegmentScan result(std::uint64_t scanned_to) {
    scan_.scanned_bytes = scanned_to - scan_.start.position;
    return std::move(scan_);
  }

 private:
  void take_first(const log::BatchSummary& batch) {
    scan_.epoch = batch.leader_epoch;
    scan_.first_timestamp_ms = batch.max_timestamp_ms;
  }
  void begin_run(Offset first_offset, std::int64_t position) {
    scan_.runs.push_back({.position = unsigned_of(position),
                          .bytes = 0,
                          .first_offset = first_offset,
                          .next_offset = first_offset});
  }

  SegmentScan scan_;
  ScanLimits limits_;
};

template <class Entry>
bool strictly_increasing(const std::vector<Entry>& entries, auto key, auto other) {
  for (std::size_t i = 1; i < entries.size(); ++i) {
    if (key(entries[i]) <= key(entries[i - 1]) || other(entries[i]) <= other(entries[i - 1])) return false;
  }
  return true;
}

}  // namespace

SegmentScan scan_segment(const File& file, Offset base, const ScanLimits& limits, const ScanStart& start,
                         const std::function<void(std::uint64_t bytes)>& progress) {
  Scan scan(file, base, limits, start);
  log::ScanOptions options;
  options.position = static_cast<std::int64_t>(start.position);
  options.next_offset = start.position == 0 ? base : start.next_offset;
  options.offset_limit = limits.offset_limit;
  log::SegmentScanner scanner(file.fd(), base, options);
  std::uint64_t reported = start.position;
  for (bool on = true; on;) {
    switch (scanner.next()) {
      case log::ScanEvent::batch:
        on = scan.take_batch(scanner.batch(), scanner.batch_position());
        break;
      case log::ScanEvent::bad_region:
        on = scan.take_gap(scanner.bad());
        break;
      case log::ScanEvent::end:
        on = false;
        break;
    }
    const std::uint64_t at = unsigned_of(scanner.position());
    if (progress && at - reported >= kProgressBytes) {
      progress(at - reported);
      reported = at;
    }
  }
  const std::uint64_t scanned_to = unsigned_of(scanner.position());
  if (progress && scanned_to > reported) progress(scanned_to - reported);
  return scan.result(scanned_to);
}

std::optional<log::BatchSummary> first_batch(const File& file) {
  std::array<std::byte, log::kBatchHeaderBytes> head{};
  if (file.read(head, 0) != head.size()) return std::nullopt;
  log::BatchView view;
  if (log::BatchView::parse_header(head, view) != log::BatchError::none) return std::nullopt;
  return view.summary();
}

std::optional<ScanStart> find_scan_start(FileSystem& file_system, const std::string& directory,
                                         const File& file, Offset base, Offset trusted_to) {
  const std::string index = directory + "/" + log::segment_file_name(base, log::SegmentFile::index);
  const std::string times = directory + "/" + log::segment_file_name(base, log::SegmentFile::time_index);
  if (!File::open_if_there(file_system, index, OpenMode::read) ||
      !File::open_if_there(file_system, times, OpenMode::read)) {
    return std::nullopt;
  }
  auto entries = log::decode_offset_index(read_whole(file_system, index, kIndexFileMost), base);
  auto time_entries = log::decode_time_index(read_whole(file_system, times, kIndexFileMost), base);
  if (!strictly_increasing(
          entries, [](const auto& e) { return e.offset; }, [](const auto& e) { return e.position; }) ||
      !strictly_increasing(
          time_entries, [](const auto& e) { return e.timestamp_ms; },
          [](const auto& e) { return e.offset; })) {
    return std::nullopt;
  }
  while (!entries.empty() && entries.back().offset >= trusted_to) entries.pop_back();
  while (!time_entries.empty() && time_entries.back().offset >= trusted_to) time_entries.pop_back();
  if (entries.empty() || entries.back().position < 0) return std::nullopt;

  std::array<std::byte, log::kBatchHeaderBytes> head{};
  const auto position = static_cast<std::uint64_t>(entries.back().position);
  log::BatchView view;
  if (file.read(head, position) != head.size() ||
      log::BatchView::parse_header(head, view) != log::BatchError::none ||
      view.last_offset() != entries.back().offset || view.base_offset() < base) {
    return std::nullopt;
  }
  ScanStart start;
  start.position = position;
  start.next_offset = view.base_offset();
  start.index_bytes = entries.size() * sizeof(log::OffsetIndexEntry);
  start.time_index_bytes = time_entries.size() * sizeof(log::TimeIndexEntry);
  start.last_time_entry = {log::kNoTimestamp, base};
  if (!time_entries.empty()) start.last_time_entry = time_entries.back();
  return start;
}

std::int64_t last_indexed_timestamp(FileSystem& file_system, const std::string& directory, Offset base) {
  const std::string path = directory + "/" + log::segment_file_name(base, log::SegmentFile::time_index);
  const File file = File::open_if_there(file_system, path, OpenMode::read);
  if (!file || file.size() < sizeof(log::TimeIndexEntry)) return -1;
  std::array<std::byte, sizeof(log::TimeIndexEntry)> last{};
  const std::uint64_t whole = file.size() / last.size() * last.size();
  if (file.read(last, whole - last.size()) != last.size()) return -1;
  const auto entries = log::decode_time_index(last, base);
  return entries.empty() ? -1 : entries.front().timestamp_ms;
}

}  // namespace busway::daemon
