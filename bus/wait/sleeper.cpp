#include "bus/wait/sleeper.hpp"

#include <atomic>

#include "bus/ring/sleep.hpp"

namespace busway::wait {

Sleeper::Sleeper(memory::WaitHeader* wait, std::uint32_t partitions, std::optional<std::uint32_t> bit)
    : partitions_(memory::wait_partitions(wait)), bit_(bit), counts_(partitions * kLines, 0) {
  if (bit_ && *bit_ >= limits::kSleepersPerTopic) bit_.reset();
}

ring::SleepersView<memory::StdAtomics> Sleeper::line_of(const Spot& spot) const noexcept {
  memory::PartitionWait& wait = partitions_[spot.partition];
  constexpr std::uint32_t kWords = limits::kSleepersPerTopic / 64;
  switch (spot.line) {
    case Line::records:
      return {wait.records.words, kWords};
    case Line::space:
      return {wait.space.words, kWords};
    case Line::durable:
      break;
  }
  return {wait.durable.words, kWords};
}

void Sleeper::announce(std::span<const Spot> spots) noexcept {
  if (bit_) {
    const std::lock_guard lock(mutex_);
    for (const Spot& spot : spots) {
      if (count(spot)++ == 0) ring::announce<memory::StdAtomics>(line_of(spot), *bit_);
    }
  }
  // Also for the thread that found the bit set: its look must come after the bit as others see it. Pairs with
  // the waker's seq_cst operation or fence between what it made true and its look at the bits.
  memory::StdAtomics::fence(std::memory_order_seq_cst);
}

void Sleeper::retract(std::span<const Spot> spots) noexcept {
  if (!bit_) return;
  const std::lock_guard lock(mutex_);
  for (const Spot& spot : spots) {
    if (--count(spot) == 0) ring::retract<memory::StdAtomics>(line_of(spot), *bit_);
  }
}

}  // namespace busway::wait
