// The records that load_pub publishes and load_sub checks: who published it, as which of its records, and
// bytes that follow from these two, so that a torn or mixed-up record is found out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

namespace busway::test {

struct LoadId {
  std::uint32_t publisher = 0;
  std::uint64_t sequence = 0;  ///< from 0 on, without a gap
  friend bool operator==(const LoadId&, const LoadId&) = default;
};

inline constexpr std::size_t kLoadHead = sizeof(std::uint32_t) + sizeof(std::uint64_t);

/// Between 0 and 99 bytes behind the head, now and then 20,000: more than a small lane's share.
inline std::size_t load_tail_bytes(LoadId id) {
  return id.sequence % 5000 == 4999 ? 20'000
                                    : static_cast<std::size_t>((id.sequence * 7 + id.publisher) % 100);
}

inline char load_tail_byte(LoadId id, std::size_t at) {
  return static_cast<char>(id.publisher * 31 + id.sequence * 17 + at);
}

/// The value of the record `id`, in `buffer`.
inline void make_load(std::string& buffer, LoadId id) {
  const std::size_t tail = load_tail_bytes(id);
  buffer.resize(kLoadHead + tail);
  std::memcpy(buffer.data(), &id.publisher, sizeof id.publisher);
  std::memcpy(buffer.data() + sizeof id.publisher, &id.sequence, sizeof id.sequence);
  for (std::size_t at = 0; at < tail; ++at) buffer[kLoadHead + at] = load_tail_byte(id, at);
}

/// False: these are not the bytes that make_load makes.
inline bool read_load(std::span<const std::byte> value, LoadId& id) {
  if (value.size() < kLoadHead) return false;
  std::memcpy(&id.publisher, value.data(), sizeof id.publisher);
  std::memcpy(&id.sequence, value.data() + sizeof id.publisher, sizeof id.sequence);
  if (value.size() != kLoadHead + load_tail_bytes(id)) return false;
  for (std::size_t at = kLoadHead; at < value.size(); ++at) {
    if (static_cast<char>(value[at]) != load_tail_byte(id, at - kLoadHead)) return false;
  }
  return true;
}

/// What load_sub writes for each record.
struct SeenRecord {
  std::int64_t offset = 0;
  std::uint64_t sequence = 0;
  std::uint64_t publisher = 0;
  friend bool operator==(const SeenRecord&, const SeenRecord&) = default;
};

}  // namespace busway::test
