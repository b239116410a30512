// What retention.ms and retention.bytes delete, and how files go without anybody noticing.
//
// Order: the new log start is announced (`marks`), then made durable in the checkpoint, then files are
// truncated and unlinked. A crash in between leaves files below the log start, which recovery removes.
// Truncated first: a reader that stopped with a descriptor open would otherwise hold the space.
// cleanup.policy=compact is not built; the topic settings refuse it.
//
// Thread safety: one call for a partition at a time; run it on the janitor.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "daemon/partition_log_files.hpp"
#include "daemon/topic_config.hpp"

namespace busway::daemon {

/// Where the log would start: behind the sealed segments, from the first one on, whose records are all older
/// than retention.ms, or without which at least retention.bytes are left. Kafka's rules.
Offset retention_target(std::span<const SegmentInfo> segments, Offset log_start, const TopicConfig& config,
                        std::int64_t now_ms);

struct RetentionResult {
  Offset log_start = 0;
  std::uint64_t segments = 0;  ///< deleted
  std::uint64_t bytes = 0;     ///< given back
};

/// Deletes what retention_target says. `announce` gets the new log start before anything is deleted. Throws
/// errc::io, errc::disk_full; what was not deleted goes at the next call.
RetentionResult apply_retention(PartitionFiles& files, const TopicConfig& config, std::int64_t now_ms,
                                const std::function<void(Offset log_start)>& announce);

/// Suffix of a partition directory whose topic is deleted.
inline constexpr std::string_view kDeletedSuffix = ".deleted";

/// Suffix of one that was there when a topic of that name was created, and belonged to none. It is kept.
inline constexpr std::string_view kOrphanSuffix = ".orphan";

/// Takes a partition's directory out of the way: renamed on return, durably, so that a new topic may have the
/// name. Returns the new path. Empty when there was no such directory.
std::string set_aside(FileSystem& file_system, const std::string& directory, const std::string& unique,
                      std::string_view suffix);
/// Truncates and unlinks every file of a directory, then the directory. Missing files are fine.
void remove_tree(FileSystem& file_system, const std::string& directory);

}  // namespace busway::daemon
