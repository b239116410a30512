// CRC-32C with x86-64's own means.
//
// SSE4.2: the crc32 instruction takes 3 cycles but a new one can start each cycle, so long inputs go as three
// streams side by side; a stream's checksum is carried over what follows it by a multiplication with x^(8 *
// bytes) mod P.
//
// VPCLMULQDQ: carry-less multiplication folds 64 bytes at a time onto the 64 (or 256) bytes behind them,
// after Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ" (Intel, 2009), with
// 512-bit registers. Leading zero bytes do not change a CRC whose register is 0, so the input's odd bytes go
// first, at the end of a zeroed register, and there is no tail to handle.
#include "bus/base/crc32c_implementations.hpp"

#if defined(__x86_64__)

#include <bit>
#include <cstring>

// GCC 12 warns about the registers that its own intrinsics leave undefined on purpose (GCC bug 105593).
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

#include "bus/base/crc32c_math.hpp"

namespace busway::crc32c_detail {
namespace {

// Bytes of each of the three streams.
constexpr std::size_t kLongStream = 1024;
constexpr std::size_t kShortStream = 128;
constexpr ByteTables kOverLong = multiplication_tables(power_of_x(8 * kLongStream));
constexpr ByteTables kOverShort = multiplication_tables(power_of_x(8 * kShortStream));

std::uint64_t word_at(const unsigned char* at) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, at, sizeof word);
  return word;
}

// The register `crc` (not inverted) over a few bytes, one after the other.
__attribute__((target("sse4.2"))) inline std::uint32_t serial(const unsigned char* at, std::size_t bytes,
                                                              std::uint32_t crc) noexcept {
  std::uint64_t wide = crc;
  for (; bytes >= 8; bytes -= 8, at += 8) wide = _mm_crc32_u64(wide, word_at(at));
  crc = static_cast<std::uint32_t>(wide);
  for (; bytes > 0; --bytes, ++at) crc = _mm_crc32_u8(crc, *at);
  return crc;
}

// The register over three streams of kStream bytes each, which lie one behind the other.
template <std::size_t kStream>
__attribute__((target("sse4.2"))) inline std::uint32_t three_streams(const unsigned char* at,
                                                                     std::uint32_t crc,
                                                                     const ByteTables& over_stream) noexcept {
  std::uint64_t first = crc;
  std::uint64_t second = 0;
  std::uint64_t third = 0;
  for (std::size_t i = 0; i < kStream; i += 8) {
    first = _mm_crc32_u64(first, word_at(at + i));
    second = _mm_crc32_u64(second, word_at(at + kStream + i));
    third = _mm_crc32_u64(third, word_at(at + 2 * kStream + i));
  }
  const std::uint32_t joined =
      multiply(over_stream, static_cast<std::uint32_t>(first)) ^ static_cast<std::uint32_t>(second);
  return multiply(over_stream, joined) ^ static_cast<std::uint32_t>(third);
}

// Folding by `bits`: a 128-bit lane L (low half first) contributes low * x^(64+bits) + high * x^bits. A
// carry-less product of reflected words is one x short, and a 32-bit constant in a 64-bit word stands x^32
// higher: hence 33 less.
constexpr long long low_factor(std::uint64_t bits) noexcept {
  return static_cast<long long>(power_of_x(bits + 64 - 33));
}
constexpr long long high_factor(std::uint64_t bits) noexcept {
  return static_cast<long long>(power_of_x(bits - 33));
}

#define BUSWAY_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,vpclmulqdq,pclmul,sse4.2")))

// The 64 bytes of `lanes`, moved on by what `factors` say, onto `next`.
BUSWAY_AVX512 inline __m512i fold(__m512i lanes, __m512i factors, __m512i next) noexcept {
  const __m512i low = _mm512_clmulepi64_epi128(lanes, factors, 0x00);
  const __m512i high = _mm512_clmulepi64_epi128(lanes, factors, 0x11);
  constexpr int kXorOfThree = 0x96;
  return _mm512_ternarylogic_epi64(low, high, next, kXorOfThree);
}

BUSWAY_AVX512 inline __m512i same_in_all_lanes(long long low, long long high) noexcept {
  return _mm512_broadcast_i32x4(_mm_set_epi64x(high, low));
}

