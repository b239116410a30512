// Arithmetic behind the CRC-32C implementations, at compile time: polynomials over GF(2) modulo Castagnoli's,
// bit reflected (the most significant bit of the word is the coefficient of x^0). Internal to
// bus/base/crc32c*.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace busway::crc32c_detail {

inline constexpr std::uint32_t kPolynomial = 0x82F63B78;

constexpr std::uint32_t times_x(std::uint32_t a) noexcept {
  return (a >> 1) ^ ((a & 1U) != 0 ? kPolynomial : 0U);
}

/// a * b mod P.
constexpr std::uint32_t multiply(std::uint32_t a, std::uint32_t b) noexcept {
  std::uint32_t product = 0;
  for (std::uint32_t bit = 0x80000000U; bit != 0; bit >>= 1) {
    if ((a & bit) != 0) product ^= b;
    b = times_x(b);
  }
  return product;
}

/// x^n mod P.
constexpr std::uint32_t power_of_x(std::uint64_t n) noexcept {
  std::uint32_t result = 0x80000000U;  // x^0
  std::uint32_t square = 0x40000000U;  // x^1
  for (; n != 0; n >>= 1) {
    if ((n & 1U) != 0) result = multiply(result, square);
    square = multiply(square, square);
  }
  return result;
}

using ByteTables = std::array<std::array<std::uint32_t, 256>, 4>;

/// Tables that multiply a 32-bit word by `factor`, byte by byte: t[0][low byte] ^ ... ^ t[3][high byte].
constexpr ByteTables multiplication_tables(std::uint32_t factor) noexcept {
  ByteTables tables{};
  for (unsigned byte = 0; byte < 4; ++byte) {
    for (std::uint32_t bit = 0; bit < 8; ++bit)
      tables[byte][1U << bit] = multiply(1U << (8 * byte + bit), factor);
    for (std::uint32_t value = 1; value < 256; ++value) {  // linear: the sum over the bits that are set
      tables[byte][value] = tables[byte][value & (value - 1)] ^ tables[byte][value & (0U - value)];
    }
  }
  return tables;
}

constexpr std::uint32_t multiply(const ByteTables& tables, std::uint32_t word) noexcept {
  return tables[0][word & 0xFF] ^ tables[1][(word >> 8) & 0xFF] ^ tables[2][(word >> 16) & 0xFF] ^
         tables[3][word >> 24];
}

}  // namespace busway::crc32c_detail
