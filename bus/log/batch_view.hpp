// Looks at record batches in place. The bytes are hostile: every length is checked before it is used, and the
// CRC before anything behind it is believed. Views own nothing; no exceptions, no allocation, no state shared
// by threads.
//
// What the CRC does not cover (base offset, leader epoch) is checked against the neighbours: see follows().
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "bus/base/varint.hpp"
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
  [[nodiscard, gnu::always_inline]] bool next(RecordView& record) noexcept {
    return next_short(record) || next_any(record);
  }
  BatchError error() const noexcept { return error_; }

 private:
  // The usual record, whose lengths and deltas take one or two bytes each; false: anything else, and nothing
  // changed.
  bool next_short(RecordView& record) noexcept;
  template <unsigned kLength, unsigned kOffset>
  bool next_shaped(std::uint64_t head, RecordView& record) noexcept;
  bool next_any(RecordView& record) noexcept;
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

namespace detail {

/// The value of a zigzag varint of kBytes (1 or 2) bytes that is not negative, at the low end of `bytes`.
template <unsigned kBytes>
[[gnu::always_inline]] inline std::int32_t short_value(std::uint64_t bytes) noexcept {
  auto value = bytes >> 1 & 0x3F;
  if constexpr (kBytes == 2) value |= bytes >> 2 & 0x1FC0;
  return static_cast<std::int32_t>(value);
}

/// A sum that wraps around: both come from hostile bytes.
constexpr std::int64_t plus(std::int64_t a, std::int64_t b) noexcept {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}

/// Where the fields of a record lie when its length takes kLength bytes, its offset delta kOffset bytes, and
/// its timestamp delta and key length one byte each; and what those bytes must have in common with every such
/// record.
template <unsigned kLength, unsigned kOffset>
struct RecordShape {
  static constexpr unsigned kTimestampAt = kLength + 1;  // behind the attributes
  static constexpr unsigned kOffsetAt = kTimestampAt + 1;
  static constexpr unsigned kKeyAt = kOffsetAt + kOffset;
  static constexpr unsigned kBytes = kKeyAt + 1;

  static constexpr std::uint64_t at(unsigned byte, std::uint64_t bits) noexcept { return bits << (8 * byte); }
  /// The bit that says "more bytes follow" of every varint byte, and the signs of length and offset delta.
  static constexpr std::uint64_t kMask = at(0, 0x81) | at(kLength - 1, 0x80) | at(kTimestampAt, 0x80) |
                                         at(kOffsetAt, 0x81) | at(kOffsetAt + kOffset - 1, 0x80) |
                                         at(kKeyAt, 0x80);
  static constexpr std::uint64_t kPattern =
      (kLength == 2 ? at(0, 0x80) : 0) | (kOffset == 2 ? at(kOffsetAt, 0x80) : 0);
};

}  // namespace detail

// Every check here has its twin in next_any(), which decides whether what is refused here is malformed.
// Lengths mostly have the form that they had in the record before: a branch on the form lets the next record
// start before this one's length is known.
template <unsigned kLength, unsigned kOffset>
[[gnu::always_inline]] inline bool RecordCursor::next_shaped(std::uint64_t head,
                                                             RecordView& record) noexcept {
  using Shape = detail::RecordShape<kLength, kOffset>;
  if ((head & Shape::kMask) != Shape::kPattern) return false;
  const std::byte* const body = at_ + kLength;
  const std::int64_t body_bytes = detail::short_value<kLength>(head);
  const std::int32_t delta = detail::short_value<kOffset>(head >> (8 * Shape::kOffsetAt));
  const auto key = static_cast<std::int32_t>(head >> (8 * Shape::kKeyAt) & 0x7F);
  if (body_bytes > end_ - body || delta <= previous_delta_ || delta > last_delta_) [[unlikely]]
    return false;
  const std::byte* const end = body + body_bytes;
  const std::int64_t behind_key = body_bytes - (Shape::kBytes - kLength) - (key >> 1);
  if (behind_key < 2 || ((key & 1) != 0 && key != 1)) [[unlikely]]
    return false;

  const std::byte* const key_at = at_ + Shape::kBytes;
  const std::byte* const value_length_at = key_at + (key >> 1);
  std::uint16_t pair = 0;
  std::memcpy(&pair, value_length_at, sizeof pair);
  const bool two = (pair & 0x80) != 0;
  const std::int32_t value_bytes = two ? detail::short_value<2>(pair) : detail::short_value<1>(pair);
  const std::int64_t headers_bytes = behind_key - (two ? 2 : 1) - value_bytes;
  if ((pair & 0x8080) == 0x8080 || headers_bytes < 1 || (left_ == 1 && end != end_)) [[unlikely]]
    return false;
  const bool null_value = (pair & 1) != 0;
  if (null_value && (pair & 0xFF) != 1) [[unlikely]]
    return false;
  const std::byte* const headers_at = end - headers_bytes;
  if (*headers_at == std::byte{0} && headers_bytes != 1) [[unlikely]]
    return false;

  record.key = Bytes(key == 1 ? nullptr : key_at, (key >> 1) - (key & 1));
  record.value = Bytes(null_value ? nullptr : headers_at - value_bytes, null_value ? -1 : value_bytes);
  record.headers = {headers_at, end};
  record.offset = base_offset_ + delta;
  const auto timestamp = head >> (8 * Shape::kTimestampAt) & 0x7F;
  record.timestamp_ms =
      append_time_ ? append_timestamp_ : detail::plus(base_timestamp_, varint::unzigzag64(timestamp));
  previous_delta_ = delta;
  at_ = end;
  --left_;
  return true;
}

[[gnu::always_inline]] inline bool RecordCursor::next_short(RecordView& record) noexcept {
  std::uint64_t head = 0;
  if (left_ == 0 || end_ - at_ < static_cast<std::ptrdiff_t>(sizeof head)) return false;
  std::memcpy(&head, at_, sizeof head);
  return next_shaped<2, 2>(head, record) || next_shaped<2, 1>(head, record) ||
         next_shaped<1, 1>(head, record) || next_shaped<1, 2>(head, record);
}

}  // namespace busway::log
