// One partition's log under test: publish, sync, crash, recover, and look at everything that is left.
//
// What is published at an offset follows from offset and incarnation (how often the offsets began anew behind
// a jump), so that whatever is read can be checked without remembering it. Works over any FileSystem and
// Disk.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "bus/log/batch_encoder.hpp"
#include "daemon/partition_log.hpp"

namespace busway::test {

/// What the outside world knows of the log: survives every crash.
struct Memory {
  std::map<Offset, std::string> published;  ///< what was ever handed to the log, by offset
  Offset written = 0;                       ///< the largest value shown
  Offset durable = 0;                       ///< likewise: everything below was acknowledged
  Offset granted = 0;                       ///< no offset at or above was ever published
  int epoch = 0;
};

class LogStory {
 public:
  static constexpr std::uint32_t kTag = 7;

  LogStory(daemon::FileSystem& files, daemon::Disk& disk, std::string directory, Memory& memory,
           const daemon::TopicConfig& config)
      : files_(files), disk_(disk), directory_(std::move(directory)), memory_(memory), config_(config) {}

  /// Recovers and opens the log.
  void open(daemon::RecoveryOptions options);
  bool is_open() const noexcept { return log_ != nullptr; }
  daemon::PartitionLog& log() { return *log_; }
  const std::vector<daemon::RecoveryEvent>& events() const noexcept { return events_; }
  const daemon::LostOffsets& lost() const noexcept { return lost_; }
  daemon::Janitor& janitor() noexcept { return janitor_; }
  daemon::StagingArena& staging() noexcept { return staging_; }
  std::uint64_t scanned_bytes() const noexcept { return scanned_bytes_; }

  /// Appends a batch of records with values of about this size. What could not be appended is not published.
  daemon::AppendOutcome publish(int records, std::size_t value_bytes, bool now = false);
  /// As publish(), reaping while the disk is busy. Fails the test unless it was appended.
  void must_publish(int records, std::size_t value_bytes);
  /// Reaps until nothing is in flight.
  void settle();
  void reap_once();
  /// Everything written becomes durable. False: it did not.
  bool sync();
  int close();
  /// Takes note of what the log shows to the world.
  void look();
  /// As if the worker had been killed.
  void forget_log() { log_.reset(); }

  /// Every record that the log serves, by offset. Fails the test when what readers get is not in order or not
  /// what was published.
  std::map<Offset, std::string> read_all();
  /// Checks segments against each other and indexes against their logs.
  void check_files();

  static std::string value_of(Offset offset, int epoch, std::size_t bytes);

 private:
  daemon::FileSystem& files_;
  daemon::Disk& disk_;
  std::string directory_;
  Memory& memory_;
  daemon::TopicConfig config_;
  daemon::StagingArena staging_{std::size_t{1} << 20, std::size_t{64} << 10};
  daemon::Janitor janitor_{daemon::Janitor::Mode::in_caller,
                           [this](const std::string& sentence) { reports_.push_back(sentence); }};
  std::vector<std::string> reports_;
  std::vector<daemon::RecoveryEvent> events_;
  daemon::LostOffsets lost_;
  std::uint64_t scanned_bytes_ = 0;
  std::int64_t clock_ms_ = 1'700'000'000'000;
  std::unique_ptr<daemon::PartitionLog> log_;
};

/// Small segments and dense indexes, so that little data makes many files.
daemon::TopicConfig small_segments();

}  // namespace busway::test
