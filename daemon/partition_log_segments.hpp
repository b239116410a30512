// The segments of one partition as readers, retention and the server see them, and what they share with the
// janitor.
//
// Model: the drain thread adds a segment when it rolls; the janitor removes segments from the front when
// retention takes them, and puts one rewritten segment in the place of others after a failed sync. Everybody
// else only looks. Files are opened anew for each reader and belong to him afterwards.
//
// Thread safety: every call from any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include <busway/types.hpp>

#include "bus/log/names.hpp"
#include "daemon/file_system.hpp"

namespace busway::daemon {

/// One segment. `next_base` of the last one is kOpenEnd: it still grows.
struct SegmentInfo {
  static constexpr Offset kOpenEnd = -1;
  Offset base = 0;
  Offset next_base = kOpenEnd;
  std::uint64_t bytes = 0;             ///< of valid batches; of the last segment: when it was last looked at
  std::int64_t max_timestamp_ms = -1;  ///< of its records, once it no longer grows; -1: none
  bool sealed = false;                 ///< durable, trimmed, its indexes complete: retention may take it
};

/// What a reader gets. `index` and `time_index` may be empty Files: then he searches from the beginning.
struct SegmentForReader {
  Offset base = 0;
  Offset next_base = SegmentInfo::kOpenEnd;
  File log;
  File index;
  File time_index;
};

class SegmentList {
 public:
  SegmentList(std::string directory, std::vector<SegmentInfo> segments, Offset log_start);

  /// The first offset that the log still has. Loaded with acquire by whoever shows it to clients.
  Offset log_start() const noexcept { return log_start_.load(std::memory_order_acquire); }
  const std::string& directory() const noexcept { return directory_; }
  std::string path(Offset base, log::SegmentFile kind) const;

  /// Read-only descriptors of up to `most` segments from the one that holds `offset` on (or the first one
  /// behind it). Segments that retention deletes meanwhile are left out. Throws errc::io,
  /// errc::limit_reached.
  std::vector<SegmentForReader> open_from(FileSystem& file_system, Offset offset, std::size_t most) const;
  /// The same for the first segment whose records may be as late as `timestamp_ms`.
  std::vector<SegmentForReader> open_from_time(FileSystem& file_system, std::int64_t timestamp_ms,
                                               std::size_t most) const;
  std::vector<SegmentInfo> snapshot() const;
  /// Bytes of all segments.
  std::uint64_t bytes() const;

  // For PartitionLog, retention and the janitor.

  /// The last segment ends at `base`, where a new one begins.
  void begin_segment(Offset base);
  /// Bytes of the last segment, so that retention.bytes and metrics see it grow.
  void set_last_bytes(std::uint64_t bytes);
  /// The segment is complete.
  void seal(Offset base, std::uint64_t bytes, std::int64_t max_timestamp_ms);
  /// The last segment takes no further batches though none follows: it ends at `end`.
  void close_last(Offset end);
  /// The last segment was removed: it held nothing.
  void remove_last(Offset base);
  /// Segments from `base` on are gone; one that begins there holds their records.
  void replace_from(Offset base, std::uint64_t bytes);
  /// The log starts at `offset` now; drops the segments below and returns them.
  std::vector<SegmentInfo> advance_log_start(Offset offset);

 private:
  std::vector<SegmentForReader> open(FileSystem& file_system, const std::vector<SegmentInfo>& wanted) const;

  const std::string directory_;
  std::atomic<Offset> log_start_;
  mutable std::mutex mutex_;
  std::vector<SegmentInfo> segments_;  // guarded by mutex_; in order of offsets
};

}  // namespace busway::daemon
