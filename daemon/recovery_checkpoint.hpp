// The checkpoint of a partition: where its log starts, and from where on a start after a crash must look at
// it.
//
// File: `checkpoint` in the partition's directory, one line of text with a CRC-32C of everything before it:
//   busway-checkpoint 1 log_start=0 recovery_point=8192 crc=0123abcd
// A checkpoint that is missing or does not check out costs a scan of all segments, nothing else: both numbers
// are lower bounds that the files themselves prove.
//
// Thread safety: Checkpoint: every call from any thread.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include <busway/types.hpp>

#include "daemon/file_system.hpp"
#include "daemon/recovery_lost.hpp"

namespace busway::daemon {

struct CheckpointValues {
  Offset log_start = 0;
  /// Everything below is durable, and the segments below are sealed with complete indexes.
  Offset recovery_point = 0;
  friend bool operator==(const CheckpointValues&, const CheckpointValues&) = default;
};

std::string print_checkpoint(const CheckpointValues& values);
/// Nothing when the text is not exactly what print_checkpoint makes.
std::optional<CheckpointValues> parse_checkpoint(std::string_view text);

class Checkpoint {
 public:
  static constexpr std::string_view kFileName = "checkpoint";

  Checkpoint(FileSystem& file_system, const std::string& directory, CheckpointValues values);

  /// What the file in a directory says; nothing when there is none that checks out.
  static std::optional<CheckpointValues> load(FileSystem& file_system, const std::string& directory);

  CheckpointValues values() const;
  /// Moves the numbers forward, never back, and makes the file say so before it returns. Throws errc::io,
  /// errc::disk_full; then the values in force are the old ones.
  void advance(std::optional<Offset> log_start, std::optional<Offset> recovery_point);

  /// advance() writes these down first: from then on nobody looks at their places again.
  void owe(LostOffsets lost);
  bool owes() const;

 private:
  FileSystem& file_system_;
  const std::string directory_;
  mutable std::mutex mutex_;
  CheckpointValues values_;          // guarded by mutex_
  std::optional<LostOffsets> owed_;  // guarded by mutex_
};

}  // namespace busway::daemon
