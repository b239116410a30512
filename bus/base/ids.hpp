// Strong types for what is easily swapped: ids, generations, epochs.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace busway {

/// Random (version 4) id of a topic: a topic deleted and created again has another one.
struct Uuid {
  std::array<std::uint8_t, 16> bytes{};
  friend bool operator==(const Uuid&, const Uuid&) = default;
  friend auto operator<=>(const Uuid&,
                          const Uuid&) = default;  // NOLINT(modernize-use-nullptr): of clang-tidy 14
  /// From getrandom(2).
  static Uuid random();
  /// 8-4-4-4-12 lower case hexadecimal digits.
  std::string text() const;
};

/// Lane of a topic, 1 to limits::kLanesPerTopic; 0 stands for a fence in a slot word.
enum class LaneId : std::uint16_t {};
/// Which memfd a lane id or a partition's ring means at present; +1 with every reuse or growth.
enum class Generation : std::uint32_t {};
/// Kafka's partition leader epoch: +1 whenever the partition's log end jumps.
enum class Epoch : std::int32_t {};

constexpr auto raw(LaneId id) noexcept { return static_cast<std::uint16_t>(id); }
constexpr auto raw(Generation generation) noexcept { return static_cast<std::uint32_t>(generation); }
constexpr auto raw(Epoch epoch) noexcept { return static_cast<std::int32_t>(epoch); }

}  // namespace busway
