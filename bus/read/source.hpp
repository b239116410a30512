// What reading one topic needs from whoever speaks with the daemon: rings, lanes, segments.
//
// An interface so that the reader can be tested with memory of this process. None of it is on the hot path.
// Thread safety: one reader thread calls at a time.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "bus/base/fd.hpp"
#include "bus/ring/views.hpp"

namespace busway::read {

/// A ring and what keeps it mapped.
struct HeldRing {
  ring::Ring view;
  std::shared_ptr<const void> keep;
};

/// A lane and what keeps it mapped.
struct HeldLane {
  ring::LaneSpan span;
  std::shared_ptr<const void> keep;
};

/// A segment's files, open for reading. Valid where `log` is.
struct OpenSegment {
  static constexpr std::uint64_t kActive =
      static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());

  std::uint64_t base = 0;
  std::uint64_t next_base = kActive;  ///< of the segment behind it; kActive: there is none yet
  Fd log;
  Fd index;
};

/// Every call may throw Error. errc::no_daemon and errc::deadline_exceeded mean: not now, ask again later.
class Source {
 public:
  Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  virtual ~Source() = default;

  /// The rings of a partition in any order, the one of generation `wanted` among them, asked for if need be.
  /// wanted = 0: those that are known here.
  virtual std::vector<HeldRing> rings(std::uint32_t partition, std::uint32_t wanted) = 0;
  /// A lane of exactly this generation; an empty one if there is no such lane any more.
  virtual HeldLane lane(std::uint32_t lane, std::uint32_t generation) = 0;
  /// A few segments in order, the first being the one that holds `offset` or, if none does, the next one.
  virtual std::vector<OpenSegment> segments(std::uint32_t partition, std::uint64_t offset) = 0;
};

}  // namespace busway::read
