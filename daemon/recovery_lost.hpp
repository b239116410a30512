// The offsets of a partition that are known to be lost: their records were published and cannot be read any
// more.
//
// File: `lost-offsets` in the partition's directory, text with a CRC-32C of everything before it:
//   busway-lost 1
//   100 120
//   crc=0123abcd
// A line is a range [first, next). It is written before recovery moves the checkpoint past the place, so that
// a crash in recovery does not make a loss silent. A file that does not check out counts as empty: it changes
// no record, only how gaps are explained.
//
// Thread safety: none, a value.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <busway/types.hpp>

#include "daemon/file_system.hpp"

namespace busway::daemon {

struct OffsetRange {
  Offset first = 0;
  Offset next = 0;
  friend bool operator==(const OffsetRange&, const OffsetRange&) = default;
};

/// Sorted, without overlaps.
class LostOffsets {
 public:
  static constexpr std::string_view kFileName = "lost-offsets";

  static LostOffsets load(FileSystem& file_system, const std::string& directory);
  /// Durable on return. Throws errc::io, errc::disk_full.
  void save(FileSystem& file_system, const std::string& directory) const;

  void add(OffsetRange range);
  /// Forgets what lies below.
  void drop_below(Offset offset);
  bool contains(Offset offset) const;
  const std::vector<OffsetRange>& ranges() const noexcept { return ranges_; }

  std::string print() const;
  static LostOffsets parse(std::string_view text);
  friend bool operator==(const LostOffsets&, const LostOffsets&) = default;

 private:
  std::vector<OffsetRange> ranges_;
};

}  // namespace busway::daemon
