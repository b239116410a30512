#include "tests/interleave/engine/state_table.hpp"

#include <algorithm>

namespace busway::interleave {

StateTable::Slot& StateTable::find(std::uint64_t hash) {
  std::size_t at = hash & (slots_.size() - 1);
  while (slots_[at].state != kNone && slots_[at].hash != hash) at = (at + 1) & (slots_.size() - 1);
  return slots_[at];
}

void StateTable::grow() {
  std::vector<Slot> old(slots_.size() * 2);
  old.swap(slots_);
  for (const Slot& slot : old)
    if (slot.state != kNone) find(slot.hash) = slot;
}

std::pair<std::uint32_t, bool> StateTable::visit(std::uint64_t hash, std::uint8_t preemptions_left,
                                                 std::uint32_t parent, Move move) {
  if (states_.size() * 2 >= slots_.size()) grow();
  Slot& slot = find(hash);
  bool fresh = false;
  if (slot.state == kNone) {
    slot = {hash, static_cast<std::uint32_t>(states_.size())};
    states_.push_back({parent, move, preemptions_left, false});
    fresh = true;
  } else if (states_[slot.state].preemptions_left < preemptions_left) {
    states_[slot.state].preemptions_left = preemptions_left;
    fresh = true;
  }
  if (slot.state != parent) edges_.emplace_back(slot.state, parent);
  return {slot.state, fresh};
}

std::uint64_t StateTable::ends() const noexcept {
  return static_cast<std::uint64_t>(
      std::count_if(states_.begin(), states_.end(), [](const Seen& s) { return s.end; }));
}

std::optional<std::uint32_t> StateTable::find_stuck() const {
  // Backwards from the ends, over edges sorted by where they lead to.
  std::vector<std::uint32_t> begin(states_.size() + 1, 0);
  for (const auto& [to, from] : edges_) ++begin[to + 1];
  for (std::size_t i = 1; i < begin.size(); ++i) begin[i] += begin[i - 1];
  std::vector<std::uint32_t> sources(edges_.size());
  std::vector<std::uint32_t> next(begin.begin(), begin.end() - 1);
  for (const auto& [to, from] : edges_) sources[next[to]++] = from;
  std::vector<bool> good(states_.size(), false);
  std::vector<std::uint32_t> queue;
  for (std::uint32_t state = 0; state < states_.size(); ++state)
    if (states_[state].end) {
      good[state] = true;
      queue.push_back(state);
    }
  while (!queue.empty()) {
    const std::uint32_t to = queue.back();
    queue.pop_back();
    for (std::uint32_t i = begin[to]; i < begin[to + 1]; ++i)
      if (!good[sources[i]]) {
        good[sources[i]] = true;
        queue.push_back(sources[i]);
      }
  }
  const auto stuck = std::find(good.begin(), good.end(), false);
  if (stuck == good.end()) return std::nullopt;
  return static_cast<std::uint32_t>(stuck - good.begin());
}

std::vector<Move> StateTable::path(std::uint32_t state) const {
  std::vector<Move> moves;
  for (; state != 0; state = states_[state].parent) moves.push_back(states_[state].move);
  std::reverse(moves.begin(), moves.end());
  return moves;
}

}  // namespace busway::interleave
