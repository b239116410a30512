#include "bus/base/murmur2.hpp"

#include <cstring>

namespace busway {

std::uint32_t murmur2(const void* key, std::size_t bytes) noexcept {
  constexpr std::uint32_t kSeed = 0x9747B28C;
  constexpr std::uint32_t kMultiplier = 0x5BD1E995;
  const auto* at = static_cast<const unsigned char*>(key);
  std::uint32_t hash = kSeed ^ static_cast<std::uint32_t>(bytes);
  for (; bytes >= 4; bytes -= 4, at += 4) {
    std::uint32_t word = 0;
    std::memcpy(&word, at, sizeof word);
    word *= kMultiplier;
    word ^= word >> 24;
    hash = (hash * kMultiplier) ^ (word * kMultiplier);
  }
  if (bytes > 0) {
    for (std::size_t i = 0; i < bytes; ++i) hash ^= static_cast<std::uint32_t>(at[i]) << (8 * i);
    hash *= kMultiplier;
  }
  hash ^= hash >> 13;
  hash *= kMultiplier;
  return hash ^ (hash >> 15);
}

}  // namespace busway
