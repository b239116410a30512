// One access of the code under test to shared memory, or to the checker itself, as the explorer sees it.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <string>
#include <vector>

namespace busway::interleave {

enum class Op : std::uint8_t {
  load,
  store,
  cas,
  exchange,
  fetch_add,
  fetch_or,
  fetch_and,
  fence,
  choose,      ///< any of `operand` outcomes: a clock, a completion
  report,      ///< to the ghosts (ghost.hpp): no scheduling point
  futex_wait,  ///< sleeps while the word is `expected`
  futex_wake,
  none,  ///< the program has ended
};

/// What a location is: what mistakes are seeded by, and what the ghosts watch.
enum class Place : std::uint8_t {
  base,
  tail,
  reclaimed,
  slot,
  granted,
  written,
  ring_generation,
  lane_generation,
  lease,
  cursor,
  record_sleepers,
  space_sleepers,
  bell,
  daemon_bell,
  daemon_asleep,
  dirty,
  frame,  ///< 32 bytes of a lane
  pidfd,  ///< set by the explorer when an actor crashes
  nowhere,
};

const char* name_of(Op op) noexcept;
const char* name_of(Place place) noexcept;
const char* name_of(std::memory_order order) noexcept;

inline constexpr std::size_t kLocationsMost = 64;
inline constexpr std::size_t kActorsMost = 6;

struct Access {
  Op op = Op::none;
  std::uint8_t location = 0;  ///< report: its kind
  std::uint16_t site = 0;     ///< where in the source
  std::memory_order order = std::memory_order_relaxed;
  std::memory_order failure = std::memory_order_relaxed;
  std::uint64_t operand = 0;   ///< stored, desired, added; report: first argument; choose: outcomes
  std::uint64_t expected = 0;  ///< cas, futex_wait; report: second argument
};

constexpr bool acquires(std::memory_order order) noexcept {
  return order != std::memory_order_relaxed && order != std::memory_order_release;
}
constexpr bool releases(std::memory_order order) noexcept {
  return order == std::memory_order_release || order == std::memory_order_acq_rel ||
         order == std::memory_order_seq_cst;
}

/// Who an actor is, as far as words care: bits.
enum Kind : std::uint8_t { kPublisher = 1, kReader = 2, kWorker = 4, kEverybody = 7 };

/// All words that a scenario shares.
class Locations {
 public:
  struct Location {
    Place place;
    std::uint8_t owner;  ///< ring, lane, sleeper: whatever the place is one of
    std::uint8_t index;
    std::uint64_t initial;
    std::uint8_t
        loaders;  ///< kinds of those that may load it, other than by a read-modify-write that always succeeds
    bool constant;  ///< nobody stores to it in this scenario: loads are no scheduling points
  };

  std::uint8_t add(Place place, std::uint8_t owner, std::uint8_t index, std::uint64_t initial,
                   std::uint8_t loaders = kEverybody, bool constant = false);
  const Location& operator[](std::size_t location) const { return all_[location]; }
  std::size_t size() const noexcept { return all_.size(); }
  std::string name(std::size_t location) const;

 private:
  std::vector<Location> all_;
};

/// Sixty-four bits of what was fed, well mixed.
class Hasher {
 public:
  void feed(std::uint64_t word) noexcept {
    const std::uint64_t mixed = (state_ ^ word) * 0x9e3779b97f4a7c15ULL;
    state_ = std::rotl(mixed ^ (mixed >> 32), 23) + word;
  }
  void feed(const void* data, std::size_t bytes) noexcept;
  std::uint64_t done() const noexcept {
    Hasher last = *this;
    last.feed(0x2545f4914f6cdd1dULL);
    return last.state_;
  }

 private:
  std::uint64_t state_ = 0x243f6a8885a308d3ULL;
};

}  // namespace busway::interleave
