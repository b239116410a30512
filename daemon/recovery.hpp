// Brings the files of one partition back into a state that can be appended to, whatever happened to them.
//
// Rules (docs/data-directory.md):
//  - Everything that is looked at is synced first: what recovery counts as present must stay present.
//  - A bad batch with nothing valid behind it is a torn tail and is cut off.
//  - A bad region with valid batches behind it, or one below what is known to have been durable, is
//  corruption:
//    the bad bytes go to a quarantine file, the lost offsets are reported, every valid batch is kept (those
//    behind the region in segments of their own).
//  - Nothing that checks out is deleted or cut, with one exception: what the rings in shared memory still
//  hold
//    (at or above RecoveryOptions::in_rings_from) and what lies behind a hole there is drained again.
//  - Each step leaves files from which a further recovery reaches the same end.
//
// Thread safety: several partitions may be recovered at once; one partition by one thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <busway/types.hpp>

#include "bus/base/ids.hpp"
#include "bus/log/segment_index.hpp"
#include "daemon/file_system.hpp"
#include "daemon/partition_log_segments.hpp"
#include "daemon/recovery_checkpoint.hpp"
#include "daemon/recovery_lost.hpp"

namespace busway::daemon {

enum class RecoveryEventKind : std::uint8_t {
  torn_tail,         ///< cut off: nothing valid behind it
  lost_range,        ///< offsets [first_offset, next_offset) are lost; their bytes are in a quarantine file
  cut_for_rings,     ///< cut off although valid, because a hole lies before it and the rings still hold it
  superseded,        ///< cut off: a later segment holds the same records
  rebuilt_index,     ///< offset and time index of a segment were written anew
  rewrote_segment,   ///< a sync of it failed: its valid batches were copied to a new file
  finished_rewrite,  ///< a rewrite that the crash interrupted was finished
  removed_leftover,  ///< a file that was never part of the log
};

/// One thing that recovery found or did.
struct RecoveryEvent {
  RecoveryEventKind kind = RecoveryEventKind::torn_tail;
  std::string file;
  Offset first_offset = -1;
  Offset next_offset = -1;
  std::uint64_t position = 0;
  std::uint64_t bytes = 0;
  /// A whole sentence for the daemon's log: file, what, offsets, bytes.
  std::string sentence() const;
  /// Does this come with any crash of a worker, so that nobody has to look at it?
  bool usual() const noexcept {
    return kind == RecoveryEventKind::removed_leftover || kind == RecoveryEventKind::cut_for_rings ||
           kind == RecoveryEventKind::rebuilt_index;
  }
};

struct RecoveryOptions {
  /// The last stop was clean: only the last segment is looked at, and it must end where the checkpoint says.
  bool clean = false;
  /// `granted`: no batch can end above it. -1: unknown.
  Offset offset_limit = -1;
  /// The rings survived (same boot, same keeper): all below this was in the files, every record at or above
  /// it is still in a ring. Nothing: the rings are gone.
  std::optional<Offset> in_rings_from = std::nullopt;
  /// Known to have been durable; the checkpoint's recovery point counts as well.
  Offset durable = 0;
  /// The keeper's own descriptor of the active segment: a sync error that the last worker's descriptor
  /// swallowed is reported through it. -1: none.
  int keeper_fd = -1;
  std::int32_t index_interval_bytes = log::SegmentIndexer::kIntervalBytesDefault;
  /// Called now and then with bytes looked at and bytes to look at in all.
  std::function<void(std::uint64_t done, std::uint64_t all)> progress = {};
};

/// The segment that the log goes on in, as far as it has come.
struct ActiveSegment {
  Offset base = 0;
  std::uint64_t bytes = 0;
  Epoch epoch{};
  std::int64_t first_timestamp_ms = -1;
  log::SegmentIndexer indexer{0};  ///< knows everything in the index files; nothing to be taken
  std::uint64_t index_bytes = 0;
  std::uint64_t time_index_bytes = 0;
};

struct RecoveredLog {
  Offset log_start = 0;
  Offset log_end = 0;
  Epoch epoch{-1};                      ///< of the last batch; -1: there is none
  std::vector<SegmentInfo> segments;    ///< in order; all sealed, except the active one if there is one
  std::optional<ActiveSegment> active;  ///< nothing: the next batch begins a fresh segment
  CheckpointValues checkpoint;
  std::vector<RecoveryEvent> events;  ///< what this recovery found and did
  LostOffsets lost;                   ///< everything known to be lost, also from earlier
  bool lost_unsaved = false;          ///< for want of room: to be written down before the checkpoint moves
  std::uint64_t scanned_bytes = 0;
};

/// `directory` need not exist: that is an empty log. Throws errc::io or errc::disk_full when files cannot be
/// read or mended; what was mended until then stays.
RecoveredLog recover_partition(FileSystem& file_system, const std::string& directory,
                               const RecoveryOptions& options);

/// Where PartitionLog puts the segment from `base` on while it replaces one that cannot be synced. Under this
/// name it is complete and counts; recovery finishes what was begun.
std::string rewrite_path(const std::string& directory, Offset base);

/// Writes both indexes of a segment anew from its log file, synced. Returns the largest timestamp.
std::int64_t rebuild_indexes(FileSystem& file_system, const std::string& directory, Offset base,
                             std::int32_t index_interval_bytes);

}  // namespace busway::daemon
