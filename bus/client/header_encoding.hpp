// Headers of a record to publish, in the encoding that frames and Kafka's record batches share: varint count,
// then for each the name's length and bytes and the value's length (-1 = null) and bytes. An empty list is
// encoded as nothing at all. Thread safe (no state).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <busway/types.hpp>

#include "bus/base/varint.hpp"

namespace busway::client {

/// Exact bytes that encode_headers() writes. Lengths beyond 2^31 give sums beyond every limit.
inline std::size_t encoded_headers_bytes(const HeaderList& headers) noexcept {
  if (headers.empty()) return 0;
  std::size_t bytes = varint::signed_bytes(static_cast<std::int64_t>(headers.size()));
  for (const Header& header : headers) {
    bytes += varint::signed_bytes(static_cast<std::int64_t>(header.name.size())) + header.name.size();
    bytes += header.value.is_null()
                 ? varint::signed_bytes(-1)
                 : varint::signed_bytes(static_cast<std::int64_t>(header.value.size())) + header.value.size();
  }
  return bytes;
}

/// Writes the encoding to `to`; returns the byte after it.
inline std::byte* encode_headers(std::byte* to, const HeaderList& headers) noexcept {
  if (headers.empty()) return to;
  const auto put = [&to](const void* bytes, std::size_t count) {
    to = varint::write_signed(to, static_cast<std::int64_t>(count));
    if (count != 0) std::memcpy(to, bytes, count);
    to += count;
  };
  to = varint::write_signed(to, static_cast<std::int64_t>(headers.size()));
  for (const Header& header : headers) {
    put(header.name.data(), header.name.size());
    if (header.value.is_null())
      to = varint::write_signed(to, -1);
    else
      put(header.value.data(), header.value.size());
  }
  return to;
}

}  // namespace busway::client
