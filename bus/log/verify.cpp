#include "bus/log/verify.hpp"

#include <algorithm>

#include <busway/error.hpp>

#include "bus/base/fd.hpp"
#include "bus/log/byte_source.hpp"
#include "bus/log/log_files.hpp"
#include "bus/log/segment_scanner.hpp"

namespace busway::log {
namespace {

namespace fs = std::filesystem;

// What the indexes are checked against: each batch's end, start and the largest timestamp up to its end.
struct BatchMark {
  std::int64_t last_offset;
  std::int64_t position;
  std::int64_t max_timestamp_ms;
  std::int64_t largest_so_far_ms;
};

// Walks sorted wishes beside ever larger values.
class Wishes {
 public:
  explicit Wishes(std::vector<std::int64_t> values) : values_(std::move(values)) {
    std::sort(values_.begin(), values_.end());
  }
  bool granted(std::int64_t value) noexcept {
    while (at_ < values_.size() && values_[at_] < value) ++at_;
    return at_ < values_.size() && values_[at_] == value;
  }

 private:
  std::vector<std::int64_t> values_;
  std::size_t at_ = 0;
};

struct IndexFile {
  std::vector<std::byte> bytes;
  std::vector<OffsetPosition> offsets;
  std::vector<TimestampOffset> times;
};

class Verifier {
 public:
  Verifier(const VerifyOptions& options, VerifyReport& report) : options_(options), report_(report) {}

  void directory(const LogDirectory& directory);
  void count(std::int64_t bytes) { all_ += bytes; }

 private:
  void segment(const SegmentPaths& paths, bool last);
  void log_file(const fs::path& path, SegmentReport& segment, bool last);
  void read_indexes(const SegmentPaths& paths);
  void tail(const SegmentScanner& scanner, SegmentReport& segment, bool excused);
  void bad_region(const fs::path& path, const BadRegion& bad, bool excused);
  void batch(const SegmentScanner& scanner, SegmentReport& segment);
  void offset_index(const fs::path& path, SegmentReport& segment, bool last);
  void time_index(const fs::path& path, SegmentReport& segment, bool last);
  void index_tail(const fs::path& path, std::size_t size, std::size_t entry_bytes, std::size_t entries,
                  bool last);
  void between(const SegmentReport& segment, std::int64_t before);
  void progress(std::int64_t bytes);
  void defect(DefectKind kind, const fs::path& file, std::int64_t position, std::int64_t bytes,
              std::int64_t first, std::int64_t last, std::string what);

