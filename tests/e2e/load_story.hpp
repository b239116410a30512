// Four publishers, and subscribers that must all see the same: what the load tests share.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "tests/support/load_files.hpp"
#include "tests/support/private_daemon.hpp"

namespace busway::test {

class LoadStory {
 public:
  /// The topic "load" of one partition.
  explicit LoadStory(const PrivateDaemon& daemon);

  /// `count` 0: until stop_publishers(). `rate` in records/s; 0: as fast as it can.
  void start_publishers(int publishers, std::uint64_t count, std::uint64_t rate);
  /// Has them come to an end; expects that none of them saw an error.
  void stop_publishers();
  /// Expects that they come to an end by themselves, none with an error.
  void await_publishers(std::chrono::seconds deadline);

  /// `count` 0: until finish_subscriber(). Returns when it stands.
  Process start_subscriber(const std::string& name, const std::string& from, std::uint64_t count) const;
  /// Has it read to the end and stop; expects that it saw no error.
  std::vector<SeenRecord> finish_subscriber(Process subscriber, const std::string& name) const;
  std::vector<SeenRecord> seen_by(const std::string& name) const;

  /// Expects that `seen` are exactly the acknowledged records: offsets from 0 on without a gap, each record
  /// at the offset that was acknowledged, each publisher's in its order, none twice, none more.
  void expect_exactly_the_acknowledged(const std::vector<SeenRecord>& seen) const;
  std::uint64_t acknowledged() const;

 private:
  std::string acks_file(std::size_t publisher) const;

  const PrivateDaemon& daemon_;
  std::deque<Process> publishers_;
  std::size_t count_ = 0;
};

}  // namespace busway::test
