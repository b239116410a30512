// The words of the API: bytes, headers, records to publish, positions, where to start reading.
//
// Views (BytesView, HeaderList, NewRecord) own nothing: like std::string_view they must not outlive what they
// show.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <map>
#include <optional>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace busway {

using namespace std::chrono_literals;

/// Place of a record in its partition, from 0 on; Kafka's offset.
using Offset = std::int64_t;

/// A view of bytes, or null. Null and empty differ, as in Kafka: a null value is a tombstone.
class BytesView {
 public:
  constexpr BytesView() noexcept = default;  ///< null
  constexpr BytesView(std::nullptr_t) noexcept {}
  constexpr BytesView(const std::byte* data, std::size_t size) noexcept
      : data_(data), size_(size), null_(false) {}
  BytesView(const char* text) noexcept : BytesView(std::string_view(text)) {}
  BytesView(std::string_view text) noexcept
      : BytesView(reinterpret_cast<const std::byte*>(text.data()), text.size()) {}
  BytesView(const std::string& text) noexcept : BytesView(std::string_view(text)) {}
  /// Any contiguous range of byte-sized trivially copyable items: span, vector<std::byte>, array<unsigned
  /// char, N>, ...
  template <std::ranges::contiguous_range R>
  requires(sizeof(std::ranges::range_value_t<R>) == 1 &&
           std::is_trivially_copyable_v<std::ranges::range_value_t<R>> &&
           !std::convertible_to<R, std::string_view>) BytesView(const R& range)
  noexcept
      : BytesView(reinterpret_cast<const std::byte*>(std::ranges::data(range)), std::ranges::size(range)) {}

  /// `length` as Kafka counts: negative means null.
  static constexpr BytesView of_length(const std::byte* data, std::int64_t length) noexcept {
    BytesView view;
    view.data_ = length < 0 ? nullptr : data;
    view.size_ = length < 0 ? 0 : static_cast<std::size_t>(length);
    view.null_ = length < 0;
    return view;
  }

  constexpr bool is_null() const noexcept { return null_; }
  constexpr bool empty() const noexcept { return size_ == 0; }
  constexpr const std::byte* data() const noexcept { return data_; }
  constexpr std::size_t size() const noexcept { return size_; }
  constexpr const std::byte* begin() const noexcept { return data_; }
  constexpr const std::byte* end() const noexcept { return data_ + size_; }
  std::string_view text() const noexcept { return {reinterpret_cast<const char*>(data_), size_}; }
  std::span<const std::byte> span() const noexcept { return {data_, size_}; }

  /// Byte-wise; null equals null only.
  friend bool operator==(BytesView a, BytesView b) noexcept {
    return a.null_ == b.null_ && a.size_ == b.size_ &&
           (a.size_ == 0 || std::memcmp(a.data_, b.data_, a.size_) == 0);
  }

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  bool null_ = true;
};

/// One header of a record. Names may repeat; order is kept.
struct Header {
  std::string_view name;
  BytesView value;
};

/// A view of headers: from a braced list (valid to the end of the full expression) or from any contiguous
/// range.
class HeaderList {
 public:
  constexpr HeaderList() noexcept = default;
  constexpr HeaderList(std::initializer_list<Header> list) noexcept
      : data_(std::data(list)), size_(list.size()) {}
  constexpr HeaderList(std::span<const Header> list) noexcept : data_(list.data()), size_(list.size()) {}
  constexpr const Header* begin() const noexcept { return data_; }
  constexpr const Header* end() const noexcept { return data_ + size_; }
  constexpr std::size_t size() const noexcept { return size_; }
  constexpr bool empty() const noexcept { return size_ == 0; }

 private:
  const Header* data_ = nullptr;
  std::size_t size_ = 0;
};

/// A record to publish.
struct NewRecord {
  BytesView key{};
  BytesView value{};
  HeaderList headers{};
  /// Unix time in milliseconds; without one the publisher stamps it (PublisherOptions::precise_time).
  std::optional<std::int64_t> timestamp_ms{};
  /// Without one: murmur2 of the key as Kafka's default partitioner does it; without a key, partitions in
  /// turn (one for each 16 KiB of records, as Kafka's sticky partitioner).
  std::optional<std::int32_t> partition{};
};

/// Where a record went. Two words, so that it is returned in registers.
struct Position {
  Offset offset = 0;
  std::int32_t partition = 0;
  std::int32_t epoch = 0;  ///< leader epoch under which the offset was given
  friend bool operator==(const Position&, const Position&) = default;
};

/// Where a subscriber starts in each partition.
class StartAt {
 public:
  enum class Kind { earliest, latest, offset, time };
  constexpr StartAt(Kind kind, std::int64_t value = 0) noexcept : kind_(kind), value_(value) {}
  constexpr Kind kind() const noexcept { return kind_; }
  constexpr std::int64_t value() const noexcept { return value_; }  ///< the offset, or Unix ms

 private:
  Kind kind_;
  std::int64_t value_;
};

inline constexpr StartAt earliest{StartAt::Kind::earliest};
inline constexpr StartAt latest{StartAt::Kind::latest};
constexpr StartAt at_offset(Offset offset) noexcept { return {StartAt::Kind::offset, offset}; }
/// The first record whose timestamp is not before `unix_ms`.
constexpr StartAt at_time(std::int64_t unix_ms) noexcept { return {StartAt::Kind::time, unix_ms}; }

/// Tag: return after the record was fdatasync'ed.
struct Durable {};
inline constexpr Durable durable{};

/// Topic settings by Kafka's names: {{"retention.ms", "86400000"}}.
using Settings = std::map<std::string, std::string>;

struct TopicSpec {
  std::int32_t partitions = 1;
  Settings config{};
};

struct PartitionInfo {
  std::int32_t partition = 0;
  Offset log_start = 0;
  Offset log_end = 0;
  Offset written = 0;  ///< every offset below is in the log file
  Offset durable = 0;  ///< every offset below was fdatasync'ed
  std::int32_t epoch = 0;
  std::uint32_t ring_slots = 0;  ///< 0: nobody is attached
  std::uint64_t log_bytes = 0;
  std::uint32_t segments = 0;
  std::string state;  ///< "active", "failed: ...", "disk full"
};

struct TopicInfo {
  std::string name;
  std::string uuid;
  Settings config;
  std::vector<PartitionInfo> partitions;
};

}  // namespace busway
