#include "bus/log/log_files.hpp"

#include <algorithm>
#include <map>
#include <optional>

#include <fcntl.h>

#include <busway/error.hpp>

#include "bus/log/byte_source.hpp"
#include "bus/log/names.hpp"

namespace busway::log {
namespace {

namespace fs = std::filesystem;

void add(LogDirectory& directory, std::map<std::int64_t, SegmentPaths>& segments, const fs::path& file) {
  const auto name = parse_segment_file_name(file.filename().string());
  if (!name) return;
  SegmentPaths& paths = segments[name->base_offset];
  paths.base_offset = name->base_offset;
  switch (name->kind) {
    case SegmentFile::log:
      paths.log = file;
      directory.log_bytes += static_cast<std::int64_t>(fs::file_size(file));
      break;
    case SegmentFile::index:
      paths.index = file;
      break;
    case SegmentFile::time_index:
      paths.time_index = file;
      break;
  }
}

// The segment files right inside `path`; `only`: of that base offset.
LogDirectory list(const fs::path& path, std::optional<std::int64_t> only) {
  LogDirectory directory;
  directory.path = path;
  std::map<std::int64_t, SegmentPaths> segments;
  for (const auto& entry : fs::directory_iterator(path)) {
    if (entry.is_regular_file()) add(directory, segments, entry.path());
  }
  for (auto& [base_offset, paths] : segments) {
    if (!only || *only == base_offset) directory.segments.push_back(std::move(paths));
  }
  return directory;
}

std::vector<LogDirectory> find(const fs::path& path) {
  if (fs::is_regular_file(path)) {
    const auto name = parse_segment_file_name(path.filename().string());
    if (!name) {
      throw Error(errc::io, path.string() +
                                " is not named like a segment file: 20 digits, then .log, .index or "
                                ".timeindex.");
    }
    return {list(path.parent_path().empty() ? fs::path(".") : path.parent_path(), name->base_offset)};
  }
  if (!fs::is_directory(path)) throw Error(errc::io, path.string() + " is neither a file nor a directory.");
  std::vector<LogDirectory> found;
  if (LogDirectory own = list(path, std::nullopt); !own.segments.empty()) found.push_back(std::move(own));
  for (const auto& entry : fs::directory_iterator(path)) {
    if (!entry.is_directory() || !parse_partition_directory(entry.path().filename().string())) continue;
    if (LogDirectory directory = list(entry.path(), std::nullopt); !directory.segments.empty()) {
      found.push_back(std::move(directory));
    }
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  return found;
}

}  // namespace

std::vector<LogDirectory> find_log_files(const fs::path& path) {
  try {
    return find(path);
  } catch (const fs::filesystem_error& error) {
    throw Error(errc::io, "reading " + path.string() + ": " + error.code().message());
  }
}

Fd open_log_file(const fs::path& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) throw_errno("opening " + path.string());
  return fd;
}

std::int64_t check_size(std::int64_t size, const fs::path& path) {
  if (size < 0) throw_errno("reading " + path.string(), static_cast<int>(-size));
  return size;
}

std::vector<std::byte> read_small_file(const fs::path& path) {
  const Fd fd = open_log_file(path);
  const FdSource source(fd.get());
  std::vector<std::byte> bytes(static_cast<std::size_t>(check_size(source.size(), path)));
  bytes.resize(static_cast<std::size_t>(check_size(source.read(bytes, 0), path)));
  return bytes;
}

}  // namespace busway::log