  const VerifyOptions& options_;
  VerifyReport& report_;
  IndexFile index_;
  IndexFile time_index_;
  Wishes positions_{{}};
  Wishes offsets_{{}};
  std::vector<BatchMark> marks_;  // of the batches that an index speaks of, in order
  std::int64_t done_ = 0;
  std::int64_t all_ = 0;
  std::int64_t told_ = 0;
};

void Verifier::defect(DefectKind kind, const fs::path& file, std::int64_t position, std::int64_t bytes,
                      std::int64_t first, std::int64_t last, std::string what) {
  report_.defects.push_back(Defect{kind, file, position, bytes, first, last, std::move(what)});
}

void Verifier::progress(std::int64_t bytes) {
  constexpr std::int64_t kStep = std::int64_t{16} << 20;
  done_ += bytes;
  if (!options_.progress || done_ - told_ < kStep) return;
  told_ = done_;
  options_.progress(done_, all_);
}

void Verifier::directory(const LogDirectory& directory) {
  std::int64_t next_offset = -1;
  for (const SegmentPaths& paths : directory.segments) {
    segment(paths, &paths == &directory.segments.back());
    if (paths.log.empty()) continue;
    const SegmentReport& done = report_.segments.back();
    if (next_offset >= 0) between(done, next_offset);
    next_offset = std::max(next_offset, done.next_offset);
  }
}

void Verifier::between(const SegmentReport& segment, std::int64_t before) {
  if (segment.base_offset > before) {
    report_.gaps.push_back(OffsetGap{segment.file, before, segment.base_offset});
  } else if (segment.base_offset < before) {
    defect(DefectKind::overlap, segment.file, 0, segment.bytes, segment.base_offset, before - 1,
           "the segment before ends at offset " + std::to_string(before - 1));
  }
}

void Verifier::segment(const SegmentPaths& paths, bool last) {
  if (paths.log.empty()) {
    const fs::path& index = paths.index.empty() ? paths.time_index : paths.index;
    defect(DefectKind::missing_log, index, 0, static_cast<std::int64_t>(fs::file_size(index)), -1, -1,
           "there is no log file beside this index");
    return;
  }
  SegmentReport segment;
  segment.file = paths.log;
  segment.base_offset = segment.next_offset = paths.base_offset;
  read_indexes(paths);
  log_file(paths.log, segment, last);
  if (!paths.index.empty()) offset_index(paths.index, segment, last);
  if (!paths.time_index.empty()) time_index(paths.time_index, segment, last);
  report_.segments.push_back(std::move(segment));
}

void Verifier::read_indexes(const SegmentPaths& paths) {
  index_ = time_index_ = {};
  marks_.clear();
  std::vector<std::int64_t> positions;
  std::vector<std::int64_t> offsets;
  if (!paths.index.empty()) {
    index_.bytes = read_small_file(paths.index);
    index_.offsets = decode_offset_index(index_.bytes, paths.base_offset);
    for (const OffsetPosition& entry : index_.offsets) positions.push_back(entry.position);
  }
  if (!paths.time_index.empty()) {
    time_index_.bytes = read_small_file(paths.time_index);
    time_index_.times = decode_time_index(time_index_.bytes, paths.base_offset);
    for (const TimestampOffset& entry : time_index_.times) offsets.push_back(entry.offset);
  }
  positions_ = Wishes(std::move(positions));
  offsets_ = Wishes(std::move(offsets));
}

void Verifier::log_file(const fs::path& path, SegmentReport& segment, bool last) {
  const Fd fd = open_log_file(path);
  segment.bytes = check_size(FdSource(fd.get()).size(), path);
  ScanOptions options;
  options.gaps = options_.compacted || options_.foreign;
  options.epochs_may_rise = options_.foreign;
  options.check_records = options_.check_records;
  SegmentScanner scanner(fd.get(), segment.base_offset, options);
  const bool excused = options_.active && last;
  for (ScanEvent event = scanner.next(); event != ScanEvent::end; event = scanner.next()) {
    if (event == ScanEvent::batch) {
      batch(scanner, segment);
    } else {
      bad_region(path, scanner.bad(), excused);
    }
  }
  segment.next_offset = scanner.next_offset();
  tail(scanner, segment, excused);
}

void Verifier::batch(const SegmentScanner& scanner, SegmentReport& segment) {
  const BatchSummary& summary = scanner.batch().summary();
  ++segment.batches;
  segment.records += summary.record_count;
  segment.valid_bytes += summary.bytes;
  segment.max_timestamp_ms = std::max(segment.max_timestamp_ms, summary.max_timestamp_ms);
  const bool of_offset_index = positions_.granted(scanner.batch_position());
  const bool of_time_index = offsets_.granted(summary.last_offset);
  if (of_offset_index || of_time_index) {
    marks_.push_back(
        {summary.last_offset, scanner.batch_position(), summary.max_timestamp_ms, segment.max_timestamp_ms});
  }
  progress(summary.bytes);
}

void Verifier::bad_region(const fs::path& path, const BadRegion& bad, bool excused) {
  const bool torn = bad.next_offset < 0;
  if (torn && excused) return;
  std::string what(text(bad.error));
  if (bad.bytes == 0) what = "offsets are missing between two batches";
  defect(torn ? DefectKind::torn_tail : DefectKind::bad_batch, path, bad.position, bad.bytes,
         bad.first_offset, torn ? -1 : std::max(bad.first_offset, bad.next_offset - 1), std::move(what));
}

void Verifier::tail(const SegmentScanner& scanner, SegmentReport& segment, bool excused) {
  const std::int64_t zeros = scanner.zero_tail_bytes();
  if (zeros == 0 || excused) return;
  defect(DefectKind::zero_tail, segment.file, segment.bytes - zeros, zeros, -1, -1,
         "zeros behind the last batch");
}

// Nothing may follow the entries of an index file: neither a part of one nor zeros.
void Verifier::index_tail(const fs::path& path, std::size_t size, std::size_t entry_bytes,
                          std::size_t entries, bool last) {
  const std::size_t used = entries * entry_bytes;
  if (size == used || (options_.active && last)) return;
  const bool torn = size - used < entry_bytes;
  defect(torn ? DefectKind::torn_index : DefectKind::zero_tail, path, static_cast<std::int64_t>(used),
         static_cast<std::int64_t>(size - used), -1, -1,
         torn ? "the file ends in the middle of an entry" : "zeros behind the last entry");
}

void Verifier::offset_index(const fs::path& path, SegmentReport& segment, bool last) {
  const auto& entries = index_.offsets;
  segment.index_entries = std::ssize(entries);
  index_tail(path, index_.bytes.size(), sizeof(OffsetIndexEntry), entries.size(), last);
  OffsetPosition before{segment.base_offset - 1, -1};
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const OffsetPosition& entry = entries[i];
    const auto at = static_cast<std::int64_t>(i * sizeof(OffsetIndexEntry));
    const auto complain = [&](std::string what) {
      defect(DefectKind::offset_index, path, at, sizeof(OffsetIndexEntry), entry.offset, entry.offset,
             std::move(what));
    };
    const auto mark =
        std::lower_bound(marks_.begin(), marks_.end(), entry.position,
                         [](const BatchMark& m, std::int64_t position) { return m.position < position; });
    if (entry.offset <= before.offset || entry.position <= before.position) {
      complain("the entry does not increase over the one before");
    } else if (mark == marks_.end() || mark->position != entry.position) {
      complain("no batch starts at position " + std::to_string(entry.position));
    } else if (mark->last_offset != entry.offset) {
      complain("the batch at position " + std::to_string(entry.position) + " ends at offset " +
               std::to_string(mark->last_offset));
    }
    before = entry;
  }
}

void Verifier::time_index(const fs::path& path, SegmentReport& segment, bool last) {
  const auto& entries = time_index_.times;
  segment.time_index_entries = std::ssize(entries);
  index_tail(path, time_index_.bytes.size(), sizeof(TimeIndexEntry), entries.size(), last);
  TimestampOffset before{kNoTimestamp, segment.base_offset - 1};
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const TimestampOffset& entry = entries[i];
    const auto at = static_cast<std::int64_t>(i * sizeof(TimeIndexEntry));
    const auto complain = [&](std::string what) {
      defect(DefectKind::time_index, path, at, sizeof(TimeIndexEntry), entry.offset, entry.offset,
             std::move(what));
    };
    const auto mark =
        std::lower_bound(marks_.begin(), marks_.end(), entry.offset,
                         [](const BatchMark& m, std::int64_t offset) { return m.last_offset < offset; });
    if (entry.timestamp_ms <= before.timestamp_ms || entry.offset <= before.offset) {
      complain("the entry does not increase over the one before");
    } else if (mark == marks_.end() || mark->last_offset != entry.offset) {
      complain("no batch ends at offset " + std::to_string(entry.offset));
    } else if (mark->max_timestamp_ms != entry.timestamp_ms) {
      complain("the batch's largest timestamp is " + std::to_string(mark->max_timestamp_ms) +
               ", the entry says " + std::to_string(entry.timestamp_ms));
    } else if (mark->largest_so_far_ms != entry.timestamp_ms) {
      complain("an earlier batch has the timestamp " + std::to_string(mark->largest_so_far_ms));
    }
    before = entry;
  }
}

}  // namespace

