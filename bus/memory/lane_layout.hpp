// `lane`: a private ring of bytes that one publisher writes its frames into. Writable by that publisher,
// readable by the topic's subscribers and the daemon. Unit 0 is the header; frames start at units 1 and up,
// never wrap around the lane's end, and are a whole number of units. Byte table: docs/memory-layout.md.
//
// A frame is hostile input to whoever reads it: load each length once, check it, use the copy.
#pragma once

#include "bus/base/limits.hpp"
#include "bus/memory/atomics.hpp"
#include "bus/memory/identity_layout.hpp"

namespace busway::memory {

/// A key or value length that says: null (Kafka's null key; a null value is a tombstone).
inline constexpr std::int32_t kNullLength = -1;

/// Before the bytes of one record: headers, then key, then value, without padding between them.
struct FrameHeader {
  std::uint32_t place;          ///< [lane:12 | unit:20] of this frame: it must name where it lies
  std::uint32_t partition;      ///< of the lane's topic: it must name the slot ring it was found through
  std::int64_t timestamp_ms;    ///< Unix time
  std::uint32_t headers_bytes;  ///< Kafka's encoding: varint count, then entries; 0 = no headers
  std::int32_t key_bytes;       ///< kNullLength = null
  std::int32_t value_bytes;     ///< kNullLength = null
  std::uint32_t reserved;       ///< 0
};
static_assert(sizeof(FrameHeader) == 32 && std::is_standard_layout_v<FrameHeader>);
static_assert(std::is_trivially_copyable_v<FrameHeader>);
static_assert(offsetof(FrameHeader, partition) == 4);
static_assert(offsetof(FrameHeader, timestamp_ms) == 8);
static_assert(offsetof(FrameHeader, headers_bytes) == 16);
static_assert(offsetof(FrameHeader, key_bytes) == 20);
static_assert(offsetof(FrameHeader, value_bytes) == 24);

struct LaneHeader {
  Identity identity;
};
static_assert(sizeof(LaneHeader) == 64 && sizeof(LaneHeader) % limits::kUnitBytes == 0,
              "the header is a whole number of units");

/// Bytes of a frame with these lengths, header included, before rounding up to units.
constexpr std::size_t frame_bytes(std::uint32_t headers, std::int32_t key, std::int32_t value) noexcept {
  return sizeof(FrameHeader) + headers + static_cast<std::size_t>(key < 0 ? 0 : key) +
         static_cast<std::size_t>(value < 0 ? 0 : value);
}

}  // namespace busway::memory
