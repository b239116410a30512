// Finds the next valid batch behind damaged bytes, wherever it starts. Internal to bus/log. One thread at a
// time.
//
// A record's value may itself hold the bytes of a valid batch (somebody publishes a segment file). So a find
// whose successors do not lead to the end of the data is given up for a later one that contradicts it.
#pragma once

#include <cstdint>

#include "bus/log/batch_loader.hpp"

namespace busway::log {

struct SearchRules {
  std::int64_t least_offset = 0;   ///< base offsets below are wrong
  std::int64_t offset_limit = 0;   ///< a batch ends at or below this
  std::int32_t leader_epoch = -1;  ///< -1: any
  std::int32_t batch_bytes_most = kBatchBytesMost;
  bool gaps = false;     ///< batches need not follow each other without a gap
  bool foreign = false;  ///< may have producers, transactions, append times: written by Kafka itself
};

/// Does a batch whose header makes sense fit the rules? (Says nothing of its CRC.)
bool search_accepts(const BatchView& batch, const SearchRules& rules) noexcept;

struct FoundBatch {
  std::int64_t position = -1;  ///< -1: none
  std::int64_t base_offset = -1;
  explicit operator bool() const noexcept { return position >= 0; }
};

class BatchSearch {
 public:
  /// `size`: where the file ends for this search. `source` must outlive this.
  BatchSearch(const ByteSource& source, std::int64_t size);

  /// The first valid batch that starts at `from` or later; with `first`, a valid batch found by other means,
  /// that one unless what follows contradicts it. Throws busway::Error (io).
  FoundBatch find(std::int64_t from, const SearchRules& rules, FoundBatch first = {});

  /// Behind the last byte at or after `from` that is not zero; `from` if there is none. Throws busway::Error
  /// (io).
  std::int64_t data_end(std::int64_t from);

 private:
  struct Chain {
    std::int64_t position = 0;  // where it ends
    std::int64_t next_offset = 0;
    int batches = 0;
    bool whole = false;  // ends with the data, not in the middle of something
  };
  FoundBatch scan(std::int64_t from, const SearchRules& rules);
  FoundBatch try_at(std::int64_t position, std::span<const std::byte> bytes, const SearchRules& rules);
  Chain follow(FoundBatch from, const SearchRules& rules);
  bool contradicts(const FoundBatch& later, const Chain& chain, const SearchRules& rules);

  const ByteSource& source_;
  std::int64_t size_;
  FileWindow window_;
  BatchLoader loader_;
};

}  // namespace busway::log
