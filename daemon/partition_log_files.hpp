// The files of a partition that the drain thread leaves to the janitor: indexes, the next segment, the
// checkpoint.
//
// IndexFiles and PreparedFile are handed from the drain thread to janitor jobs by shared pointers. The
// methods of IndexFiles are for the janitor alone, one job at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/file_system.hpp"
#include "daemon/partition_log_segments.hpp"
#include "daemon/recovery_checkpoint.hpp"

namespace busway::daemon {

/// The two index files of one segment while it grows. Entries that cannot be written stay pending and are
/// tried again with the next ones. Opened for each use: an idle partition costs no descriptors.
class IndexFiles {
 public:
  IndexFiles(FileSystem& file_system, std::string index_path, std::string time_index_path,
             std::uint64_t index_bytes, std::uint64_t time_index_bytes);

  /// Appends entries. The time index goes first: an offset index never knows more than it. Creates the files
  /// even if there is nothing to append. Throws errc::io, errc::disk_full.
  void append(const std::vector<std::byte>& index, const std::vector<std::byte>& time_index);
  /// Writes what is pending and syncs; if that fails the files are removed: a missing index is built anew at
  /// the next start, a short one would be believed.
  void finish();
  void remove();

 private:
  struct Part {
    std::string path;
    std::uint64_t bytes = 0;  // in the file
    std::vector<std::byte> pending;
  };
  void write(Part& part);

  FileSystem& file_system_;
  Part index_;
  Part time_index_;
};

/// The file that the next segment will be written to, made in advance. Every call from any thread.
class PreparedFile {
 public:
  static constexpr std::string_view kFileName = "next.prepared";

  /// True when there is none and none is being made: the caller then has it made.
  bool request();
  /// What request() asked for; an empty File: it could not be made.
  void put(File file, std::uint64_t allocated);
  struct Taken {
    File file;
    std::uint64_t allocated = 0;
  };
  std::optional<Taken> take();

 private:
  enum class State : std::uint8_t { none, requested, ready };
  std::mutex mutex_;
  State state_ = State::none;  // guarded by mutex_
  Taken ready_;                // guarded by mutex_
};

/// What the janitor, readers and retention share with a PartitionLog; outlives it by the last job.
struct PartitionFiles {
  PartitionFiles(FileSystem& file_system_in, const std::string& directory, std::vector<SegmentInfo> list,
                 Offset log_start, CheckpointValues values)
      : file_system(file_system_in),
        segments(directory, std::move(list), log_start),
        checkpoint(file_system_in, directory, values) {}
  FileSystem& file_system;
  SegmentList segments;
  Checkpoint checkpoint;
  PreparedFile prepared;
};

}  // namespace busway::daemon