// The register over the 64 bytes of `lanes`: the first three lanes are moved onto the last, then 16 bytes are
// left.
BUSWAY_AVX512 inline std::uint32_t reduce(__m512i lanes) noexcept {
  const __m512i factors = _mm512_set_epi64(0, 0, high_factor(128), low_factor(128), high_factor(256),
                                           low_factor(256), high_factor(384), low_factor(384));
  const __m512i moved = fold(lanes, factors, _mm512_setzero_si512());
  const __m256i half = _mm256_xor_si256(_mm512_castsi512_si256(moved), _mm512_extracti64x4_epi64(moved, 1));
  const __m128i sum =
      _mm_xor_si128(_mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1)),
                    _mm512_extracti32x4_epi32(lanes, 3));
  const std::uint64_t low = _mm_crc32_u64(0, static_cast<std::uint64_t>(_mm_cvtsi128_si64(sum)));
  return static_cast<std::uint32_t>(
      _mm_crc32_u64(low, static_cast<std::uint64_t>(_mm_extract_epi64(sum, 1))));
}

}  // namespace

bool has_sse42() noexcept { return __builtin_cpu_supports("sse4.2") != 0; }

bool has_vpclmulqdq() noexcept {
  return has_sse42() && __builtin_cpu_supports("pclmul") != 0 && __builtin_cpu_supports("avx512f") != 0 &&
         __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
         __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("vpclmulqdq") != 0;
}

__attribute__((target("sse4.2"))) std::uint32_t by_sse42(const void* data, std::size_t bytes,
                                                         std::uint32_t before) noexcept {
  const auto* at = static_cast<const unsigned char*>(data);
  std::uint32_t crc = ~before;
  for (; bytes >= 3 * kLongStream; bytes -= 3 * kLongStream, at += 3 * kLongStream) {
    crc = three_streams<kLongStream>(at, crc, kOverLong);
  }
  for (; bytes >= 3 * kShortStream; bytes -= 3 * kShortStream, at += 3 * kShortStream) {
    crc = three_streams<kShortStream>(at, crc, kOverShort);
  }
  return ~serial(at, bytes, crc);
}

BUSWAY_AVX512 std::uint32_t by_vpclmulqdq(const void* data, std::size_t bytes,
                                          std::uint32_t before) noexcept {
  const auto* at = static_cast<const unsigned char*>(data);
  std::uint32_t crc = ~before;
  if (bytes < 128) return ~serial(at, bytes, crc);
  std::size_t odd = bytes % 64;
  if (odd < 4) {  // too few to hold the register that is xored onto the first four bytes
    crc = serial(at, odd, crc);
    at += odd;
    odd = 64;
  }
  // The first 4 to 64 bytes at the end of a zeroed register; masked-out bytes are not touched. The CRC
  // register goes onto the first four: broadcast, turned so that its bytes meet theirs.
  const std::size_t zeros = 64 - odd;
  const __mmask64 data_bytes = ~__mmask64{0} << zeros;
  const __mmask64 register_bytes = __mmask64{0xF} << zeros;
  const std::uint32_t turned = std::rotl(crc, static_cast<int>(8 * (zeros % 4)));
  const __m512i crc_everywhere = _mm512_set1_epi32(static_cast<int>(turned));
  __m512i x0 = _mm512_maskz_loadu_epi8(data_bytes, at - zeros);
  x0 = _mm512_xor_si512(x0, _mm512_maskz_mov_epi8(register_bytes, crc_everywhere));
  at += odd;
  const unsigned char* const end = static_cast<const unsigned char*>(data) + bytes;

  const __m512i by64 = same_in_all_lanes(low_factor(512), high_factor(512));
  if (end - at >= 448) {
    const __m512i by256 = same_in_all_lanes(low_factor(2048), high_factor(2048));
    __m512i x1 = _mm512_loadu_si512(at);
    __m512i x2 = _mm512_loadu_si512(at + 64);
    __m512i x3 = _mm512_loadu_si512(at + 128);
    for (at += 192; end - at >= 256; at += 256) {
      x0 = fold(x0, by256, _mm512_loadu_si512(at));
      x1 = fold(x1, by256, _mm512_loadu_si512(at + 64));
      x2 = fold(x2, by256, _mm512_loadu_si512(at + 128));
      x3 = fold(x3, by256, _mm512_loadu_si512(at + 192));
    }
    x0 = fold(fold(fold(x0, by64, x1), by64, x2), by64, x3);
  }
  for (; at < end; at += 64) x0 = fold(x0, by64, _mm512_loadu_si512(at));
  return ~reduce(x0);
}

#undef BUSWAY_AVX512

}  // namespace busway::crc32c_detail

#endif
