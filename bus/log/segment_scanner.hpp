// Walks a whole segment file, batch by batch, and tells valid batches from bad regions: for recovery and for
// `busway log verify`. Searches behind a bad region for the next valid batch, wherever it starts.
//
// A bad region that no valid batch follows is a torn tail; one that is followed by valid batches is
// corruption. Descriptors are not owned. One thread at a time. Throws busway::Error (io) when the file cannot
// be read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "bus/log/batch_view.hpp"
#include "bus/log/byte_source.hpp"
#include "bus/log/codec.hpp"
#include "bus/log/segment_index.hpp"
#include "bus/log/segment_reader.hpp"

namespace busway::log {

struct ScanOptions {
  std::int64_t position = 0;       ///< start here: 0, or where a valid batch is known to start
  std::int64_t next_offset = -1;   ///< the offset that the batch there has; -1: the segment's base offset
  std::int64_t offset_limit = -1;  ///< a batch that ends at or above this is bad (`granted`); -1: base + 2^31
  std::int32_t leader_epoch = -1;  ///< the epoch that every batch must have; -1: what the first three say
  bool gaps = false;               ///< offsets may be missing between batches (a compacted log)
  bool epochs_may_rise = false;    ///< a segment written by Kafka itself
  bool check_records = false;      ///< decompress and walk every record, headers too
  std::int32_t batch_bytes_most = kBatchBytesMost;
};

enum class [[nodiscard]] ScanEvent : std::uint8_t{
    batch,       ///< see batch()
    bad_region,  ///< see bad(); the next event is a batch, or the end
    end,         ///< see position() and zero_tail_bytes()
};

class SegmentScanner {
 public:
  SegmentScanner(int fd, std::int64_t base_offset, ScanOptions options = {});
  /// Likewise over any source of bytes, which must outlive this.
  SegmentScanner(const ByteSource& source, std::int64_t base_offset, ScanOptions options = {});
  ~SegmentScanner();
  SegmentScanner(SegmentScanner&&) noexcept;
  SegmentScanner& operator=(SegmentScanner&&) noexcept;

  ScanEvent next();

  /// The batch that next() found, valid until its next call.
  const BatchView& batch() const noexcept;
  std::int64_t batch_position() const noexcept;
  /// The bad region that next() found. next_offset -1: a torn tail.
  const BadRegion& bad() const noexcept;

  /// Where the next batch starts; at the end: behind the last valid batch. Bytes from there on are torn or
  /// zero.
  std::int64_t position() const noexcept;
  /// The offset after the last valid batch.
  std::int64_t next_offset() const noexcept;
  /// At the end: zero bytes behind the last valid batch or bad region (preallocated, never written).
  std::int64_t zero_tail_bytes() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace busway::log
