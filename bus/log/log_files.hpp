// Finds and opens the files of partition directories, for verify and dump. Internal to bus/log. No state.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "bus/base/fd.hpp"

namespace busway::log {

/// The files of one segment that exist; empty paths: there is no such file.
struct SegmentPaths {
  std::int64_t base_offset = 0;
  std::filesystem::path log;
  std::filesystem::path index;
  std::filesystem::path time_index;
};

/// Segments in order of their base offsets.
struct LogDirectory {
  std::filesystem::path path;
  std::vector<SegmentPaths> segments;
  std::int64_t log_bytes = 0;
};

/// The segments that `path` stands for: a file of a segment (its siblings with it), a partition directory, or
/// a directory of partition directories. Throws busway::Error (io) if it is none of these.
std::vector<LogDirectory> find_log_files(const std::filesystem::path& path);

/// Throws busway::Error (io) naming the file.
Fd open_log_file(const std::filesystem::path& path);
std::vector<std::byte> read_small_file(const std::filesystem::path& path);
/// Hands a size on; throws if it is a negative errno.
std::int64_t check_size(std::int64_t size, const std::filesystem::path& path);

}  // namespace busway::log
