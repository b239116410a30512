#include "daemon/retention.hpp"

#include <algorithm>
#include <cerrno>
#include <vector>

#include "bus/log/names.hpp"

namespace busway::daemon {
namespace {

/// Truncated, then unlinked. Missing is fine.
void remove_file(FileSystem& file_system, const std::string& path) {
  {
    const File file = File::open_if_there(file_system, path, OpenMode::write);
    if (!file) return;
    file.truncate(0);
  }
  remove_if_there(file_system, path);
}

}  // namespace

Offset retention_target(std::span<const SegmentInfo> segments, Offset log_start, const TopicConfig& config,
                        std::int64_t now_ms) {
  std::uint64_t bytes = 0;
  for (const SegmentInfo& segment : segments) bytes += segment.bytes;
  Offset target = log_start;
  for (const SegmentInfo& segment : segments) {
    if (!segment.sealed || segment.next_base == SegmentInfo::kOpenEnd) break;
    const bool expired = config.retention_ms >= 0 && segment.max_timestamp_ms < now_ms - config.retention_ms;
    const bool beyond = config.retention_bytes >= 0 &&
                        bytes - segment.bytes >= static_cast<std::uint64_t>(config.retention_bytes);
    if (!expired && !beyond) break;
    bytes -= segment.bytes;
    target = std::max(target, segment.next_base);
  }
  return target;
}

RetentionResult apply_retention(PartitionFiles& files, const TopicConfig& config, std::int64_t now_ms,
                                const std::function<void(Offset log_start)>& announce) {
  SegmentList& list = files.segments;
  RetentionResult result{.log_start = list.log_start()};
  const Offset target = retention_target(list.snapshot(), result.log_start, config, now_ms);
  if (target <= result.log_start) return result;
  announce(target);
  // Before the files go: a log start that fell back would show offsets that are gone.
  files.checkpoint.advance(target, std::nullopt);
  result.log_start = target;
  for (const SegmentInfo& segment : list.advance_log_start(target)) {
    // The log last: recovery removes indexes without one, and a log below the log start.
    remove_file(files.file_system, list.path(segment.base, log::SegmentFile::index));
    remove_file(files.file_system, list.path(segment.base, log::SegmentFile::time_index));
    remove_file(files.file_system, list.path(segment.base, log::SegmentFile::log));
    ++result.segments;
    result.bytes += segment.bytes;
  }
  return result;
}

std::string set_aside(FileSystem& file_system, const std::string& directory, const std::string& unique,
                      std::string_view suffix) {
  std::string aside = directory + "." + unique + std::string(suffix);
  const int renamed = file_system.rename(directory, aside);
  if (renamed == -ENOENT) return {};
  check_file(renamed, "cannot rename", directory);
  sync_directory(file_system, parent_of(directory));
  return aside;
}

void remove_tree(FileSystem& file_system, const std::string& directory) {
  std::vector<std::string> names;
  const int listed = file_system.list(directory, names);
  if (listed == -ENOENT) return;
  check_file(listed, "cannot list", directory);
  for (const std::string& name : names) remove_file(file_system, directory + "/" + name);
  check_file(file_system.remove_directory(directory), "cannot remove", directory);
}

}  // namespace busway::daemon
