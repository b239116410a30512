// Reads the records of one segment through descriptors, by pread into a buffer that is used again and again.
//
// For subscribers that fell behind the ring, the daemon and the CLI. Nothing at or above the given `written`
// is looked at: there a writer may be at work. Every batch's CRC is checked before one of its records is
// handed out. Descriptors are not owned. One thread at a time. Allocates when it is made and for batches
// larger than its buffer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "bus/base/limits.hpp"
#include "bus/log/batch_loader.hpp"
#include "bus/log/batch_view.hpp"
#include "bus/log/byte_source.hpp"
#include "bus/log/codec.hpp"
#include "bus/log/segment_index.hpp"

namespace busway::log {

struct SegmentFiles {
  int log = -1;
  int index = -1;       ///< -1: searches start at the segment's beginning
  int time_index = -1;  ///< likewise
  std::int64_t base_offset = 0;
  bool gaps = false;  ///< offsets may be missing between batches: the topic is compacted
};

enum class [[nodiscard]] ReadStatus : std::uint8_t{
    ok,
    end,  ///< nothing more below `written` in this segment (yet); if next_offset() < written, go to the next
          ///< segment
    corrupt,  ///< see defect(); skip_bad() goes on behind it
    failed,   ///< an operating system error; see error_number()
};

/// Where and how a segment does not check out.
struct BadRegion {
  BatchError error = BatchError::none;
  std::int64_t position = 0;      ///< first bad byte
  std::int64_t bytes = 0;         ///< up to the next valid batch, or to the end of the file
  std::int64_t first_offset = 0;  ///< the first offset that is lost, if any is
  std::int64_t next_offset = -1;  ///< base offset of the next valid batch; -1: none follows
};

class SegmentReader {
 public:
  static constexpr std::size_t kBufferBytes = 256 * limits::kKiB;

  explicit SegmentReader(const SegmentFiles& files, std::size_t buffer_bytes = kBufferBytes,
                         std::size_t decompressed_most = kDecompressedBytesMost);

  /// Takes up another segment (or the same one afresh); keeps buffers. Stands at its first batch.
  void reset(const SegmentFiles& files) noexcept;

  /// Stands before the first record with an offset >= `offset` below `written`. Offsets before the segment:
  /// its start.
  ReadStatus seek(std::int64_t offset, std::int64_t written);

  /// Stands before the first record with a timestamp >= `timestamp_ms`. `end`: there is none below `written`.
  ReadStatus seek_time(std::int64_t timestamp_ms, std::int64_t written);

  /// The next record that lies below `written`. Views are valid until the next call of anything here.
  [[gnu::always_inline]] ReadStatus next(std::int64_t written, RecordView& record) {
    do {
      while (!records_.next(record)) {
        if (const ReadStatus status = advance(written); status != ReadStatus::ok) return status;
      }
    } while (record.offset < wanted_);
    next_offset_ = record.offset + 1;
    return ReadStatus::ok;
  }

  /// The next whole batch below `written`: after seek() the one it stands in, else the one behind the last
  /// that was looked at, whether its records were asked for or not. `batch` is valid until the next call. Its
  /// records may begin before the offset that seek() was given.
  ReadStatus next_batch(std::int64_t written, BatchView& batch);
  /// The plain records of the batch that next_batch() gave: decompressed if need be.
  ReadStatus batch_records(std::span<const std::byte>& records);

  /// The batch that seek() or next_batch() stands in, after they said ok; valid until the next call.
  const BatchView& batch() const noexcept { return batch_; }

  /// After `corrupt`: goes behind the bad bytes to the next valid batch below `written`; defect() then has
  /// the whole range. `end`: no valid batch follows.
  ReadStatus skip_bad(std::int64_t written);

  /// The offset that comes next: after the last one handed out, skipped offsets included.
  std::int64_t next_offset() const noexcept { return next_offset_; }
  /// Position of the batch that was looked at last.
  std::int64_t position() const noexcept { return batch_position_; }
  const BadRegion& defect() const noexcept { return defect_; }
  int error_number() const noexcept { return error_number_; }

 private:
  ReadStatus advance(std::int64_t written);
  ReadStatus load_batch(std::int64_t written);
  ReadStatus load_until(std::int64_t offset, std::int64_t written);
  ReadStatus open_records();
  ReadStatus rejected(BatchError error);
  BatchError check() const noexcept;
  bool stand_at_hint(OffsetPosition hint);
  void stand_at(std::int64_t position, std::int64_t expected_offset) noexcept;

  FdSource source_;
  SegmentFiles files_;
  BatchLoader loader_;
  Decompressor decompressor_;
  RecordCursor records_;
  BatchView batch_;
  BadRegion defect_;
  std::int64_t next_position_ = 0;    // where the next batch starts
  std::int64_t expected_offset_ = 0;  // its base offset; behind the current batch
  std::int64_t batch_position_ = 0;   // of the current batch
  std::int64_t batch_expected_ = 0;   // what expected_offset_ was before it
  std::int64_t next_offset_ = 0;
  std::int64_t sought_ = -1;  // next_offset_ when seek() had loaded a batch; -1: another was loaded since
  std::int64_t wanted_ = 0;   // records below are passed over
  int error_number_ = 0;
};

}  // namespace busway::log
