// What the daemon must remember of topics: their ids, partitions, settings, and for each partition what is
// `granted` and its epoch. An append-only log of changes.
//
// File: <data>/__busway_metadata-0/<first offset, 20 digits>.log, Kafka record batches (bus/log), so that
// `busway log dump` shows it. Keys and values are text:
//   topic/<name>             {"uuid":"...","partitions":4,"settings":{"retention.ms":"86400000"}}
//   topic/<name>             no value (tombstone): deleted
//   partition/<uuid>/<n>     {"granted":65536,"epoch":0}
//   deletion/<uuid>          {"name":"...","partitions":4}: of a deleted topic whose directories may be there
//   deletion/<uuid>          no value: they have gone
// A batch holds the changes that were committed together: all of it counts, or nothing.
//
// Model: the file begins with a snapshot of everything in one batch; changes follow. Each start, and any file
// grown large, begins a new file: written aside, synced, renamed, directory synced, then the old one goes. So
// the newest file is whole up to a torn tail. A failed sync is never repeated on a file: a new file is begun;
// if that fails too, every further change fails with the same cause.
//
// The old one goes on as "spare": the next file is written over it, and each has kFileBytes reserved. So
// starting a worker, deleting a topic and granting offsets need no room on a disk that has none.
//
// Group commit: one thread writes and syncs all changes that came in meanwhile, in the order they came.
//
// Thread safety: every call from any thread, except load().
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include <busway/types.hpp>

#include "bus/base/ids.hpp"
#include "daemon/disk.hpp"
#include "daemon/file_system.hpp"

namespace busway::daemon {

struct PartitionMetadata {
  Offset granted = 0;  ///< no offset at or above may be published
  Epoch epoch{0};
  friend bool operator==(const PartitionMetadata&, const PartitionMetadata&) = default;
};

struct TopicMetadata {
  Uuid uuid;
  std::uint32_t partitions = 0;
  std::map<std::string, std::string> settings;  ///< only those that were given
  std::vector<PartitionMetadata> state;         ///< of each partition
  friend bool operator==(const TopicMetadata&, const TopicMetadata&) = default;
};

/// By topic name.
using MetadataState = std::map<std::string, TopicMetadata>;

/// A topic is new, has new settings, or more partitions. Its partitions' states stay as they are.
struct TopicSet {
  std::string name;
  Uuid uuid;
  std::uint32_t partitions = 0;
  std::map<std::string, std::string> settings;
};
struct TopicDeleted {
  std::string name;
};
/// Of a deleted topic, whose directories may still be there: committed with the deletion, so that whoever
/// starts next goes on with it.
struct DeletionSet {
  Uuid topic;
  std::string name;
  std::uint32_t partitions = 0;
  friend bool operator==(const DeletionSet&, const DeletionSet&) = default;
};
struct DeletionDone {
  Uuid topic;
};
/// Ignored if no topic has this uuid any more.
struct PartitionSet {
  Uuid topic;
  std::uint32_t partition = 0;
  PartitionMetadata state;
};
using MetadataChange = std::variant<TopicSet, TopicDeleted, DeletionSet, DeletionDone, PartitionSet>;

class MetadataLog {
 public:
  static constexpr std::string_view kDirectory = "__busway_metadata-0";

  enum class Committer : std::uint8_t {
    own_thread,
    in_caller,  ///< for tests that want a fixed order of I/O
  };

  /// A file begins anew at this size, or at four times its snapshot.
  static constexpr std::uint64_t kFileBytes = std::uint64_t{1} << 20;

  /// Reads what is there and begins a new file. Throws errc::corrupt when the snapshot does not check out,
  /// errc::io, errc::disk_full.
  MetadataLog(FileSystem& file_system, const std::string& data_directory, Committer committer,
              std::uint64_t file_bytes = kFileBytes);
  /// Commits what was queued.
  ~MetadataLog();
  MetadataLog(const MetadataLog&) = delete;
  MetadataLog& operator=(const MetadataLog&) = delete;

  /// Everything that is durable now.
  MetadataState state() const;
  /// Likewise: deletions that are not known to be done.
  std::vector<DeletionSet> deletions() const;

  /// Durable on return, all of it or nothing. Throws errc::io, errc::disk_full.
  void append(std::vector<MetadataChange> changes);

  /// Returns at once; `done` gets 0 once the changes are durable, or errno. It is called on the committing
  /// thread, in the order of queue(): keep it short, call nothing of this log.
  using Done = std::function<void(int error)>;
  void queue(std::vector<MetadataChange> changes, Done done);

 private:
  struct Core;
  std::unique_ptr<Core> core_;
};

}  // namespace busway::daemon
