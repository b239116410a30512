// What a segment file holds: runs of valid batches, and what lies between them. Internal to recovery.
//
// Thread safety: none needed, these are values and functions over files that nobody else writes.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <busway/types.hpp>

#include "bus/log/batch_format.hpp"
#include "bus/log/segment_index.hpp"
#include "daemon/file_system.hpp"

namespace busway::daemon {

/// Valid batches one behind the other, without a missing offset.
struct ScannedRun {
  std::uint64_t position = 0;
  std::uint64_t bytes = 0;
  Offset first_offset = 0;
  Offset next_offset = 0;
};

/// Bytes that are no valid batch, or (bytes = 0) offsets that are missing.
struct ScannedGap {
  std::uint64_t position = 0;
  std::uint64_t bytes = 0;
  Offset first_offset = 0;
  Offset next_offset = -1;  ///< of the valid batch behind it; -1: none follows
};

/// Where a scan may begin because the index says so, and what is known of the bytes before.
struct ScanStart {
  std::uint64_t position = 0;
  Offset next_offset = 0;         ///< base offset of the batch there
  std::uint64_t index_bytes = 0;  ///< of the index files that stay
  std::uint64_t time_index_bytes = 0;
  log::TimestampOffset last_time_entry;
};

struct ScanLimits {
  Offset next_base = -1;     ///< the next segment begins here; -1: this is the last
  Offset offset_limit = -1;  ///< no batch ends above; -1: unknown
  /// Stop at the first gap at or above: what comes is drained again. -1: the rings are gone.
  Offset in_rings_from = -1;
  std::int32_t index_interval_bytes = log::SegmentIndexer::kIntervalBytesDefault;
};

struct SegmentScan {
  Offset base = 0;
  std::uint64_t file_bytes = 0;
  /// At least one; the first begins at the start of the file and may be empty. runs[i] and runs[i + 1] lie
  /// around gaps[i]; there may be one gap more, at the end.
  std::vector<ScannedRun> runs;
  std::vector<ScannedGap> gaps;
  /// From here on the file holds what the next segment holds as well, up to superseded_end.
  std::optional<std::uint64_t> superseded_from;
  Offset superseded_end = -1;
  bool cut_for_rings = false;  ///< the scan stopped at a gap because of in_rings_from
  std::int32_t epoch = -1;     ///< of the first batch; -1: there is none
  std::int64_t first_timestamp_ms = -1;
  std::uint64_t scanned_bytes = 0;
  ScanStart start;
  log::SegmentIndexer indexer{0};  ///< told of the first run; entries from `start` on are to be taken

  const ScannedRun& kept() const noexcept { return runs.front(); }
  bool has_tail_gap() const noexcept { return gaps.size() == runs.size(); }
};

/// Throws errc::io.
SegmentScan scan_segment(const File& file, Offset base, const ScanLimits& limits, const ScanStart& start,
                         const std::function<void(std::uint64_t bytes)>& progress);

/// The last index entry below `trusted_to`, if the indexes are in order and the batch there is what the entry
/// says. Everything before it is taken on trust: for a clean stop, or files that the page cache still has.
std::optional<ScanStart> find_scan_start(FileSystem& file_system, const std::string& directory,
                                         const File& file, Offset base, Offset trusted_to);

/// The header of the batch at the start of a file, if it makes sense.
std::optional<log::BatchSummary> first_batch(const File& file);

/// Largest timestamp according to the time index; -1: no entry.
std::int64_t last_indexed_timestamp(FileSystem& file_system, const std::string& directory, Offset base);

}  // namespace busway::daemon
