// The lanes that one subscriber has met: (lane, generation) -> where it is mapped.
//
// An id keeps one generation at a time; one that the daemon has given out anew is another memfd. Mappings of
// dead generations pin memory: purge() lets them go. One thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "bus/read/source.hpp"
#include "bus/ring/views.hpp"

namespace busway::read {

class LaneCache {
 public:
  /// Empty if that generation of the lane is not known here.
  const ring::LaneSpan& operator()(std::uint32_t lane, std::uint32_t generation) const noexcept {
    static constexpr ring::LaneSpan kNone{};
    if (lane >= entries_.size() || entries_[lane].generation != generation) return kNone;
    return entries_[lane].held.span;
  }

  void put(std::uint32_t lane, std::uint32_t generation, HeldLane held) {
    if (lane >= entries_.size()) entries_.resize(lane + 1);
    entries_[lane] = {generation, std::move(held)};
  }

  /// Forgets every lane whose generation is over.
  template <class A>
  void purge(const ring::MarksView<A>& marks) noexcept {
    for (std::size_t lane = 1; lane < entries_.size() && lane <= marks.lanes; ++lane) {
      // relaxed: a stale value keeps a mapping until the next purge.
      if (entries_[lane].held.keep != nullptr &&
          marks.lane_generation[lane].load(std::memory_order_relaxed) > entries_[lane].generation)
        entries_[lane] = {};
    }
  }

  void clear() noexcept { entries_.clear(); }

 private:
  struct alignas(limits::kCacheLine) Entry {
    std::uint32_t generation = 0;
    HeldLane held;
  };
  std::vector<Entry> entries_;
};

}  // namespace busway::read
