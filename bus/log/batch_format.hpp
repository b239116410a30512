// Kafka's record batch, version 2 ("magic 2"), on disk: the one header that encoder, reader, recovery and the
// CLI share. Byte tables in docs/log-format.md. Source of the format: the Apache Kafka documentation, "Record
// Batch".
//
// All integers are big endian and unaligned. The CRC covers everything from `attributes` to the end of the
// batch: base offset, length, leader epoch and magic lie before it, so whoever reads checks those against
// their neighbours.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

namespace busway::log {

/// An integer in network byte order at any address.
template <std::integral T>
class BigEndian {
 public:
  T get() const noexcept {
    std::make_unsigned_t<T> value = 0;
    std::memcpy(&value, bytes_.data(), sizeof value);
    return static_cast<T>(swap(value));
  }
  void set(T value) noexcept {
    const auto swapped = swap(static_cast<std::make_unsigned_t<T>>(value));
    std::memcpy(bytes_.data(), &swapped, sizeof swapped);
  }

 private:
  static std::make_unsigned_t<T> swap(std::make_unsigned_t<T> value) noexcept {
    static_assert(std::endian::native == std::endian::little);
    if constexpr (sizeof(T) == 8) return __builtin_bswap64(value);
    if constexpr (sizeof(T) == 4) return __builtin_bswap32(value);
    if constexpr (sizeof(T) == 2) return __builtin_bswap16(value);
    return value;
  }
  std::array<std::byte, sizeof(T)> bytes_;
};

inline constexpr std::int8_t kMagic = 2;
inline constexpr std::int64_t kNoProducerId = -1;
inline constexpr std::int16_t kNoProducerEpoch = -1;
inline constexpr std::int32_t kNoSequence = -1;
inline constexpr std::int64_t kNoTimestamp = -1;

struct BatchHeader {
  BigEndian<std::int64_t> base_offset;
  BigEndian<std::int32_t> batch_length;  ///< bytes after this field
  BigEndian<std::int32_t> leader_epoch;
  BigEndian<std::int8_t> magic;        ///< kMagic
  BigEndian<std::uint32_t> crc;        ///< CRC-32C of everything behind it
  BigEndian<std::int16_t> attributes;  ///< kCodecMask and the bits below
  BigEndian<std::int32_t> last_offset_delta;
  BigEndian<std::int64_t> base_timestamp;
  BigEndian<std::int64_t> max_timestamp;
  BigEndian<std::int64_t> producer_id;
  BigEndian<std::int16_t> producer_epoch;
  BigEndian<std::int32_t> base_sequence;
  BigEndian<std::int32_t> record_count;
};
inline constexpr std::size_t kBatchHeaderBytes = 61;
static_assert(sizeof(BatchHeader) == kBatchHeaderBytes && alignof(BatchHeader) == 1);
static_assert(std::is_standard_layout_v<BatchHeader> && std::is_trivially_copyable_v<BatchHeader>);
static_assert(offsetof(BatchHeader, batch_length) == 8);
static_assert(offsetof(BatchHeader, leader_epoch) == 12);
static_assert(offsetof(BatchHeader, magic) == 16);
static_assert(offsetof(BatchHeader, crc) == 17);
static_assert(offsetof(BatchHeader, attributes) == 21);
static_assert(offsetof(BatchHeader, last_offset_delta) == 23);
static_assert(offsetof(BatchHeader, base_timestamp) == 27);
static_assert(offsetof(BatchHeader, max_timestamp) == 35);
static_assert(offsetof(BatchHeader, producer_id) == 43);
static_assert(offsetof(BatchHeader, producer_epoch) == 51);
static_assert(offsetof(BatchHeader, base_sequence) == 53);
static_assert(offsetof(BatchHeader, record_count) == 57);

/// Where `batch_length` starts to count, and where the CRC does.
inline constexpr std::size_t kBatchLengthFrom = 12;
inline constexpr std::size_t kCrcFrom = 21;
/// The least value of batch_length: a batch without a record.
inline constexpr std::int32_t kBatchLengthLeast =
    static_cast<std::int32_t>(kBatchHeaderBytes - kBatchLengthFrom);

/// Bits 0 to 2 of `attributes`.
enum class Codec : std::uint8_t { none = 0, gzip = 1, snappy = 2, lz4 = 3, zstd = 4 };
inline constexpr std::int16_t kCodecMask = 0x07;
inline constexpr std::int16_t kLogAppendTime = 0x08;  ///< every record has max_timestamp
inline constexpr std::int16_t kTransactional = 0x10;
inline constexpr std::int16_t kControl = 0x20;  ///< its records are Kafka's transaction markers, not data
inline constexpr std::int16_t kDeleteHorizon = 0x40;  ///< base_timestamp holds a compaction deadline
inline constexpr std::int16_t kKnownAttributes = 0x7F;

/// "none", "gzip", "snappy", "lz4", "zstd".
constexpr std::string_view codec_name(Codec codec) noexcept {
  constexpr std::array<std::string_view, 5> kNames{"none", "gzip", "snappy", "lz4", "zstd"};
  return static_cast<std::size_t>(codec) < kNames.size() ? kNames[static_cast<std::size_t>(codec)]
                                                         : "unknown";
}

/// Bytes, or null (a null key; a null value is a tombstone). A view: it owns nothing. Null and empty differ.
struct Bytes {
  const std::byte* data = nullptr;
  std::int32_t size = -1;  ///< -1 = null

  Bytes() noexcept = default;
  Bytes(const void* bytes, std::int32_t count) noexcept
      : data(static_cast<const std::byte*>(bytes)), size(count) {}
  Bytes(std::string_view text) noexcept  // NOLINT: implicit by design
      : Bytes(text.data(), static_cast<std::int32_t>(text.size())) {}
  Bytes(const char* text) noexcept : Bytes(std::string_view(text)) {}  // NOLINT: implicit by design
  Bytes(std::span<const std::byte> bytes) noexcept                     // NOLINT: implicit by design
      : Bytes(bytes.data(), static_cast<std::int32_t>(bytes.size())) {}

  bool is_null() const noexcept { return size < 0; }
  /// Bytes without the difference between null and empty.
  std::size_t length() const noexcept { return size < 0 ? 0 : static_cast<std::size_t>(size); }
  std::span<const std::byte> span() const noexcept { return {data, length()}; }
  std::string_view text() const noexcept { return {reinterpret_cast<const char*>(data), length()}; }
};

/// What a log keeps in mind of a batch once its bytes are gone.
struct BatchSummary {
  std::int64_t base_offset = 0;
  std::int64_t last_offset = -1;
  std::int64_t max_timestamp_ms = kNoTimestamp;
  std::int32_t leader_epoch = 0;
  std::int32_t record_count = 0;
  std::int32_t bytes = 0;  ///< of the whole batch, header included
  Codec codec = Codec::none;

  std::int64_t next_offset() const noexcept { return last_offset + 1; }
};

}  // namespace busway::log
