// One topic: its settings, its partitions' logs, who is attached, and its shared memory while somebody is.
//
// A topic is *cold* (files and metadata only) until somebody attaches; then it is *warm*: logs are open,
// memory exists, its partitions are with the drain. It cools down again when nobody is attached and
// everything is durable. Cooling sets `granted` back to the log end behind a fence, so a topic that was cold
// when the machine crashed never jumps; one whose `granted` is beyond its log end when it is warmed up was
// warm at a crash, and jumps there under a new epoch: no offset is given twice.
//
// Threads: belongs to the control thread; what the drain shares with it is in PartitionMemory, LaneSet and
// PartitionFiles.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bus/control/messages.hpp"
#include "daemon/services.hpp"
#include "daemon/topic_memory.hpp"

namespace busway::daemon {

/// What one session has on a topic.
struct SessionUse {
  std::optional<std::uint32_t> bit;  ///< its sleeper bit
  std::uint32_t publishers = 0;      ///< attachments
  std::uint32_t subscribers = 0;
};

/// What an attachment gets.
struct Attached {
  std::optional<std::uint32_t> bit;
  std::optional<std::uint32_t> cell;
};

class Topic {
 public:
  Topic(Services& services, std::uint32_t id, std::string name, const TopicMetadata& metadata,
        TopicConfig config);
  Topic(const Topic&) = delete;
  Topic& operator=(const Topic&) = delete;

  std::uint32_t id() const noexcept { return id_; }
  const std::string& name() const noexcept { return name_; }
  const Uuid& uuid() const noexcept { return uuid_; }
  const TopicConfig& config() const noexcept { return config_; }
  std::uint32_t partitions() const noexcept { return static_cast<std::uint32_t>(partitions_.size()); }
  bool warm() const noexcept { return memory_ != nullptr; }
  bool logged() const noexcept { return config_.storage == TopicStorage::logged; }
  bool cooling() const noexcept { return cooling_; }
  TopicMemory& memory() noexcept { return *memory_; }
  const std::map<std::uint32_t, SessionUse>& uses() const noexcept { return uses_; }

  /// Opens the logs and makes the memory, charged to `uid`. Throws errc::budget_exceeded, errc::io, ...; then
  /// the topic is as cold as before.
  void warm_up(uid_t uid);
  /// Takes up the memory that an earlier worker left with the keeper. `entries`: all live ones of this topic.
  void take_up(const std::vector<EntryIndex>& entries);
  /// If nobody is attached and everything is durable, cools down and says true. `wait`: waits for that, a
  /// second or two.
  bool cool_down(bool wait);
  /// Fences every ring; records published so far are still drained.
  void fence_all(ring::FenceReason reason);
  /// After fence_all and a drain that finished: closes the logs, sets `granted` back. False: something could
  /// not be made durable; then nothing is set back.
  bool close_logs();
  /// The topic is being deleted: fenced, out of the drain, its memory dropped, its directories set aside and
  /// deleted.
  void destroy();

  /// Gives a session what an attachment needs; `previous`: what it had before a restart of the worker.
  Attached attach(std::uint32_t session, control::Role role,
                  const std::optional<control::PreviousAttachment>& previous);
  void detach(std::uint32_t session, control::Role role, const std::optional<std::uint32_t>& cell);
  /// The process of a session has ended, or it has said goodbye.
  void end_session(std::uint32_t session);

  /// Retires what can be retired.
  void retire();
  /// Raises the grant of a partition by a step, persisted first.
  void raise_grant(std::uint32_t partition);
  /// Memory topics: raises the grants that run out.
  void watch_grants();
  void reconfigure(const TopicConfig& config);
  /// Keeps a descriptor of the active segment with the keeper.
  void keep_segment(std::uint32_t partition, Offset base, const std::string& path);
  void apply_retention(std::int64_t now_ms);

  control::PartitionDescription describe(std::uint32_t partition);
  /// The partition's log as readers see it; nullptr for memory topics. The topic is warm.
  std::shared_ptr<PartitionFiles> files(std::uint32_t partition) const {
    return partitions_[partition].files;
  }
  /// What the drain counts; nullptr for memory topics and cold ones.
  std::shared_ptr<DrainCounters> counters(std::uint32_t partition) const {
    return partitions_[partition].counters;
  }
  const BellRinger& ringer() const noexcept { return ringer_; }
  /// Rings everybody who sleeps on any partition, for whatever reason.
  void ring_all() const;

 private:
  struct Partition {
    PartitionMetadata metadata;
    std::uint32_t ordinal = 0;
    std::shared_ptr<PartitionFiles> files;
    std::shared_ptr<DrainCounters> counters;
    std::optional<EntryIndex> kept_segment;
    // Of a cold partition, as far as known.
    Offset log_start = 0;
    Offset log_end = 0;
    std::uint64_t log_bytes = 0;
    std::uint32_t segments = 0;
    bool counted = false;  ///< these two are known
  };
  struct Opened {
    std::unique_ptr<PartitionLog> log;
    PartitionStart start;
    bool jumped = false;  ///< over offsets that may have been lost, into a new epoch
  };

  std::string directory(std::uint32_t partition) const;
  RecoveredLog recover(std::uint32_t partition, const RecoveryOptions& options) const;
  Opened open_log(std::uint32_t partition, const RecoveryOptions& options);
  Opened open_cold(std::uint32_t partition);
  void count_files(std::uint32_t partition);
  Opened take_up_log(std::uint32_t partition, int kept_segment_fd);
  void report(const RecoveredLog& recovered) const;
  /// Persists grants `ahead` of where the partitions start, and their epochs; durable on return.
  void set_grants(std::vector<PartitionStart>& starts, std::uint64_t ahead);
  void start_drain(std::uint32_t partition, std::unique_ptr<PartitionLog> log);
  std::vector<std::shared_ptr<PartitionDrain>> remove_drains();
  bool drained();
  void hand_out(const std::vector<PartitionStart>& starts);
  void release_warmth();
  void take_up_uses();
  void resume_cooling();
  std::optional<std::uint32_t> give_bit(std::uint32_t session, std::optional<std::uint32_t> previous);
  std::optional<std::uint32_t> give_cell(std::uint32_t session, std::optional<std::uint32_t> previous);
  void clear_cell(std::uint32_t cell);
  void forget_use(std::uint32_t session);

  Services& services_;
  const std::uint32_t id_;
  const std::string name_;
  const Uuid uuid_;
  TopicConfig config_;
  std::vector<Partition> partitions_;
  std::unique_ptr<TopicMemory> memory_;
  BellRinger ringer_;
  std::map<std::uint32_t, SessionUse> uses_;
  bool cooling_ = false;
};

}  // namespace busway::daemon
