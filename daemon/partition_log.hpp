// The writing side of one partition: encoded batches in, `written` and `durable` out.
//
// Model. A batch lies in staging from append() until it is durable. append() gives it its place at the end of
// the active segment and submits one write; completions come back through complete() in any order, and
// `written` moves over their contiguous prefix. A sync covers what was `written` when it was submitted; when
// all its parts (the segments concerned, the directory if it has new names) are complete, `durable` moves
// there and staging is released. Nobody else may write to these files.
//
// Segments roll by segment.bytes, segment.ms, 32-bit relative offsets, a new epoch and a jump. The next file
// is prepared, full ones are sealed (indexes, trimmed tail, checkpoint) by the janitor, so the drain thread
// creates a file itself only when the janitor is late.
//
// Failure. No room (ENOSPC, EDQUOT, no descriptors): stalled; tick() tries again. Any other failed write, and
// every failed sync: that file is never written or synced again; once nothing is in flight everything not
// durable is written from staging to a new segment, synced, and put into place by a rename that recovery can
// finish. If that fails too the partition is `failed`.
//
// Thread safety: the drain thread owns it. files() may be used from anywhere.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include <busway/types.hpp>

#include "bus/log/batch_format.hpp"
#include "daemon/disk.hpp"
#include "daemon/janitor.hpp"
#include "daemon/partition_log_files.hpp"
#include "daemon/partition_log_window.hpp"
#include "daemon/recovery.hpp"
#include "daemon/staging.hpp"
#include "daemon/topic_config.hpp"

namespace busway::daemon {

/// What a partition's log works with; all of it outlives the log.
struct StoreContext {
  FileSystem& files;
  Disk& disk;
  StagingArena& staging;
  Janitor& janitor;
};

enum class [[nodiscard]] AppendOutcome : std::uint8_t{
    appended,
    busy,     ///< the disk has no place for a further operation: reap, then again
    stalled,  ///< no room on the disk, or a rewrite is due: see health(); again after tick()
    failed,   ///< see cause()
};

enum class [[nodiscard]] SyncOutcome : std::uint8_t{
    clean,      ///< everything is durable already
    submitted,  ///< `durable` moves when complete() has seen all of it (sync_now(): it has moved)
    under_way,  ///< an earlier sync is not complete yet, or (sync_now()) something is in flight
    busy,       ///< the disk has no place: reap, then again
    stalled,    ///< as in AppendOutcome
    failed,
};

enum class LogHealth : std::uint8_t { running, stalled, failed };

class PartitionLog {
 public:
  /// `tag` marks this log's tokens on the disk: see tag_of(). Opens the active segment. Throws errc::io.
  PartitionLog(const StoreContext& context, std::uint32_t tag, const TopicConfig& config,
               RecoveredLog recovered, const std::string& directory);
  /// Releases staging, unless something is in flight; makes nothing durable: that is close().
  ~PartitionLog();
  PartitionLog(const PartitionLog&) = delete;
  PartitionLog& operator=(const PartitionLog&) = delete;

  /// Whose completion this is.
  static constexpr std::uint32_t tag_of(std::uint64_t token) noexcept {
    return static_cast<std::uint32_t>(token >> 32);
  }

  /// Submits the write of a batch that begins at log_end(). `staged` is the log's if it was appended, else
  /// still the caller's.
  AppendOutcome append(const log::BatchSummary& batch, const Staged& staged);
  /// The same with a write that is complete on return: for a lone durable publish.
  AppendOutcome append_now(const log::BatchSummary& batch, const Staged& staged);
  /// Takes in a completion with this log's tag.
  void complete(const DiskCompletion& completion);

  /// Submits the syncs that make everything `written` durable.
  SyncOutcome sync();
  /// The same, complete on return; only while nothing of this log is in flight.
  SyncOutcome sync_now();

  /// The next batch begins at `offset`, in a fresh segment. Everything must be durable, and `offset` not
  /// below log_end(). Throws errc::io.
  void jump(Offset offset);
  /// To be called every 100 ms or so: tries again after a stall, closes an active segment whose records are
  /// all past retention.ms.
  void tick(std::int64_t now_ms);
  /// Settings that may change while the log is open.
  void reconfigure(const TopicConfig& config) { config_ = config; }
  /// Clean stop: syncs, completes the indexes, trims what was preallocated, and moves the checkpoint to the
  /// end. Nothing may be in flight. errno; 0 = every record is durable, though the rest may have failed (on a
  /// full disk, say): the janitor reports it, and the next recovery makes up for it. Waits for the janitor.
  /// The log is not used afterwards.
  int close();

