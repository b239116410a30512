#include "daemon/services.hpp"

namespace busway::daemon {

std::uint32_t OrdinalPool::take() {
  if (!free_.empty()) {
    const std::uint32_t ordinal = free_.back();
    free_.pop_back();
    taken_[ordinal] = true;
    return ordinal;
  }
  if (taken_.size() >= limits::kPartitionsPerDaemon) {
    throw Error(errc::limit_reached,
                "partitions of topics in use: " + std::to_string(limits::kPartitionsPerDaemon) +
                    ", the most there can be at once");
  }
  taken_.push_back(true);
  return static_cast<std::uint32_t>(taken_.size() - 1);
}

bool OrdinalPool::reserve(std::uint32_t ordinal) {
  if (ordinal >= limits::kPartitionsPerDaemon) return false;
  while (taken_.size() <= ordinal) {
    free_.push_back(static_cast<std::uint32_t>(taken_.size()));
    taken_.push_back(false);
  }
  if (taken_[ordinal]) return false;
  taken_[ordinal] = true;
  std::erase(free_, ordinal);
  return true;
}

void OrdinalPool::give_back(std::uint32_t ordinal) {
  taken_[ordinal] = false;
  free_.push_back(ordinal);
}

std::uint64_t granted_step(const Config& config, TopicStorage storage) noexcept {
  // A memory topic has no drain that sees it run out: its grant is looked at by the clock, so it is larger.
  if (storage == TopicStorage::memory) return std::uint64_t{1} << 28;
  return static_cast<std::uint64_t>(config.granted_step);
}

}  // namespace busway::daemon
