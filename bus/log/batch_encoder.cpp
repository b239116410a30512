#include "bus/log/batch_encoder.hpp"

#include <cassert>

#include "bus/base/crc32c.hpp"

namespace busway::log {

BatchSummary BatchEncoder::finish() noexcept {
  assert(!empty());
  const std::size_t bytes = size();
  auto& header = *reinterpret_cast<BatchHeader*>(start_);
  header.base_offset.set(base_offset_);
  header.batch_length.set(static_cast<std::int32_t>(bytes - kBatchLengthFrom));
  header.leader_epoch.set(raw(epoch_));
  header.magic.set(kMagic);
  header.attributes.set(0);  // no codec, CreateTime, no transaction
  header.last_offset_delta.set(next_delta_ - 1);
  header.base_timestamp.set(base_timestamp_);
  header.max_timestamp.set(max_timestamp_);
  header.producer_id.set(kNoProducerId);
  header.producer_epoch.set(kNoProducerEpoch);
  header.base_sequence.set(kNoSequence);
  header.record_count.set(records_);
  header.crc.set(crc32c(start_ + kCrcFrom, bytes - kCrcFrom));
  BatchSummary summary;
  summary.base_offset = base_offset_;
  summary.last_offset = base_offset_ + next_delta_ - 1;
  summary.max_timestamp_ms = max_timestamp_;
  summary.leader_epoch = raw(epoch_);
  summary.record_count = records_;
  summary.bytes = static_cast<std::int32_t>(bytes);
  next_delta_ = 0;
  return summary;
}

}  // namespace busway::log