std::string_view name(DefectKind kind) noexcept {
  switch (kind) {
    case DefectKind::bad_batch:
      return "bad batch";
    case DefectKind::torn_tail:
      return "torn tail";
    case DefectKind::zero_tail:
      return "zero tail";
    case DefectKind::offset_index:
      return "offset index mismatch";
    case DefectKind::time_index:
      return "time index mismatch";
    case DefectKind::torn_index:
      return "torn index";
    case DefectKind::missing_log:
      return "missing log file";
    case DefectKind::overlap:
      return "overlapping segments";
  }
  return "defect";
}

std::string Defect::sentence() const {
  std::string out = file.string() + ": " + std::string(name(kind)) + ": " + what;
  if (first_offset >= 0 && last_offset > first_offset) {
    out += ", offsets " + std::to_string(first_offset) + " to " + std::to_string(last_offset);
  } else if (first_offset >= 0) {
    out += (last_offset < 0 ? ", from offset " : ", offset ") + std::to_string(first_offset);
  }
  if (bytes == 0) return out + ", at byte " + std::to_string(position) + ".";
  return out + ", bytes " + std::to_string(position) + " to " + std::to_string(position + bytes - 1) + ".";
}

VerifyReport verify(const fs::path& path, const VerifyOptions& options) {
  VerifyReport report;
  Verifier verifier(options, report);
  const std::vector<LogDirectory> directories = find_log_files(path);
  for (const LogDirectory& directory : directories) verifier.count(directory.log_bytes);
  for (const LogDirectory& directory : directories) verifier.directory(directory);
  if (options.progress) options.progress(1, 1);
  return report;
}

}  // namespace busway::log
