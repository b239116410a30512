#include "bus/log/record_headers.hpp"

#include <cstring>

#include "bus/base/varint.hpp"

namespace busway::log {
namespace {

std::byte* copy(std::byte* to, const void* from, std::size_t bytes) noexcept {
  if (bytes > 0) std::memcpy(to, from, bytes);
  return to + bytes;
}

// A length and that many bytes. `least` is -1 where null is allowed.
const std::byte* read_bytes(const std::byte* at, const std::byte* end, std::int32_t least,
                            Bytes& bytes) noexcept {
  std::int32_t length = 0;
  at = varint::read_signed32(at, end, length);
  if (at == nullptr || length < least || length > end - at) return nullptr;
  bytes = length < 0 ? Bytes() : Bytes(at, length);
  return at + bytes.length();
}

}  // namespace

std::size_t encoded_headers_bytes(std::span<const HeaderView> headers) noexcept {
  std::size_t bytes = varint::signed_bytes(static_cast<std::int64_t>(headers.size()));
  for (const HeaderView& header : headers) {
    bytes += varint::signed_bytes(static_cast<std::int64_t>(header.name.size())) + header.name.size();
    bytes += varint::signed_bytes(header.value.size) + header.value.length();
  }
  return bytes;
}

std::byte* encode_headers(std::byte* to, std::span<const HeaderView> headers) noexcept {
  to = varint::write_signed(to, static_cast<std::int64_t>(headers.size()));
  for (const HeaderView& header : headers) {
    to = varint::write_signed(to, static_cast<std::int64_t>(header.name.size()));
    to = copy(to, header.name.data(), header.name.size());
    to = varint::write_signed(to, header.value.size);
    to = copy(to, header.value.data, header.value.length());
  }
  return to;
}

std::vector<std::byte> encode_headers(std::span<const HeaderView> headers) {
  std::vector<std::byte> encoded;
  if (headers.empty()) return encoded;
  encoded.resize(encoded_headers_bytes(headers));
  encode_headers(encoded.data(), headers);
  return encoded;
}

bool headers_well_formed(std::span<const std::byte> encoded) noexcept {
  if (encoded.empty()) return false;
  HeaderCursor cursor(encoded);
  HeaderView header;
  while (cursor.next(header)) {
  }
  return cursor.ok();
}

HeaderCursor::HeaderCursor(std::span<const std::byte> encoded) noexcept
    : at_(encoded.data()), end_(encoded.data() + encoded.size()) {
  if (encoded.empty()) return;
  std::int32_t count = 0;
  const std::byte* next = varint::read_signed32(at_, end_, count);
  // an entry takes at least two bytes: a count beyond that is nonsense, and need not be walked
  if (next == nullptr || count < 0 || count > (end_ - next) / 2) {
    fail();
    return;
  }
  at_ = next;
  left_ = count;
  if (left_ == 0 && at_ != end_) fail();
}

bool HeaderCursor::fail() noexcept {
  ok_ = false;
  left_ = 0;
  return false;
}

bool HeaderCursor::next(HeaderView& header) noexcept {
  if (left_ == 0) return false;
  Bytes name;
  const std::byte* at = read_bytes(at_, end_, 0, name);
  if (at != nullptr) at = read_bytes(at, end_, -1, header.value);
  if (at == nullptr) return fail();
  header.name = name.text();
  at_ = at;
  --left_;
  if (left_ == 0 && at_ != end_) return fail();
  return true;
}

}  // namespace busway::log
