// Checks and lists segment files and whole partition directories, without a daemon: what `busway log verify`
// and `busway log dump` print.
//
// Files that a daemon is appending to may show a torn or zero tail and indexes that lag behind. Nothing is
// changed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "bus/log/batch_view.hpp"
#include "bus/log/segment_index.hpp"

namespace busway::log {

enum class DefectKind : std::uint8_t {
  bad_batch,     ///< a batch or region of a log file; valid batches follow it
  torn_tail,     ///< a log file ends in a batch that is not whole; nothing valid follows
  zero_tail,     ///< a log or index file ends in zeros (preallocated; normal only while the daemon runs)
  offset_index,  ///< an entry of an offset index
  time_index,    ///< an entry of a time index
  torn_index,    ///< an index file is not a whole number of entries
  missing_log,   ///< an index file without its log file
  overlap,       ///< a segment starts below the end of the one before
};
[[nodiscard]] std::string_view name(DefectKind kind) noexcept;

/// One thing that does not check out.
struct Defect {
  DefectKind kind = DefectKind::bad_batch;
  std::filesystem::path file;
  std::int64_t position = 0;       ///< first byte
  std::int64_t bytes = 0;          ///< how many
  std::int64_t first_offset = -1;  ///< of the batch (or entry) concerned; -1: unknown
  std::int64_t last_offset = -1;   ///< likewise, inclusive
  std::string what;                ///< e.g. "checksum mismatch"
  /// A whole sentence: file, what, offsets, byte range.
  [[nodiscard]] std::string sentence() const;
};

/// What one log file holds.
struct SegmentReport {
  std::filesystem::path file;
  std::int64_t base_offset = 0;
  std::int64_t next_offset = 0;  ///< after the last valid batch
  std::int64_t bytes = 0;        ///< of the file
  std::int64_t valid_bytes = 0;  ///< in valid batches
  std::int64_t batches = 0;
  std::int64_t records = 0;
  std::int64_t max_timestamp_ms = kNoTimestamp;
  std::int64_t index_entries = 0;
  std::int64_t time_index_entries = 0;
};

/// Offsets between segments that no file holds: normal where the log end jumped (a new epoch) or retention
/// deleted.
struct OffsetGap {
  std::filesystem::path before;  ///< the log file behind the gap
  std::int64_t first_offset = 0;
  std::int64_t next_offset = 0;
};

struct VerifyReport {
  std::vector<SegmentReport> segments;
  std::vector<Defect> defects;
  std::vector<OffsetGap> gaps;
  bool ok() const noexcept { return defects.empty(); }
};

struct VerifyOptions {
  bool compacted = false;     ///< offsets may be missing inside segments
  bool foreign = false;       ///< written by Kafka itself: also epochs may change inside a segment
  bool check_records = true;  ///< decompress, and walk every record
  bool active =
      false;  ///< the daemon is running: zero tails and torn tails of the last segment are no defect
  /// Called now and then with bytes done and bytes in all.
  std::function<void(std::int64_t done, std::int64_t all)> progress;
};

/// Checks a .log file with the indexes beside it, a single index file with its log, a partition directory, or
/// a directory of partition directories. Throws busway::Error (io) if `path` cannot be read or is none of
/// these.
[[nodiscard]] VerifyReport verify(const std::filesystem::path& path, const VerifyOptions& options = {});

/// What dump() tells of. Unset functions are left out.
struct DumpSink {
  std::function<void(const std::filesystem::path& file)> file;
  std::function<void(std::int64_t position, const BatchView& batch)> batch;
  std::function<void(const RecordView& record)> record;
  std::function<void(const OffsetPosition& entry)> offset_entry;
  std::function<void(const TimestampOffset& entry)> time_entry;
  std::function<void(const Defect& defect)> defect;
};

/// Lists a .log, .index or .timeindex file, or all those of a directory (as verify() takes it) in order of
/// offsets. Goes on behind bad regions. Returns how many defects it met. Throws as verify() does.
std::int64_t dump(const std::filesystem::path& path, const DumpSink& sink, bool gaps = true);

}  // namespace busway::log
