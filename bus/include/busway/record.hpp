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
        partition_(partition),
        key_(BytesView::of_length(body + headers_bytes, key_bytes)),
        value_(BytesView::of_length(body + headers_bytes + (key_bytes > 0 ? key_bytes : 0), value_bytes)),
        headers_(body, headers_bytes) {}
  explicit Record(const Fields& fields) noexcept
      : offset_(fields.offset),
        timestamp_ms_(fields.timestamp_ms),
        partition_(fields.partition),
        key_(fields.key),
        value_(fields.value),
        headers_(fields.headers) {}

  Offset offset() const noexcept { return offset_; }
  std::int32_t partition() const noexcept { return partition_; }
  /// Unix time in milliseconds.
  std::int64_t timestamp_ms() const noexcept { return timestamp_ms_; }
  BytesView key() const noexcept { return key_; }
  BytesView value() const noexcept { return value_; }  ///< null: a tombstone
  Headers headers() const noexcept { return Headers(headers_); }
  /// The last header of that name, as Kafka's lastHeader.
  std::optional<BytesView> header(std::string_view name) const noexcept;
  /// Kafka's encoding of the headers, for those who pass a record on.
  std::span<const std::byte> encoded_headers() const noexcept { return headers_; }

 private:
  Offset offset_ = 0;
  std::int64_t timestamp_ms_ = 0;
  std::int32_t partition_ = 0;
  BytesView key_;
  BytesView value_;
  std::span<const std::byte> headers_;
};

}  // namespace busway