  /// Where the next batch begins.
  Offset log_end() const noexcept { return log_end_; }
  Offset written() const noexcept { return written_; }
  Offset durable() const noexcept { return durable_; }
  LogHealth health() const noexcept { return health_; }
  /// errno behind `stalled` or `failed`.
  int cause() const noexcept { return cause_; }
  /// Operations submitted and not yet complete.
  std::uint32_t in_flight() const noexcept { return writes_in_flight_ + syncs_in_flight_; }
  /// Another number whenever another file is appended to, even one with the same base: then the keeper needs
  /// a descriptor of the new one.
  std::uint32_t active_file() const noexcept { return files_opened_; }
  /// Of the segment that is appended to, -1: none yet.
  Offset active_base() const noexcept { return open_.empty() ? -1 : open_.back().base; }
  std::string active_path() const;
  /// For readers, retention and metrics, on any thread; may outlive the log.
  const std::shared_ptr<PartitionFiles>& files() const noexcept { return files_; }

 private:
  // A segment that is not sealed yet. The last one is active.
  struct OpenSegment {
    Offset base = 0;
    Offset next_base = SegmentInfo::kOpenEnd;
    File file;
    std::uint64_t bytes = 0;      // given out to batches
    std::uint64_t allocated = 0;  // the file system has set aside so much
    std::int64_t opened_ms = 0;
    Epoch epoch{};
    std::int64_t max_timestamp_ms = -1;
    bool dirty = false;                 // something was written since the last sync was submitted
    bool prepared_next = false;         // its successor was asked for
    std::shared_ptr<IndexFiles> index;  // once its index is complete
  };
  // A batch that is not durable yet.
  struct Pending {
    log::BatchSummary batch;
    Staged staged;
    std::uint64_t position = 0;
    std::uint32_t segment = 0;  // number since the log was opened
    int error = 0;
    bool done = false;
  };
  // Low 32 bits of a token: a write's sequence number, or this.
  static constexpr std::uint32_t kSyncTicket = 0x80000000;
  static constexpr std::uint32_t kSequenceMask = 0x7FFFFFFF;

  // Appending (partition_log.cpp)
  AppendOutcome check_append(const log::BatchSummary& batch);
  bool must_roll(const log::BatchSummary& batch) const;
  void place(const log::BatchSummary& batch, const Staged& staged);
  int start_segment(Offset base, Epoch epoch);
  void reserve_ahead(OpenSegment& segment) noexcept;
  int open_next_file(Offset base, File& file, std::uint64_t& allocated);
  int make_partition_directory();
  int remove_empty_active();
  void prepare_next();
  void end_active();
  std::uint64_t write_token(std::uint32_t sequence) const noexcept;
  OpenSegment& open_segment(std::uint32_t number) { return open_[number - first_open_]; }
  std::uint32_t last_open() const noexcept {
    return first_open_ + static_cast<std::uint32_t>(open_.size()) - 1;
  }

  // Completing (partition_log_sync.cpp)
  void complete_write(std::uint32_t sequence, int error);
  void complete_sync(int error);
  SyncOutcome check_sync();
  bool submit_part(int fd, SyncKind kind);
  void advance_written();
  void advance_durable();
  std::shared_ptr<IndexFiles> make_index_files(Offset base, std::uint64_t index_bytes,
                                               std::uint64_t time_index_bytes) const;
  void begin_index(std::uint32_t number);
  void take_index();
  void finish_index();
  void seal_durable_segments();
  void submit_seal(OpenSegment& segment, Offset end);
  void seal_for_close();

  // Failing (partition_log_failure.cpp)
  static bool is_passing(int error) noexcept;
  void on_write_error(int error);
  void stall(int error);
  void fail_file(int error);
  void fail_partition(int error);
  void settle();
  void retry();
  void rewrite();
  int write_replacement(const std::string& path, File& file);
  int put_in_place(const std::string& path, Offset base, File& file);
  int sync_names();
  void adopt_replacement(File file, Offset base);
  void drop_superseded(Offset base);
  void release_all();

  StoreContext context_;
  TopicConfig config_;
  std::shared_ptr<PartitionFiles> files_;
  const std::uint32_t tag_;

  Offset log_end_ = 0;
  Offset written_ = 0;
  Offset durable_ = 0;
  Offset sync_target_ = 0;
  bool fresh_segment_ = false;  // the next batch begins one
  bool names_dirty_ = false;    // the directory has names that were not synced
  bool rewrite_due_ = false;    // a write or sync failed: no file that is not durable may be trusted
  bool rewrite_tried_ = false;  // from now on only tick() tries again
  bool retried_ = false;        // tick() has tried since the stall
  LogHealth health_ = LogHealth::running;
  int cause_ = 0;
  int sync_error_ = 0;

  std::uint32_t files_opened_ = 0;
  std::deque<OpenSegment> open_;
  std::uint32_t first_open_ = 0;      // number of open_.front()
  RingQueue<Pending> window_;         // not durable, in order of offsets
  std::uint32_t first_sequence_ = 0;  // of window_.front()
  std::size_t done_prefix_ = 0;       // so many of window_ are below written_
  std::uint32_t writes_in_flight_ = 0;
  std::uint32_t syncs_in_flight_ = 0;
  File directory_file_;  // open while a sync of the directory is in flight
  log::SegmentIndexer indexer_{0};
  std::shared_ptr<IndexFiles> index_files_;  // of the segment that indexer_ is at
  std::uint32_t indexed_segment_ = 0;        // its number
};

}  // namespace busway::daemon
