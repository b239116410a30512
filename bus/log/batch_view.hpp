// Looks at record batches in place. The bytes are hostile: every length is checked before it is used, and the
// CRC before anything behind it is believed. Views own nothing; no exceptions, no allocation, no state shared
// by threads.
//
// What the CRC does not cover (base offset, leader epoch) is checked against the neighbours: see follows().
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "bus/log/batch_format.hpp"

namespace busway::log {

/// What is wrong with a batch.
enum class [[nodiscard]] BatchError : std::uint8_t{
    none = 0,
    incomplete,      ///< the bytes end before the batch does
    bad_length,      ///< batch_length is less than a header, or more than the limit
    bad_magic,       ///< not a version 2 batch
    bad_crc,         ///< the checksum does not match the bytes
    bad_attributes,  ///< unknown codec or attribute bits
    bad_counts,      ///< negative or contradictory record count, last offset delta or base offset
    bad_record,      ///< a record's lengths or deltas do not add up
    bad_compressed,  ///< the codec rejects the bytes
    too_large,       ///< decompressed, the records exceed the limit
    wrong_offset,    ///< the base offset is not the one that follows
    wrong_epoch,     ///< the leader epoch is not the segment's
};

/// A short text: "checksum mismatch".
[[nodiscard]] std::string_view text(BatchError error) noexcept;

/// Batches beyond this are taken for garbage, unless the caller says otherwise.
inline constexpr std::int32_t kBatchBytesMost = 256 * 1024 * 1024;

/// One batch with a header that makes sense and a CRC that matches.
class BatchView {
 public:
  /// The header of the first batch in `bytes` without looking at its CRC. `bytes` may end after the header.
  /// Tells how many bytes to read for parse().
  static BatchError parse_header(std::span<const std::byte> bytes, BatchView& view,
                                 std::int32_t most = kBatchBytesMost) noexcept;
  /// The first batch in `bytes`, CRC and all; further bytes may follow it.
  static BatchError parse(std::span<const std::byte> bytes, BatchView& view,
                          std::int32_t most = kBatchBytesMost) noexcept;

  /// Is this what comes at `next_offset`? In a log that was never compacted batches follow each other without
  /// a gap; with `gaps` the base offset may be higher. Epoch -1: any.
  BatchError follows(std::int64_t next_offset, std::int32_t epoch, bool gaps) const noexcept;

  /// Header, records and all.
  std::span<const std::byte> bytes() const noexcept {
    return {start_, static_cast<std::size_t>(summary_.bytes)};
  }
  /// Everything behind the header: the records, compressed if codec() says so (then see Decompressor).
  std::span<const std::byte> payload() const noexcept { return bytes().subspan(kBatchHeaderBytes); }
  const BatchHeader& header() const noexcept { return *reinterpret_cast<const BatchHeader*>(start_); }
  const BatchSummary& summary() const noexcept { return summary_; }

  std::int64_t base_offset() const noexcept { return summary_.base_offset; }
  std::int64_t last_offset() const noexcept { return summary_.last_offset; }
  std::int64_t next_offset() const noexcept { return summary_.next_offset(); }
  std::int64_t max_timestamp_ms() const noexcept { return summary_.max_timestamp_ms; }
  std::int32_t record_count() const noexcept { return summary_.record_count; }
  std::int32_t leader_epoch() const noexcept { return summary_.leader_epoch; }
  Codec codec() const noexcept { return summary_.codec; }
  /// Kafka's transaction markers: no data for a subscriber.
  bool is_control() const noexcept { return (header().attributes.get() & kControl) != 0; }

 private:
  const std::byte* start_ = nullptr;
  BatchSummary summary_;
};

/// One record in place.
struct RecordView {
  std::int64_t offset = 0;
  std::int64_t timestamp_ms = 0;
  Bytes key;
  Bytes value;
  std::span<const std::byte>
      headers;  ///< Kafka's encoding; never empty ("no headers" is the one byte 0): HeaderCursor
};

/// Walks the records of a batch. `records` is the batch's payload(), or what Decompressor made of it; it must
/// outlive the views. Headers are checked for their framing only as a whole: HeaderCursor checks their
/// entries.
class RecordCursor {
 public:
  RecordCursor() noexcept = default;
  RecordCursor(const BatchView& batch, std::span<const std::byte> records) noexcept;

  /// The next record; false at the end or at a malformed record (see error()).
  [[nodiscard]] bool next(RecordView& record) noexcept;
  BatchError error() const noexcept { return error_; }

 private:
  bool fail() noexcept;
  const std::byte* at_ = nullptr;
  const std::byte* end_ = nullptr;
  std::int64_t base_offset_ = 0;
  std::int64_t base_timestamp_ = 0;
  std::int64_t append_timestamp_ = 0;
  std::int32_t left_ = 0;
  std::int32_t last_delta_ = 0;
  std::int32_t previous_delta_ = -1;
  bool append_time_ = false;
  BatchError error_ = BatchError::none;
};

}  // namespace busway::log
