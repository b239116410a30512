#include "daemon/recovery_mend.hpp"

#include <algorithm>
#include <cerrno>
#include <vector>

#include <busway/error.hpp>

#include "bus/log/names.hpp"
#include "daemon/recovery.hpp"

namespace busway::daemon {
namespace {

constexpr std::size_t kCopyBytes = std::size_t{1} << 20;
constexpr std::string_view kRewriteSuffix = ".rewrite";
constexpr std::string_view kAsideSuffix = ".new";

std::string segment_path(const std::string& directory, Offset base, log::SegmentFile kind) {
  return directory + "/" + log::segment_file_name(base, kind);
}

/// Part of a file becomes a file of its own, durably.
void copy_durably(FileSystem& file_system, const File& from, std::uint64_t position, std::uint64_t bytes,
                  const std::string& path) {
  const std::string aside = name_aside(path);
  {
    const File to = File::open(file_system, aside, OpenMode::open_always);
    to.truncate(0);
    std::vector<std::byte> buffer(static_cast<std::size_t>(std::min<std::uint64_t>(bytes, kCopyBytes)));
    for (std::uint64_t done = 0; done < bytes;) {
      const auto part = std::span(buffer).first(
          static_cast<std::size_t>(std::min<std::uint64_t>(bytes - done, buffer.size())));
      const std::size_t count = from.read(part, position + done);
      if (count == 0) break;
      to.write(part.first(count), done);
      done += count;
    }
    to.sync();
  }
  check_file(file_system.rename(aside, path), "cannot rename to", path);
  sync_directory(file_system, parent_of(path));
}

/// `kept` bytes of the file stay, `entries` follow. True: something was changed.
bool write_index(FileSystem& file_system, const std::string& path, std::uint64_t kept,
                 std::span<const std::byte> entries, bool sync) {
  const File file = File::open(file_system, path, OpenMode::open_always);
  const std::uint64_t size = file.size();
  std::vector<std::byte> present(static_cast<std::size_t>(size > kept ? size - kept : 0));
  if (!present.empty()) present.resize(file.read(present, kept));
  const bool same = size == kept + entries.size() && std::ranges::equal(present, entries);
  if (!same) {
    file.truncate(kept);
    file.write(entries, kept);
  }
  if (sync) file.sync();
  return !same;
}

}  // namespace

std::string rewrite_path(const std::string& directory, Offset base) {
  const std::string name = log::segment_file_name(base, log::SegmentFile::log);
  return directory + "/" + name.substr(0, name.size() - log::suffix(log::SegmentFile::log).size()) +
         std::string(kRewriteSuffix);
}

Offset rewrite_base(const std::string& name) {
  if (!name.ends_with(kRewriteSuffix)) return -1;
  const auto parsed = log::parse_segment_file_name(name.substr(0, name.size() - kRewriteSuffix.size()) +
                                                   std::string(log::suffix(log::SegmentFile::log)));
  return parsed ? parsed->base_offset : -1;
}

std::string name_aside(const std::string& path) { return path + std::string(kAsideSuffix); }
bool is_aside(const std::string& name) { return name.ends_with(kAsideSuffix); }

std::string quarantine(FileSystem& file_system, const std::string& directory, const File& file, Offset base,
                       std::uint64_t position, std::uint64_t bytes) {
  const std::string name = log::segment_file_name(base, log::SegmentFile::log);
  std::string path =
      directory + "/" + name.substr(0, name.find('.')) + "-" + std::to_string(position) + ".quarantine";
  copy_durably(file_system, file, position, bytes, path);
  return path;
}

void write_run(FileSystem& file_system, const std::string& directory, const File& file,
               const ScannedRun& run) {
  copy_durably(file_system, file, run.position, run.bytes,
               segment_path(directory, run.first_offset, log::SegmentFile::log));
}

bool write_indexes(FileSystem& file_system, const std::string& directory, SegmentScan& scan, bool sealed) {
  const std::string time_index = segment_path(directory, scan.base, log::SegmentFile::time_index);
  const std::string index = segment_path(directory, scan.base, log::SegmentFile::index);
  scan.indexer.finish();
  bool changed = false;
  try {
    // The time index first: an offset index never knows more than it.
    changed =
        write_index(file_system, time_index, scan.start.time_index_bytes, scan.indexer.time_bytes(), sealed);
    changed = write_index(file_system, index, scan.start.index_bytes, scan.indexer.offset_bytes(), sealed) ||
              changed;
  } catch (const Error& error) {
    if (error.error() != errc::disk_full) throw;
    // Of the active segment they stay with the indexer, to be written later. A short one of a sealed segment
    // would be believed; one that is missing is built anew at the next start.
    if (!sealed) return false;
    remove_if_there(file_system, index);
    remove_if_there(file_system, time_index);
    return false;
  }
  scan.start.time_index_bytes += scan.indexer.time_bytes().size();
  scan.start.index_bytes += scan.indexer.offset_bytes().size();
  scan.indexer.taken();
  return changed;
}

void remove_segment(FileSystem& file_system, const std::string& directory, Offset base) {
  for (const auto kind : {log::SegmentFile::log, log::SegmentFile::index, log::SegmentFile::time_index})
    remove_if_there(file_system, segment_path(directory, base, kind));
}

std::int64_t rebuild_indexes(FileSystem& file_system, const std::string& directory, Offset base,
                             std::int32_t index_interval_bytes) {
  const File file =
      File::open(file_system, segment_path(directory, base, log::SegmentFile::log), OpenMode::read);
  SegmentScan scan = scan_segment(file, base, {.index_interval_bytes = index_interval_bytes}, {}, {});
  write_indexes(file_system, directory, scan, true);
  return scan.indexer.max_timestamp_ms();
}

}  // namespace busway::daemon
