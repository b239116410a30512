// The states that were seen, how each was first reached, and which lead where.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace busway::interleave {

/// What leads from a state to another.
struct Move {
  enum class Kind : std::uint8_t { step, crash, time } kind = Kind::step;
  std::uint8_t actor = 0;
  std::uint16_t outcome = 0;
};

class StateTable {
 public:
  StateTable() : slots_(std::size_t{1} << 16) {}

  /// Is the state worth exploring? Not if it was seen with at least as many preemptions left. Notes the edge
  /// either way.
  std::pair<std::uint32_t, bool> visit(std::uint64_t hash, std::uint8_t preemptions_left,
                                       std::uint32_t parent, Move move);

  void mark_end(std::uint32_t state) { states_[state].end = true; }
  std::uint64_t ends() const noexcept;
  std::size_t size() const noexcept { return states_.size(); }
  /// A state from which none that is marked as an end can be reached.
  std::optional<std::uint32_t> find_stuck() const;
  /// The moves by which `state` was first reached.
  std::vector<Move> path(std::uint32_t state) const;

 private:
  struct Slot {
    std::uint64_t hash = 0;
    std::uint32_t state = kNone;
  };
  struct Seen {
    std::uint32_t parent;
    Move move;
    std::uint8_t preemptions_left;
    bool end;
  };
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  void grow();
  Slot& find(std::uint64_t hash);

  std::vector<Slot> slots_;  ///< open addressing, a power of two, at most half full
  std::vector<Seen> states_;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> edges_;
};

}  // namespace busway::interleave
