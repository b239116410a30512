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
  // What stands before the value, in zigzag form; `rest`: bytes of key, value and headers.
  struct Lengths {
    std::uint64_t timestamp_delta;
    std::uint64_t offset_delta;
    std::uint64_t key;
    std::uint64_t value;
    std::uint64_t rest;
  };
  static std::byte* put_head(std::byte* to, const Lengths& lengths) noexcept;

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

// The record's length, attributes, both deltas and the key's length. Mostly that is at most 8 bytes, put
// together in a register: one store, no search for the highest bit, and branches that mostly go as they went
// for the record before.
[[gnu::always_inline]] inline std::byte* BatchEncoder::put_head(std::byte* to,
                                                                const Lengths& lengths) noexcept {
  // all but the timestamp's below kShortEnd; the body is at most 16 bytes longer than its rest
  const std::uint64_t longest = lengths.offset_delta | lengths.key | lengths.value | 2 * (lengths.rest + 16);
  const bool all_short = longest < varint::kShortEnd && lengths.timestamp_delta < 0x80;
  if (all_short) [[likely]] {
    const varint::Short offset = varint::short_form(lengths.offset_delta);
    const varint::Short key = varint::short_form(lengths.key);
    const unsigned value_bytes = lengths.value < 0x80 ? 1 : 2;
    const varint::Short body =
        varint::short_form(2 * (2 + offset.bytes + key.bytes + value_bytes + lengths.rest));
    const unsigned timestamp_at = 8 * (body.bytes + 1);
    const unsigned offset_at = timestamp_at + 8;
    const unsigned key_at = offset_at + 8 * offset.bytes;
    const std::uint64_t head = body.groups | lengths.timestamp_delta << timestamp_at |
                               offset.groups << offset_at | key.groups << key_at;
    static_assert(std::endian::native == std::endian::little);
    std::memcpy(to, &head, sizeof head);
    return to + key_at / 8 + key.bytes;
  }
  const std::uint64_t body =
      1 + varint::unsigned_bytes(lengths.timestamp_delta) + varint::unsigned_bytes(lengths.offset_delta) +
      varint::unsigned_bytes(lengths.key) + varint::unsigned_bytes(lengths.value) + lengths.rest;
  to = varint::write_unsigned(to, 2 * body);
  *to++ = std::byte{0};
  to = varint::write_unsigned(to, lengths.timestamp_delta);
  to = varint::write_unsigned(to, lengths.offset_delta);
  return varint::write_unsigned(to, lengths.key);
}

template <class Copy>
[[gnu::always_inline]] inline AppendResult BatchEncoder::append(const RecordParts& record,
                                                                Copy copy) noexcept {
  const std::size_t key_bytes = record.key.length();
  const std::size_t value_bytes = record.value.length();
  const std::size_t payload = record.headers.size() + key_bytes + value_bytes;
  std::byte* to = at_;
  if (static_cast<std::size_t>(end_ - to) < payload + kRecordOverheadMost) return AppendResult::full;
  const bool first = records_ == 0;
  const std::int64_t base = first ? record.timestamp_ms : base_timestamp_;
  Lengths lengths;
  lengths.timestamp_delta = varint::zigzag64(static_cast<std::int64_t>(
      static_cast<std::uint64_t>(record.timestamp_ms) - static_cast<std::uint64_t>(base)));
  lengths.offset_delta = 2 * static_cast<std::uint64_t>(static_cast<std::uint32_t>(next_delta_));
  lengths.key = varint::zigzag32(record.key.size);
  lengths.value = varint::zigzag32(record.value.size);
  lengths.rest = payload + (record.headers.empty() ? 1 : 0);  // without headers: their count, 0
  to = put_head(to, lengths);
  if (key_bytes > 0) copy(to, record.key.data, key_bytes);
  to = varint::write_short(to + key_bytes, lengths.value);
  if (value_bytes > 0) copy(to, record.value.data, value_bytes);
  to += value_bytes;
  if (record.headers.empty()) [[likely]] {
    *to++ = std::byte{0};
  } else {
    copy(to, record.headers.data(), record.headers.size());
    if (!headers_well_formed({to, record.headers.size()})) return AppendResult::bad_headers;
    to += record.headers.size();
  }
  at_ = to;
  base_timestamp_ = base;
  max_timestamp_ = first || record.timestamp_ms > max_timestamp_ ? record.timestamp_ms : max_timestamp_;
  ++records_;
  ++next_delta_;
  return AppendResult::appended;
}

}  // namespace busway::log
