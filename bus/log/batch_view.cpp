#include "bus/log/batch_view.hpp"

#include <cstring>
#include <limits>

#include "bus/base/crc32c.hpp"
#include "bus/base/varint.hpp"

namespace busway::log {

std::string_view text(BatchError error) noexcept {
  switch (error) {
    case BatchError::none:
      return "valid";
    case BatchError::incomplete:
      return "incomplete batch";
    case BatchError::bad_length:
      return "impossible batch length";
    case BatchError::bad_magic:
      return "not a version 2 batch";
    case BatchError::bad_crc:
      return "checksum mismatch";
    case BatchError::bad_attributes:
      return "unknown attributes";
    case BatchError::bad_counts:
      return "contradictory record count or offsets";
    case BatchError::bad_record:
      return "malformed record";
    case BatchError::bad_compressed:
      return "compressed records do not decompress";
    case BatchError::too_large:
      return "records exceed the limit when decompressed";
    case BatchError::wrong_offset:
      return "base offset does not follow";
    case BatchError::wrong_epoch:
      return "leader epoch does not follow";
  }
  return "unknown error";
}

BatchError BatchView::parse_header(std::span<const std::byte> bytes, BatchView& view,
                                   std::int32_t most) noexcept {
  if (bytes.size() < kBatchHeaderBytes) return BatchError::incomplete;
  const auto& header = *reinterpret_cast<const BatchHeader*>(bytes.data());
  if (header.magic.get() != kMagic) return BatchError::bad_magic;
  const std::int32_t length = header.batch_length.get();
  constexpr auto kBefore = static_cast<std::int32_t>(kBatchLengthFrom);
  if (length < kBatchLengthLeast || length > most - kBefore) return BatchError::bad_length;
  const std::int16_t attributes = header.attributes.get();
  const auto codec = static_cast<std::uint8_t>(attributes & kCodecMask);
  if ((attributes & ~kKnownAttributes) != 0 || codec > static_cast<std::uint8_t>(Codec::zstd)) {
    return BatchError::bad_attributes;
  }
  const std::int64_t base = header.base_offset.get();
  const std::int32_t delta = header.last_offset_delta.get();
  const std::int32_t count = header.record_count.get();
  // a compacted batch has fewer records than offsets, never more
  if (base < 0 || delta < 0 || count < 0 || count - 1 > delta) return BatchError::bad_counts;
  if (base > std::numeric_limits<std::int64_t>::max() - delta - 1) return BatchError::bad_counts;
  view.start_ = bytes.data();
  view.summary_.base_offset = base;
  view.summary_.last_offset = base + delta;
  view.summary_.max_timestamp_ms = header.max_timestamp.get();
  view.summary_.leader_epoch = header.leader_epoch.get();
  view.summary_.record_count = count;
  view.summary_.bytes = length + kBefore;
  view.summary_.codec = static_cast<Codec>(codec);
  return BatchError::none;
}

BatchError BatchView::parse(std::span<const std::byte> bytes, BatchView& view, std::int32_t most) noexcept {
  if (const BatchError error = parse_header(bytes, view, most); error != BatchError::none) return error;
  const auto size = static_cast<std::size_t>(view.summary_.bytes);
  if (bytes.size() < size) return BatchError::incomplete;
  const std::uint32_t crc = crc32c(bytes.data() + kCrcFrom, size - kCrcFrom);
  return crc == view.header().crc.get() ? BatchError::none : BatchError::bad_crc;
}

BatchError BatchView::follows(std::int64_t next_offset, std::int32_t epoch, bool gaps) const noexcept {
  if (base_offset() != next_offset && !(gaps && base_offset() > next_offset)) return BatchError::wrong_offset;
  if (epoch >= 0 && leader_epoch() != epoch) return BatchError::wrong_epoch;
  return BatchError::none;
}

RecordCursor::RecordCursor(const BatchView& batch, std::span<const std::byte> records) noexcept
    : at_(records.data()),
      end_(records.data() + records.size()),
      base_offset_(batch.base_offset()),
      base_timestamp_(batch.header().base_timestamp.get()),
      append_timestamp_(batch.max_timestamp_ms()),
      left_(batch.record_count()),
      last_delta_(batch.header().last_offset_delta.get()),
      append_time_((batch.header().attributes.get() & kLogAppendTime) != 0) {
  if (left_ == 0 && at_ != end_) fail();
}

bool RecordCursor::fail() noexcept {
  error_ = BatchError::bad_record;
  left_ = 0;
  return false;
}

namespace {

// A length (-1 = null) and that many bytes.
const std::byte* read_nullable(const std::byte* at, const std::byte* end, Bytes& bytes) noexcept {
  std::int32_t length = 0;
  at = varint::read_signed32(at, end, length);
  if (at == nullptr || length < -1 || length > end - at) return nullptr;
  bytes.size = length;
  bytes.data = length < 0 ? nullptr : at;
  return at + (length < 0 ? 0 : length);
}

constexpr std::ptrdiff_t kRecordLeast = 6;  // attributes, two deltas, two lengths, header count

}  // namespace

bool RecordCursor::next_any(RecordView& record) noexcept {
  if (left_ == 0) return false;
  std::int32_t length = 0;
  if (end_ - at_ < 1 + kRecordLeast) return fail();
  const std::byte* at = varint::read_signed32(at_, end_, length);
  if (at == nullptr || length < kRecordLeast || length > end_ - at) return fail();
  const std::byte* const end = at + length;
  ++at;  // attributes: none is defined
  std::int32_t delta = 0;
  std::int64_t timestamp_delta = 0;
  at = varint::read_signed64(at, end, timestamp_delta);
  if (at == nullptr) return fail();
  at = varint::read_signed32(at, end, delta);
  if (at == nullptr || delta <= previous_delta_ || delta > last_delta_) return fail();
  at = read_nullable(at, end, record.key);
  if (at == nullptr) return fail();
  at = read_nullable(at, end, record.value);
  if (at == nullptr || at == end) return fail();
  if (*at == std::byte{0} && end - at != 1) return fail();
  record.headers = {at, end};
  record.offset = base_offset_ + delta;
  record.timestamp_ms = append_time_ ? append_timestamp_ : detail::plus(base_timestamp_, timestamp_delta);
  previous_delta_ = delta;
  at_ = end;
  --left_;
  if (left_ == 0 && at_ != end_) return fail();
  return true;
}

}  // namespace busway::log
