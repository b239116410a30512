// Rings the bells of those who sleep on a partition of one topic. Thread safe: everything it touches is an
// atomic word.
#pragma once

#include "bus/memory/bells_layout.hpp"
#include "bus/memory/marks_layout.hpp"
#include "bus/ring/sleep.hpp"
#include "bus/wait/futex.hpp"

namespace busway::daemon {

class BellRinger {
 public:
  BellRinger() = default;
  BellRinger(memory::BellsHeader* bells, const memory::MarksHeader* marks) noexcept
      : bells_(memory::bells_of(bells)),
        sessions_(static_cast<std::uint32_t>(bells->identity.item_count)),
        tables_(memory::marks_tables(marks)) {}

  /// Call it after what they wait for is true, with a seq_cst operation or fence in between.
  void ring(const ring::SleepersView<memory::StdAtomics>& sleepers) const noexcept {
    ring::wake_all(sleepers, [this](std::uint32_t bit) { ring_bit(bit); });
  }

 private:
  void ring_bit(std::uint32_t bit) const noexcept {
    // relaxed: the entry was written before its bit was given out; a stale one rings somebody in vain.
    const std::uint32_t session = tables_->sleeper_session[bit].load(std::memory_order_relaxed);
    if (session == 0 || session > sessions_) return;
    memory::Atomic32& word = bells_[session - 1].word;
    word.fetch_add(1, std::memory_order_relaxed);  // the futex orders it
    wait::futex_wake_all(word);
  }

  memory::Bell* bells_ = nullptr;
  std::uint32_t sessions_ = 0;
  const memory::MarksTables* tables_ = nullptr;
};

}  // namespace busway::daemon
