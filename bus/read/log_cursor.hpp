// Reads one partition from its log, segment after segment, for a reader that fell behind the ring.
//
// Offsets without a record (a jump, a rejected frame, what compaction removed) are passed over and counted as
// skipped, what a bad region swallowed as corrupt. Nothing at or above `bound` is looked at. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "bus/log/segment_reader.hpp"
#include "bus/read/record_batch.hpp"
#include "bus/read/source.hpp"

namespace busway::read {

enum class [[nodiscard]] LogProgress : std::uint8_t{
    records,  ///< at least one was added
    end,      ///< nothing more below the bound: next_offset() is the bound, or beyond
    failed,   ///< an operating system error: error_number()
};

class LogCursor {
 public:
  explicit LogCursor(std::uint32_t partition) : partition_(partition) {}

  /// Adds records of at most one batch, from `offset` on, below `bound`, to `into`, which is not full. They
  /// are views of this object's buffer: valid until the next call. Throws what the source throws.
  LogProgress read(Source& source, std::uint64_t offset, std::uint64_t bound, RecordBatch& into);

  /// Where the reader goes on after read(), and what that passed over.
  std::uint64_t next_offset() const noexcept { return next_; }
  std::uint64_t skipped() const noexcept { return skipped_; }
  std::uint64_t corrupt() const noexcept { return corrupt_; }
  int error_number() const noexcept { return reader_ ? reader_->error_number() : 0; }

 private:
  enum class Step : std::uint8_t { again, done, end, failed };

  void deliver(RecordBatch& into);
  std::size_t fill(std::span<Record> places) noexcept;
  Step next_batch(std::uint64_t bound);
  Step enter_batch(log::ReadStatus found, std::uint64_t bound);
  Step open_segment(Source& source, std::uint64_t bound);
  Step behind_segment(Source& source, std::uint64_t bound);
  Step over_bad_region(std::uint64_t bound);
  Step judge(log::ReadStatus status);
  void pass_to(std::uint64_t offset, std::uint64_t& count) noexcept;

  std::uint32_t partition_;
  std::vector<OpenSegment> segments_;  // in order; the first is the one that is being read
  std::unique_ptr<log::SegmentReader> reader_;
  log::RecordCursor records_;
  std::uint64_t batch_end_ = 0;  // the offset behind the batch that `records_` walks
  bool standing_ = false;        // the reader stands at next_
  bool in_batch_ = false;
  std::uint64_t next_ = 0;
  std::uint64_t skipped_ = 0;
  std::uint64_t corrupt_ = 0;
};

}  // namespace busway::read
