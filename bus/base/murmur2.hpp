// MurmurHash2 (Austin Appleby, public domain) with the seed of Kafka's Java client, and Kafka's default
// partitioner over it: a key goes to the same partition as with any Kafka producer. Pure and thread safe.
#pragma once

#include <cstddef>
#include <cstdint>

namespace busway {

/// 32-bit MurmurHash2 of a key with Kafka's seed 0x9747B28C.
[[nodiscard]] std::uint32_t murmur2(const void* key, std::size_t bytes) noexcept;

/// The partition, 0 to partitions - 1, that Kafka's default partitioner gives this key. `partitions` must not
/// be 0.
[[nodiscard]] inline std::uint32_t partition_of_key(const void* key, std::size_t bytes,
                                                    std::uint32_t partitions) noexcept {
  return (murmur2(key, bytes) & 0x7FFFFFFFU) % partitions;
}

}  // namespace busway
