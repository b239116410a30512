#include "bus/base/crc32c.hpp"

#include <atomic>
#include <cstring>

#include "bus/base/crc32c_implementations.hpp"
#include "bus/base/crc32c_math.hpp"

namespace busway {
namespace crc32c_detail {
namespace {

// kSlices[k][b]: what byte b contributes when k more bytes follow it in the same step ("slicing by 8").
constexpr auto kSlices = [] {
  std::array<std::array<std::uint32_t, 256>, 8> slices{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = times_x(crc);
    slices[0][byte] = crc;
  }
  for (std::size_t k = 1; k < slices.size(); ++k) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t before = slices[k - 1][byte];
      slices[k][byte] = (before >> 8) ^ slices[0][before & 0xFF];
    }
  }
  return slices;
}();

std::uint32_t by_table(const void* data, std::size_t bytes, std::uint32_t before) noexcept {
  const auto* at = static_cast<const unsigned char*>(data);
  std::uint32_t crc = ~before;
  for (; bytes >= 8; bytes -= 8, at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, sizeof word);
    word ^= crc;
    crc = 0;
    for (std::size_t k = 0; k < 8; ++k) crc ^= kSlices[7 - k][(word >> (8 * k)) & 0xFF];
  }
  for (; bytes > 0; --bytes, ++at) crc = (crc >> 8) ^ kSlices[0][(crc ^ *at) & 0xFF];
  return ~crc;
}

bool always() noexcept { return true; }

#if defined(__x86_64__)
constexpr std::array kImplementations{
    Implementation{"vpclmulqdq", has_vpclmulqdq, by_vpclmulqdq},
    Implementation{"sse4.2", has_sse42, by_sse42},
    Implementation{"table", always, by_table},
};
#else
constexpr std::array kImplementations{Implementation{"table", always, by_table}};
#endif

std::uint32_t choose_first(const void* data, std::size_t bytes, std::uint32_t before) noexcept;

// Starts as the function that chooses. Relaxed: every thread that races to replace it stores the same value,
// and nothing else is published by it.
std::atomic<Function> chosen{choose_first};

std::uint32_t choose_first(const void* data, std::size_t bytes, std::uint32_t before) noexcept {
  Function best = by_table;
  for (const Implementation& candidate : kImplementations) {
    if (candidate.usable()) {
      best = candidate.function;
      break;
    }
  }
  chosen.store(best, std::memory_order_relaxed);
  return best(data, bytes, before);
}

}  // namespace

std::span<const Implementation> implementations() noexcept { return kImplementations; }

}  // namespace crc32c_detail

std::uint32_t crc32c(const void* data, std::size_t bytes, std::uint32_t before) noexcept {
  return crc32c_detail::chosen.load(std::memory_order_relaxed)(data, bytes, before);
}

}  // namespace busway
