#include "daemon/partition_log_segments.hpp"

#include <algorithm>
#include <cerrno>

#include <busway/error.hpp>

namespace busway::daemon {

SegmentList::SegmentList(std::string directory, std::vector<SegmentInfo> segments, Offset log_start)
    : directory_(std::move(directory)), log_start_(log_start), segments_(std::move(segments)) {}

std::string SegmentList::path(Offset base, log::SegmentFile kind) const {
  return directory_ + "/" + log::segment_file_name(base, kind);
}

std::vector<SegmentInfo> SegmentList::snapshot() const {
  const std::lock_guard lock(mutex_);
  return segments_;
}

std::uint64_t SegmentList::bytes() const {
  const std::lock_guard lock(mutex_);
  std::uint64_t sum = 0;
  for (const SegmentInfo& segment : segments_) sum += segment.bytes;
  return sum;
}

std::vector<SegmentForReader> SegmentList::open_from(FileSystem& file_system, Offset offset,
                                                     std::size_t most) const {
  std::vector<SegmentInfo> wanted;
  {
    const std::lock_guard lock(mutex_);
    for (const SegmentInfo& segment : segments_) {
      if (segment.next_base != SegmentInfo::kOpenEnd && segment.next_base <= offset) continue;
      if (wanted.size() == most) break;
      wanted.push_back(segment);
    }
  }
  return open(file_system, wanted);
}

std::vector<SegmentForReader> SegmentList::open_from_time(FileSystem& file_system, std::int64_t timestamp_ms,
                                                          std::size_t most) const {
  std::vector<SegmentInfo> wanted;
  {
    const std::lock_guard lock(mutex_);
    for (const SegmentInfo& segment : segments_) {
      // Of a segment that is not sealed nobody has counted yet how late its records are.
      if (wanted.empty() && segment.sealed && segment.max_timestamp_ms < timestamp_ms) continue;
      if (wanted.size() == most) break;
      wanted.push_back(segment);
    }
  }
  return open(file_system, wanted);
}

std::vector<SegmentForReader> SegmentList::open(FileSystem& file_system,
                                                const std::vector<SegmentInfo>& wanted) const {
  std::vector<SegmentForReader> opened;
  for (const SegmentInfo& segment : wanted) {
    File log = File::open_if_there(file_system, path(segment.base, log::SegmentFile::log), OpenMode::read);
    if (!log) continue;  // retention was faster
    File index =
        File::open_if_there(file_system, path(segment.base, log::SegmentFile::index), OpenMode::read);
    File time_index =
        File::open_if_there(file_system, path(segment.base, log::SegmentFile::time_index), OpenMode::read);
    opened.push_back(
        {segment.base, segment.next_base, std::move(log), std::move(index), std::move(time_index)});
  }
  return opened;
}

void SegmentList::begin_segment(Offset base) {
  const std::lock_guard lock(mutex_);
  if (!segments_.empty()) segments_.back().next_base = base;
  segments_.push_back({.base = base});
}

void SegmentList::set_last_bytes(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  if (!segments_.empty()) segments_.back().bytes = bytes;
}

void SegmentList::seal(Offset base, std::uint64_t bytes, std::int64_t max_timestamp_ms) {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(segments_.begin(), segments_.end(),
                                  [base](const SegmentInfo& segment) { return segment.base == base; });
  if (found == segments_.end()) return;
  found->bytes = bytes;
  found->max_timestamp_ms = max_timestamp_ms;
  found->sealed = true;
}

void SegmentList::close_last(Offset end) {
  const std::lock_guard lock(mutex_);
  if (!segments_.empty()) segments_.back().next_base = end;
}

void SegmentList::remove_last(Offset base) {
  const std::lock_guard lock(mutex_);
  if (segments_.empty() || segments_.back().base != base) return;
  segments_.pop_back();
}

void SegmentList::replace_from(Offset base, std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  while (!segments_.empty() && segments_.back().base >= base) segments_.pop_back();
  if (!segments_.empty()) segments_.back().next_base = base;
  segments_.push_back({.base = base, .bytes = bytes});
}

std::vector<SegmentInfo> SegmentList::advance_log_start(Offset offset) {
  const std::lock_guard lock(mutex_);
  // Release: whoever loads the new start (acquire in log_start) also sees what was announced before.
  if (offset > log_start_.load(std::memory_order_relaxed)) {
    log_start_.store(offset, std::memory_order_release);
  }
  std::vector<SegmentInfo> dropped;
  const auto below = [offset](const SegmentInfo& segment) {
    return segment.next_base != SegmentInfo::kOpenEnd && segment.next_base <= offset;
  };
  while (!segments_.empty() && below(segments_.front())) {
    dropped.push_back(segments_.front());
    segments_.erase(segments_.begin());
  }
  return dropped;
}

}  // namespace busway::daemon
