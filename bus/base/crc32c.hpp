// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), the checksum of Kafka's record batches.
//
// Several implementations give the same values; the fastest one that the CPU has is chosen once, at the first
// call. Everything here is pure and thread safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace busway {

/// CRC-32C of `bytes`. Incremental: crc32c(b, crc32c(a)) is the checksum of a followed by b; start with 0.
[[nodiscard]] std::uint32_t crc32c(const void* data, std::size_t bytes, std::uint32_t before = 0) noexcept;

[[nodiscard]] inline std::uint32_t crc32c(std::span<const std::byte> bytes,
                                          std::uint32_t before = 0) noexcept {
  return crc32c(bytes.data(), bytes.size(), before);
}

namespace crc32c_detail {

using Function = std::uint32_t (*)(const void* data, std::size_t bytes, std::uint32_t before) noexcept;

struct Implementation {
  const char* name;           ///< "vpclmulqdq", "sse4.2", "table"
  bool (*usable)() noexcept;  ///< does this CPU (and its operating system) have what it needs?
  Function function;
};

/// All of them, best first; the last one runs everywhere. For tests and benchmarks.
[[nodiscard]] std::span<const Implementation> implementations() noexcept;

}  // namespace crc32c_detail
}  // namespace busway
