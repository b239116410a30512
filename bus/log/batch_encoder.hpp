// Encodes records straight into a caller's buffer as one record batch (docs/log-format.md): no allocation,
// one copy.
//
// The source bytes may be shared memory that a hostile publisher is still changing: lengths are parameters
// (load them once and check them before), bytes are copied once, and only the copy is looked at (the headers'
// well-formedness) and checksummed. One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "bus/base/ids.hpp"
#include "bus/base/varint.hpp"
#include "bus/log/batch_format.hpp"
#include "bus/log/record_headers.hpp"
#include "bus/log/small_copy.hpp"

namespace busway::log {

/// One record to be encoded. A view.
struct RecordParts {
  std::int64_t timestamp_ms = 0;
  Bytes key;
  Bytes value;
  std::span<const std::byte> headers;  ///< already in Kafka's encoding (count, entries), or empty: no headers
};

enum class [[nodiscard]] AppendResult : std::uint8_t{
    appended,
    full,         ///< does not fit; the batch is as before: finish it and begin another
    bad_headers,  ///< the headers are not Kafka's encoding; the batch is as before: skip() or leave the
                  ///< offset to another
};

/// begin(), then append() or skip() for each offset, then finish(). The buffer is the caller's and must
/// outlive that.
class BatchEncoder {
 public:
  /// What a record takes at most beyond its headers, key and value: its varints, and what they store past
  /// their end.
  static constexpr std::size_t kRecordOverheadMost = 48;

  /// Upper bound of the bytes that a record takes in a batch.
  static constexpr std::size_t record_bytes_most(std::size_t headers, std::size_t key,
                                                 std::size_t value) noexcept {
    return headers + key + value + kRecordOverheadMost;
  }
  /// Upper bound of a batch with this one record.
  static constexpr std::size_t batch_bytes_most(std::size_t headers, std::size_t key,
                                                std::size_t value) noexcept {
    return kBatchHeaderBytes + record_bytes_most(headers, key, value);
  }

  /// Begins a batch at the start of `buffer`, which must hold at least kBatchHeaderBytes. `base_offset` is
  /// the offset of the first append() or skip().
  void begin(std::span<std::byte> buffer, std::int64_t base_offset, Epoch epoch) noexcept {
    start_ = buffer.data();
    at_ = start_ + kBatchHeaderBytes;
    end_ = start_ + buffer.size();
    base_offset_ = base_offset;
    epoch_ = epoch;
    next_delta_ = 0;
    records_ = 0;
    base_timestamp_ = max_timestamp_ = kNoTimestamp;
  }

  /// Encodes a record at the next offset. `copy(to, from, bytes)` is how its bytes are read.
  template <class Copy = SmallCopy>
  AppendResult append(const RecordParts& record, Copy copy = {}) noexcept;

  /// The next offset carries no record (a rejected frame): readers step over it.
  void skip() noexcept { ++next_delta_; }

  /// Could append() take a record of these lengths?
  bool fits(std::size_t headers, std::size_t key, std::size_t value) const noexcept {
    return room() >= record_bytes_most(headers, key, value);
  }
  std::size_t room() const noexcept { return static_cast<std::size_t>(end_ - at_); }
  /// Bytes of the batch so far, header included.
  std::size_t size() const noexcept { return static_cast<std::size_t>(at_ - start_); }
  std::int64_t next_offset() const noexcept { return base_offset_ + next_delta_; }
  std::int32_t record_count() const noexcept { return records_; }
  /// Neither a record nor a skipped offset yet: there is nothing to finish.
  bool empty() const noexcept { return next_delta_ == 0; }

  /// Writes header and CRC. The batch is the first `bytes` bytes of the buffer. Must not be empty(). The
  /// encoder then waits for begin().
  BatchSummary finish() noexcept;

 private:
  static std::byte* put(std::byte* to, Bytes bytes, auto& copy) noexcept {
    to = varint::write_short(to, varint::zigzag32(bytes.size));
    copy(to, bytes.data, bytes.length());
    return to + bytes.length();
  }

  std::byte* start_ = nullptr;
  std::byte* at_ = nullptr;
  std::byte* end_ = nullptr;
  std::int64_t base_offset_ = 0;
  std::int64_t base_timestamp_ = kNoTimestamp;
  std::int64_t max_timestamp_ = kNoTimestamp;
  std::int32_t next_delta_ = 0;
  std::int32_t records_ = 0;
  Epoch epoch_{};
};

template <class Copy>
AppendResult BatchEncoder::append(const RecordParts& record, Copy copy) noexcept {
  const std::size_t payload = record.headers.size() + record.key.length() + record.value.length();
  if (room() < payload + kRecordOverheadMost) return AppendResult::full;
  const std::int64_t base = records_ == 0 ? record.timestamp_ms : base_timestamp_;
  const std::uint64_t timestamp_delta = varint::zigzag64(static_cast<std::int64_t>(
      static_cast<std::uint64_t>(record.timestamp_ms) - static_cast<std::uint64_t>(base)));
  const std::uint32_t offset_delta = varint::zigzag32(next_delta_);
  // attributes, deltas, key length and key, value length and value, headers (a single 0 when there are none)
  const std::size_t body = 1 + varint::unsigned_bytes(timestamp_delta) +
                           varint::unsigned_bytes(offset_delta) + varint::signed_bytes(record.key.size) +
                           varint::signed_bytes(record.value.size) + payload +
                           (record.headers.empty() ? 1 : 0);
  std::byte* to = varint::write_short(at_, varint::zigzag64(static_cast<std::int64_t>(body)));
  *to++ = std::byte{0};
  to = varint::write_short(to, timestamp_delta);
  to = varint::write_short(to, offset_delta);
  to = put(to, record.key, copy);
  to = put(to, record.value, copy);
  if (record.headers.empty()) [[likely]] {
    *to++ = std::byte{0};
  } else {
    copy(to, record.headers.data(), record.headers.size());
    if (!headers_well_formed({to, record.headers.size()})) return AppendResult::bad_headers;
    to += record.headers.size();
  }
  at_ = to;
  base_timestamp_ = base;
  max_timestamp_ =
      records_ == 0 || record.timestamp_ms > max_timestamp_ ? record.timestamp_ms : max_timestamp_;
  ++records_;
  ++next_delta_;
  return AppendResult::appended;
}

}  // namespace busway::log
