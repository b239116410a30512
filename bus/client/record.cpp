// Decoding of a record's headers. They come from other processes: a malformed entry ends the iteration.
#include <busway/record.hpp>

#include "bus/base/varint.hpp"

namespace busway {
namespace {

/// A length and that many bytes; null for anything that does not fit. `allow_null`: a length of -1 is a null
/// value.
const std::byte* read_field(const std::byte* at, const std::byte* end, bool allow_null,
                            BytesView& field) noexcept {
  std::int32_t length = 0;
  at = varint::read_signed32(at, end, length);
  if (at == nullptr) return nullptr;
  if (length < 0) {
    field = BytesView();
    return allow_null && length == -1 ? at : nullptr;
  }
  if (length > end - at) return nullptr;
  field = BytesView(at, static_cast<std::size_t>(length));
  return at + length;
}

}  // namespace

Headers::iterator::iterator(const std::byte* at, const std::byte* end, std::uint32_t left) noexcept
    : at_(at), end_(end), left_(left) {
  decode();
}

void Headers::iterator::decode() noexcept {
  if (left_ == 0) return;
  BytesView name;
  const std::byte* at = read_field(at_, end_, false, name);
  if (at != nullptr) at = read_field(at, end_, true, header_.value);
  if (at == nullptr) {
    left_ = 0;
    return;
  }
  header_.name = name.text();
  at_ = at;
}

Headers::iterator& Headers::iterator::operator++() noexcept {
  --left_;
  decode();
  return *this;
}

Headers::Headers(std::span<const std::byte> encoded) noexcept {
  if (encoded.empty()) return;
  std::int32_t count = 0;
  const std::byte* end = encoded.data() + encoded.size();
  const std::byte* at = varint::read_signed32(encoded.data(), end, count);
  if (at == nullptr || count <= 0) return;
  entries_ = {at, end};
  count_ = static_cast<std::uint32_t>(count);
}

Headers::iterator Headers::begin() const noexcept {
  return {entries_.data(), entries_.data() + entries_.size(), count_};
}

std::optional<BytesView> Record::header(std::string_view name) const noexcept {
  std::optional<BytesView> found;
  for (const Header& header : headers()) {
    if (header.name == name) found = header.value;
  }
  return found;
}

}  // namespace busway
