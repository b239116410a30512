// One partition's way from its rings to its log: reads slots in offset order, copies each frame once,
// checking as it goes, straight into a record batch in staging, and moves `written` and `durable` as the disk
// gets on.
//
// Invariants
// - What is checksummed and written is the private copy, never shared memory: a publisher can change its
// bytes under
//   our hands.
// - Offsets are drained in order, without a gap but one that is reported: a frame that does not check out, or
// bytes that
//   were overwritten before they were read (H23), take their offset with them as skipped.
// - `written` and `durable` only move to what the log says; the sleepers are rung afterwards.
//
// Threads: the drain thread owns it. Counters may be read by anybody.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bus/log/batch_encoder.hpp"
#include "bus/log/codec.hpp"
#include "bus/ring/read.hpp"
#include "daemon/bell_ringer.hpp"
#include "daemon/partition_log.hpp"
#include "daemon/topic_config.hpp"
#include "daemon/topic_memory.hpp"

namespace busway::daemon {

/// Counters of one partition, for statistics. Trivial: relaxed.
struct DrainCounters {
  std::atomic<std::uint64_t> records{0};
  std::atomic<std::uint64_t> bytes{0};  ///< of batches, as written
  std::atomic<std::uint64_t> batches{0};
  std::atomic<std::uint64_t> skipped{0};  ///< offsets that carry no record in the log
  std::atomic<std::uint64_t> syncs{0};
  std::atomic<std::uint64_t> clamped_timestamps{0};
};

/// What the drain tells the rest of the daemon. Called on the drain thread; must not block.
class DrainEvents {
 public:
  DrainEvents() = default;
  DrainEvents(const DrainEvents&) = delete;
  DrainEvents& operator=(const DrainEvents&) = delete;
  virtual ~DrainEvents() = default;

  /// Half a step of what is granted is left.
  virtual void grant_running_out(std::uint32_t ordinal) = 0;
  /// A frame of this lane did not check out.
  virtual void bad_frame(std::uint32_t ordinal, std::uint64_t offset, std::uint32_t lane) = 0;
  /// Offsets [from, to) were overwritten before they could be drained.
  virtual void gap(std::uint32_t ordinal, std::uint64_t from, std::uint64_t to) = 0;
  /// The log stalled, failed or recovered: marks already say so.
  virtual void health_changed(std::uint32_t ordinal, LogHealth health, int cause) = 0;
  /// Appending goes on in another segment file.
  virtual void active_segment(std::uint32_t ordinal, Offset base, const std::string& path) = 0;
};

struct DrainSetup {
  std::shared_ptr<PartitionMemory> memory;
  std::shared_ptr<LaneSet> lanes;
  std::unique_ptr<PartitionLog> log;
  TopicConfig config;
  BellRinger ringer;
  std::uint32_t ordinal = 0;
  std::uint64_t granted_step = 0;
  Epoch epoch{};
};

/// What a turn came to.
enum class DrainTurn : std::uint8_t {
  progress,  ///< something was appended: there may be more
  idle,      ///< nothing to read at present
  blocked,   ///< disk or staging have no room now
};

class PartitionDrain {
 public:
  PartitionDrain(DrainSetup setup, Disk& disk, StagingArena& staging, DrainEvents& events);
  PartitionDrain(const PartitionDrain&) = delete;
  PartitionDrain& operator=(const PartitionDrain&) = delete;
  ~PartitionDrain();

  /// Appends up to `bytes_most` bytes of records to the log.
  DrainTurn turn(std::int64_t now_ms, std::size_t bytes_most);
  /// A completion with this partition's ordinal as its tag.
  void complete(const DiskCompletion& completion);

  /// Somebody waits until everything published so far is durable.
  void want_sync() noexcept;
  /// When a sync may be due.
  struct SyncOccasion {
    bool hurry = false;  ///< staging is short, whatever the settings say
    bool alone = false;  ///< no other partition has anything to do
  };
  /// Submits a sync if one is wanted or due. Alone it is done at once, if syncs are quick here: handing it to
  /// another thread would take longer than to wait for it.
  void sync_if_due(std::int64_t now_ms, SyncOccasion occasion);
  /// When sync_if_due should be called at the latest, Unix ms; nothing: no sync is due by time.
  std::optional<std::int64_t> sync_due_ms() const noexcept;
  /// Every 100 ms or so while anything is undurable or the log is not running.
  void tick(std::int64_t now_ms);

