// Offset and time index of a segment, in Kafka's layout (docs/log-format.md).
//
//   .index      {relative offset i32, position i32}: a batch's LAST offset and START position; both strictly
//   increase .timeindex  {timestamp i64, relative offset i32}: no record up to that offset is later than that
//   time; the offset
//               is the last one of the batch that holds that time; both strictly increase
//
// Both are hints for a search, never the truth: whoever uses them checks what lies at the position. Entries
// are written exactly, never preallocated, so there is no zero tail. A reader takes whole entries only and
// stops at a zero tail.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "bus/log/batch_format.hpp"

namespace busway::log {

struct OffsetIndexEntry {
  BigEndian<std::int32_t> relative_offset;
  BigEndian<std::int32_t> position;
};
static_assert(sizeof(OffsetIndexEntry) == 8 && alignof(OffsetIndexEntry) == 1);

struct TimeIndexEntry {
  BigEndian<std::int64_t> timestamp;
  BigEndian<std::int32_t> relative_offset;
};
static_assert(sizeof(TimeIndexEntry) == 12 && alignof(TimeIndexEntry) == 1);

/// An entry of an offset index with its offset made absolute.
struct OffsetPosition {
  std::int64_t offset = 0;
  std::int64_t position = 0;
  friend bool operator==(const OffsetPosition&, const OffsetPosition&) = default;
};
/// An entry of a time index with its offset made absolute.
struct TimestampOffset {
  std::int64_t timestamp_ms = kNoTimestamp;
  std::int64_t offset = 0;
  friend bool operator==(const TimestampOffset&, const TimestampOffset&) = default;
};

/// Relative offsets and positions are 32-bit: roll before either would pass this.
inline constexpr std::int64_t kRelativeMost = 0x7FFFFFFF;

/// Accumulates both indexes while batches are appended to a segment. The caller takes the encoded bytes and
/// appends them to the files. Recovery rebuilds indexes with the same class. One thread at a time.
class SegmentIndexer {
 public:
  static constexpr std::int32_t kIntervalBytesDefault = 4096;  // Kafka's index.interval.bytes

  explicit SegmentIndexer(std::int64_t base_offset, std::int32_t interval_bytes = kIntervalBytesDefault);

  /// Starts over for another segment; keeps buffers.
  void reset(std::int64_t base_offset);

  /// Goes on with a segment that was stopped cleanly: its last time index entry (TimeIndexReader::last()) has
  /// its largest timestamp.
  void resume(std::int64_t base_offset, TimestampOffset last_time_entry);

  /// Tells of a batch that lies at `position` of the log file. Batches come in order.
  void add(const BatchSummary& batch, std::int64_t position);

  /// On roll and on a clean stop: the largest timestamp gets its entry, if it has none yet.
  void finish();

  /// Encoded entries not yet taken, in the order of the file. Valid until the next call that is not const.
  std::span<const std::byte> offset_bytes() const noexcept;
  std::span<const std::byte> time_bytes() const noexcept;
  /// The caller has written what the two spans showed.
  void taken() noexcept;

  /// Would a batch with this last offset at this position still fit the 32-bit fields?
  bool fits(std::int64_t last_offset, std::int64_t position) const noexcept {
    return last_offset - base_offset_ <= kRelativeMost && position <= kRelativeMost;
  }
  std::int64_t base_offset() const noexcept { return base_offset_; }
  /// The largest timestamp of all batches, kNoTimestamp before the first: retention.ms goes by it.
  std::int64_t max_timestamp_ms() const noexcept { return largest_.timestamp_ms; }

 private:
  void add_time_entry();

  std::vector<OffsetIndexEntry> offsets_;
  std::vector<TimeIndexEntry> times_;
  std::int64_t base_offset_;
  std::int64_t bytes_since_entry_ = 0;
  TimestampOffset largest_;
  TimestampOffset last_time_entry_;
  std::int32_t interval_bytes_;
};

/// A sorted index file behind a descriptor (not owned; -1 = there is none: every search starts at the
/// beginning). The file may grow meanwhile; size() is looked at with each search. Hostile bytes give wrong
/// hints, nothing worse.
class OffsetIndexReader {
 public:
  OffsetIndexReader(int fd, std::int64_t base_offset) noexcept : fd_(fd), base_offset_(base_offset) {}
  /// The entry with the largest offset <= `offset`, or {base offset, 0}. I/O errors give that too.
  [[nodiscard]] OffsetPosition find(std::int64_t offset) const noexcept;

 private:
  int fd_;
  std::int64_t base_offset_;
};

class TimeIndexReader {
 public:
  TimeIndexReader(int fd, std::int64_t base_offset) noexcept : fd_(fd), base_offset_(base_offset) {}
  /// The entry with the largest timestamp < `timestamp_ms`: everything up to its offset is earlier. Otherwise
  /// {kNoTimestamp, base offset - 1}.
  [[nodiscard]] TimestampOffset find_before(std::int64_t timestamp_ms) const noexcept;
  /// The last entry, or {kNoTimestamp, base offset}.
  [[nodiscard]] TimestampOffset last() const noexcept;

 private:
  int fd_;
  std::int64_t base_offset_;
};

/// All entries of an index that lies in memory, up to a zero tail; a torn last entry is left out.
[[nodiscard]] std::vector<OffsetPosition> decode_offset_index(std::span<const std::byte> bytes,
                                                              std::int64_t base_offset);
[[nodiscard]] std::vector<TimestampOffset> decode_time_index(std::span<const std::byte> bytes,
                                                             std::int64_t base_offset);

}  // namespace busway::log
