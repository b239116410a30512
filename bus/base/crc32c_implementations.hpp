// The implementations of CRC-32C that need CPU features: see crc32c_x86.cpp. Internal to bus/base/crc32c*.
#pragma once

#include <cstddef>
#include <cstdint>

namespace busway::crc32c_detail {

#if defined(__x86_64__)
bool has_sse42() noexcept;
bool has_vpclmulqdq() noexcept;
std::uint32_t by_sse42(const void* data, std::size_t bytes, std::uint32_t before) noexcept;
std::uint32_t by_vpclmulqdq(const void* data, std::size_t bytes, std::uint32_t before) noexcept;
#endif

}  // namespace busway::crc32c_detail
