#include "bus/log/segment_index.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>

#include <sys/stat.h>
#include <unistd.h>

namespace busway::log {
namespace {

template <class Entry>
bool read_entry(int fd, std::int64_t number, Entry& entry) noexcept {
  const auto position = static_cast<off_t>(number * static_cast<std::int64_t>(sizeof entry));
  return ::pread(fd, &entry, sizeof entry, position) == static_cast<ssize_t>(sizeof entry);
}

std::int64_t entry_count(int fd, std::size_t entry_bytes) noexcept {
  struct stat status {};
  if (fd < 0 || ::fstat(fd, &status) != 0) return 0;
  return status.st_size / static_cast<std::int64_t>(entry_bytes);
}

// A zero tail is what a file that was made larger ahead of its entries shows: no entry but the first has
// offset 0.
template <class Entry>
bool is_tail(const Entry& entry, std::int64_t number) noexcept {
  return number > 0 && entry.relative_offset.get() == 0;
}

// The last entry for which `before(entry)` holds, if any; it holds for a prefix of the entries. False on I/O
// errors.
template <class Entry, class Before>
bool find_last(int fd, Before before, Entry& found) noexcept {
  std::int64_t low = 0;  // entries below hold
  std::int64_t high = entry_count(fd, sizeof(Entry));
  bool any = false;
  while (low < high) {
    const std::int64_t middle = low + (high - low) / 2;
    Entry entry;
    if (!read_entry(fd, middle, entry)) return false;
    if (!is_tail(entry, middle) && before(entry)) {
      found = entry;
      any = true;
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return any;
}

template <class Entry>
std::span<const std::byte> bytes_of(const std::vector<Entry>& entries) noexcept {
  return std::as_bytes(std::span(entries));
}

template <class Entry, class Out, class Decode>
std::vector<Out> decode(std::span<const std::byte> bytes, Decode decode_one) {
  std::vector<Out> entries;
  entries.reserve(bytes.size() / sizeof(Entry));
  for (std::size_t at = 0; at + sizeof(Entry) <= bytes.size(); at += sizeof(Entry)) {
    Entry entry;
    std::memcpy(&entry, bytes.data() + at, sizeof entry);
    if (is_tail(entry, static_cast<std::int64_t>(at))) break;
    entries.push_back(decode_one(entry));
  }
  return entries;
}

}  // namespace

SegmentIndexer::SegmentIndexer(std::int64_t base_offset, std::int32_t interval_bytes)
    : base_offset_(base_offset), interval_bytes_(interval_bytes) {
  constexpr std::size_t kPendingEntries = 256;  // more than one round of writing leaves behind
  offsets_.reserve(kPendingEntries);
  times_.reserve(kPendingEntries);
}

void SegmentIndexer::reset(std::int64_t base_offset) {
  resume(base_offset, TimestampOffset{kNoTimestamp, base_offset});
}

void SegmentIndexer::resume(std::int64_t base_offset, TimestampOffset last_time_entry) {
  taken();
  base_offset_ = base_offset;
  bytes_since_entry_ = 0;
  largest_ = last_time_entry_ = last_time_entry;
}

void SegmentIndexer::add(const BatchSummary& batch, std::int64_t position) {
  assert(fits(batch.last_offset, position));
  if (batch.max_timestamp_ms > largest_.timestamp_ms) largest_ = {batch.max_timestamp_ms, batch.last_offset};
  if (bytes_since_entry_ > interval_bytes_) {
    OffsetIndexEntry entry;
    entry.relative_offset.set(static_cast<std::int32_t>(batch.last_offset - base_offset_));
    entry.position.set(static_cast<std::int32_t>(position));
    offsets_.push_back(entry);
    add_time_entry();
    bytes_since_entry_ = 0;
  }
  bytes_since_entry_ += batch.bytes;
}

void SegmentIndexer::finish() { add_time_entry(); }

void SegmentIndexer::add_time_entry() {
  if (largest_.timestamp_ms <= last_time_entry_.timestamp_ms) return;
  TimeIndexEntry entry;
  entry.timestamp.set(largest_.timestamp_ms);
  entry.relative_offset.set(static_cast<std::int32_t>(largest_.offset - base_offset_));
  times_.push_back(entry);
  last_time_entry_ = largest_;
}

std::span<const std::byte> SegmentIndexer::offset_bytes() const noexcept { return bytes_of(offsets_); }
std::span<const std::byte> SegmentIndexer::time_bytes() const noexcept { return bytes_of(times_); }

void SegmentIndexer::taken() noexcept {
  offsets_.clear();
  times_.clear();
}

OffsetPosition OffsetIndexReader::find(std::int64_t offset) const noexcept {
  OffsetIndexEntry entry;
  const bool found = find_last(
      fd_, [&](const OffsetIndexEntry& at) { return at.relative_offset.get() <= offset - base_offset_; },
      entry);
  if (!found || entry.relative_offset.get() < 0 || entry.position.get() < 0) return {base_offset_, 0};
  return {base_offset_ + entry.relative_offset.get(), entry.position.get()};
}

TimestampOffset TimeIndexReader::find_before(std::int64_t timestamp_ms) const noexcept {
  TimeIndexEntry entry;
  const bool found = find_last(
      fd_, [&](const TimeIndexEntry& at) { return at.timestamp.get() < timestamp_ms; }, entry);
  if (!found || entry.relative_offset.get() < 0) return {kNoTimestamp, base_offset_ - 1};
  return {entry.timestamp.get(), base_offset_ + entry.relative_offset.get()};
}

TimestampOffset TimeIndexReader::last() const noexcept {
  TimeIndexEntry entry;
  const bool found = find_last(
      fd_, [](const TimeIndexEntry&) { return true; }, entry);
  if (!found || entry.relative_offset.get() < 0) return {kNoTimestamp, base_offset_};
  return {entry.timestamp.get(), base_offset_ + entry.relative_offset.get()};
}

std::vector<OffsetPosition> decode_offset_index(std::span<const std::byte> bytes, std::int64_t base_offset) {
  return decode<OffsetIndexEntry, OffsetPosition>(bytes, [&](const OffsetIndexEntry& entry) {
    return OffsetPosition{base_offset + entry.relative_offset.get(), entry.position.get()};
  });
}

std::vector<TimestampOffset> decode_time_index(std::span<const std::byte> bytes, std::int64_t base_offset) {
  return decode<TimeIndexEntry, TimestampOffset>(bytes, [&](const TimeIndexEntry& entry) {
    return TimestampOffset{entry.timestamp.get(), base_offset + entry.relative_offset.get()};
  });
}

}  // namespace busway::log
