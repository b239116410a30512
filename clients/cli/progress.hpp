// One line on a terminal that says how far long work has come. Silent when stderr is no terminal, and for
// work that is done within a second.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace busway::cli {

class Progress {
 public:
  /// `what`: "published", "verified". `total_bytes` 0: unknown.
  Progress(std::string what, std::uint64_t total_bytes);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  /// Takes the line away.
  ~Progress();

  /// Cheap enough for every batch: looks at the clock, prints five times a second.
  void at(std::uint64_t records, std::uint64_t bytes);

 private:
  using Clock = std::chrono::steady_clock;
  std::string what_;
  std::uint64_t total_bytes_;
  bool terminal_;
  bool shown_ = false;
  Clock::time_point started_ = Clock::now();
  Clock::time_point next_ = started_ + std::chrono::seconds{1};
};

}  // namespace busway::cli
