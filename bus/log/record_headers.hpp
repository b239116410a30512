// A record's headers between {name, value} pairs and Kafka's encoding: varint count, then for each the name's
// length and bytes (UTF-8) and the value's length (-1 = null) and bytes. Names may repeat; order is kept.
//
// Decoding takes hostile bytes. Everything is a view: nothing here owns bytes. Thread safe (no state).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "bus/log/batch_format.hpp"

namespace busway::log {

struct HeaderView {
  std::string_view name;
  Bytes value;
};

/// Exact bytes that encode_headers() writes; 1 for an empty list (a count of 0).
[[nodiscard]] std::size_t encoded_headers_bytes(std::span<const HeaderView> headers) noexcept;

/// Writes the encoding to `to`, which has encoded_headers_bytes() bytes. Returns the byte after it.
std::byte* encode_headers(std::byte* to, std::span<const HeaderView> headers) noexcept;

/// The encoding as bytes of its own; empty for an empty list (as FrameHeader and RecordParts say "no
/// headers").
[[nodiscard]] std::vector<std::byte> encode_headers(std::span<const HeaderView> headers);

/// Does `encoded` hold exactly a list of headers? (Empty bytes do not: a list without headers is one byte,
/// 0.)
[[nodiscard]] bool headers_well_formed(std::span<const std::byte> encoded) noexcept;

/// Walks an encoded list. Empty bytes are an empty list. Stops at the first malformed entry.
class HeaderCursor {
 public:
  explicit HeaderCursor(std::span<const std::byte> encoded) noexcept;
  /// The next header, a view into the encoded bytes; false at the end or at malformed bytes (see ok()).
  [[nodiscard]] bool next(HeaderView& header) noexcept;
  /// Headers not yet handed out, as the count says.
  std::int32_t left() const noexcept { return left_; }
  /// False once something did not parse, or bytes remain behind the last header.
  bool ok() const noexcept { return ok_; }

 private:
  bool fail() noexcept;
  const std::byte* at_ = nullptr;
  const std::byte* end_ = nullptr;
  std::int32_t left_ = 0;
  bool ok_ = true;
};

}  // namespace busway::log
