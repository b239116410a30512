// A record as a subscriber sees it.
#pragma once

#include <cstdint>
#include <iterator>
#include <optional>
#include <string_view>

#include <busway/types.hpp>

namespace busway {

/// Iterates the headers of a record. They are decoded as they are met: nothing is allocated.
class Headers {
 public:
  class iterator {  // NOLINT(readability-identifier-naming): what the standard library calls it
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Header;
    using difference_type = std::ptrdiff_t;
    using pointer = const Header*;
    using reference = const Header&;

    iterator() noexcept = default;
    iterator(const std::byte* at, const std::byte* end, std::uint32_t left) noexcept;
    const Header& operator*() const noexcept { return header_; }
    const Header* operator->() const noexcept { return &header_; }
    iterator& operator++() noexcept;
    iterator operator++(int) noexcept {
      iterator before = *this;
      ++*this;
      return before;
    }
    friend bool operator==(const iterator& a, const iterator& b) noexcept { return a.left_ == b.left_; }

   private:
    void decode() noexcept;
    const std::byte* at_ = nullptr;
    const std::byte* end_ = nullptr;
    std::uint32_t left_ = 0;  ///< headers from the current one to the end
    Header header_;
  };

  Headers() noexcept = default;
  /// `encoded`: Kafka's encoding, a varint count and that many entries; empty = no headers. A malformed tail
  /// ends the iteration: headers come from other processes.
  explicit Headers(std::span<const std::byte> encoded) noexcept;
  iterator begin() const noexcept;
  iterator end() const noexcept { return {}; }
  std::size_t size() const noexcept { return count_; }
  bool empty() const noexcept { return count_ == 0; }

 private:
  std::span<const std::byte> entries_;
  std::uint32_t count_ = 0;
};

/// A view of one record. Valid until the next poll of its subscriber, in a poll_in_place callback until it
/// returns.
class Record {
 public:
  struct Fields {
    Offset offset = 0;
    std::int64_t timestamp_ms = 0;
    std::int32_t partition = 0;
    BytesView key;
    BytesView value;
    std::span<const std::byte> headers;
  };
  Record() noexcept = default;
  /// Whose headers, key and value lie behind each other at `body`; lengths as Kafka counts them.
  Record(Offset offset, std::int64_t timestamp_ms, std::int32_t partition, const std::byte* body,
         std::uint32_t headers_bytes, std::int32_t key_bytes, std::int32_t value_bytes) noexcept
      : offset_(offset),
        timestamp_ms_(timestamp_ms),
        headers_(body),
        key_(body + headers_bytes),
        value_(body + headers_bytes + (key_bytes > 0 ? key_bytes : 0)),
        partition_(partition),
        headers_bytes_(headers_bytes),
        key_bytes_(key_bytes),
        value_bytes_(value_bytes) {}
  /// Whose parts lie anywhere; each is shorter than 2 GiB.
  explicit Record(const Fields& fields) noexcept
      : offset_(fields.offset),
        timestamp_ms_(fields.timestamp_ms),
        headers_(fields.headers.data()),
        key_(fields.key.data()),
        value_(fields.value.data()),
        partition_(fields.partition),
        headers_bytes_(static_cast<std::uint32_t>(fields.headers.size())),
        key_bytes_(length_of(fields.key)),
        value_bytes_(length_of(fields.value)) {}

  Offset offset() const noexcept { return offset_; }
  std::int32_t partition() const noexcept { return partition_; }
  /// Unix time in milliseconds.
  std::int64_t timestamp_ms() const noexcept { return timestamp_ms_; }
  BytesView key() const noexcept { return BytesView::of_length(key_, key_bytes_); }
  /// Null: a tombstone.
  BytesView value() const noexcept { return BytesView::of_length(value_, value_bytes_); }
  Headers headers() const noexcept { return Headers(encoded_headers()); }
  /// The last header of that name, as Kafka's lastHeader.
  std::optional<BytesView> header(std::string_view name) const noexcept;
  /// Kafka's encoding of the headers, for those who pass a record on.
  std::span<const std::byte> encoded_headers() const noexcept { return {headers_, headers_bytes_}; }

 private:
  static std::int32_t length_of(const BytesView& bytes) noexcept {
    return bytes.is_null() ? -1 : static_cast<std::int32_t>(bytes.size());
  }

  Offset offset_ = 0;
  std::int64_t timestamp_ms_ = 0;
  const std::byte* headers_ = nullptr;
  const std::byte* key_ = nullptr;
  const std::byte* value_ = nullptr;
  std::int32_t partition_ = 0;
  std::uint32_t headers_bytes_ = 0;
  std::int32_t key_bytes_ = -1;  ///< -1: null
  std::int32_t value_bytes_ = -1;
};
static_assert(sizeof(Record) == 56, "a poll hands out many: less than a cache line each");

}  // namespace busway