  /// Anything in flight, undurable or wanted?
  bool busy() const noexcept;
  bool quiet_on_disk() const noexcept { return log_->in_flight() == 0; }
  /// A record is there that is not drained yet.
  bool pending() const noexcept;
  /// The last turn took all there was: behind a fence, nothing more will come.
  bool at_rest() const noexcept { return at_rest_; }
  /// The fence that ended the drain (not `grown`): nothing more will come. With its reason.
  std::optional<ring::FenceReason> ended() const noexcept { return ended_; }
  /// Rings everybody who sleeps for records: for publishers that died before they did.
  void ring_readers() noexcept { ringer_.ring(memory_->view.wait.records); }

  PartitionLog& log() noexcept { return *log_; }
  std::uint32_t ordinal() const noexcept { return ordinal_; }
  std::uint64_t next_offset() const noexcept { return next_; }
  void reconfigure(const TopicConfig& config);
  /// Forgets a lane that is being retired.
  void forget_lane(LaneId id) noexcept;
  /// The grant has been raised (control thread has stored it in marks).
  void grant_raised() noexcept { grant_asked_ = false; }
  const std::shared_ptr<DrainCounters>& counters() const noexcept { return counters_; }
  std::int64_t last_active_ms() const noexcept { return last_active_ms_; }

 private:
  /// What became of one offset.
  enum class Taken : std::uint8_t { one, batch_full, nothing_yet, no_room };

  Taken take(std::int64_t now_ms);
  void take_run(std::int64_t now_ms);
  Taken take_frame(std::uint64_t word, std::int64_t now_ms);
  Taken append_frame(const ring::Found& found, std::span<const std::byte> frame, std::int64_t now_ms);
  Taken meet_fence(std::uint64_t word);
  Taken skip_bad_frame(std::uint32_t lane);
  Taken skip_overwritten(std::uint64_t reclaimed);
  Taken skip_one();
  bool overtaken() const noexcept;
  ring::LaneSpan resolve(std::uint32_t lane, std::uint32_t generation);
  struct TimestampBounds {
    std::int64_t earliest;
    std::int64_t latest;
  };
  TimestampBounds timestamp_bounds(std::int64_t now_ms) const noexcept;
  std::int64_t bounded_timestamp(std::int64_t timestamp_ms, std::int64_t now_ms);
  bool begin_batch(std::size_t bytes);
  bool finish_batch();
  bool append_unsent();
  void compress(log::BatchSummary& summary);
  void publish_written();
  void publish_durable();
  void publish_health();
  void check_grant();
  bool sync_at_once();
  void note_active_segment();

  struct Unsent {
    log::BatchSummary summary;
    Staged staged;
  };

  std::shared_ptr<PartitionMemory> memory_;
  std::shared_ptr<LaneSet> lanes_;
  std::unique_ptr<PartitionLog> log_;
  TopicConfig config_;
  BellRinger ringer_;
  Disk& disk_;
  StagingArena& staging_;
  DrainEvents& events_;
  std::uint32_t ordinal_;
  std::uint64_t granted_step_;
  Epoch epoch_;

  std::uint64_t next_ = 0;  ///< the offset that is taken next
  std::shared_ptr<HeldRing> ring_;
  std::vector<std::shared_ptr<HeldLane>> lane_cache_;  ///< by lane id
  log::BatchEncoder encoder_;
  std::span<std::byte> batch_;    ///< the room of the batch that is being encoded; empty: none has begun
  std::optional<Unsent> unsent_;  ///< a finished batch that the log did not take yet
  std::unique_ptr<log::Compressor> compressor_;
  std::vector<std::byte> compress_buffer_;

  std::uint64_t sync_wanted_ = 0;  ///< everything below is to be durable soon
  std::int64_t unsynced_since_ms_ = -1;
  int slow_syncs_ = 0;         ///< how often syncs that were waited for took long; see sync_at_once()
  std::uint64_t written_ = 0;  ///< as marks say
  std::uint64_t durable_ = 0;
  LogHealth health_ = LogHealth::running;
  std::uint32_t active_file_ = 0;  // PartitionLog::active_file() that was announced
  bool grant_asked_ = false;
  bool at_rest_ = false;
  std::optional<ring::FenceReason> ended_;
  std::int64_t last_active_ms_ = 0;
  std::shared_ptr<DrainCounters> counters_ = std::make_shared<DrainCounters>();
};

}  // namespace busway::daemon
