#include "bus/log/segment_scanner.hpp"

#include <algorithm>

#include "bus/base/fd.hpp"
#include "bus/log/batch_loader.hpp"
#include "bus/log/batch_search.hpp"
#include "bus/log/record_headers.hpp"

namespace busway::log {
namespace {

// A batch whose end and whose last byte that is not zero lie this close reaches to the end of the data: a
// batch ends with the header count of its last record, which mostly is a zero.
constexpr std::int64_t kTrailingZeros = 64;

}  // namespace

struct SegmentScanner::State {
  State(std::unique_ptr<ByteSource> owned_source, const ByteSource& from, std::int64_t base,
        const ScanOptions& given);

  ScanEvent next();
  BatchError load(std::int64_t at, BatchView& view);
  BatchError check();
  BatchError check_records(const BatchView& view);
  void settle_epoch();
  bool contradicted();
  void reload();
  bool is_gap();
  ScanEvent gap(std::int64_t at_offset) noexcept;
  ScanEvent resync(BatchError error, std::int64_t claimed_end);
  FoundBatch search(std::int64_t claimed_end);
  bool reaches_data_end(std::int64_t claimed_end);
  std::int64_t data_end();

  std::unique_ptr<ByteSource> owned;  // null: the caller's
  const ByteSource& source;
  ScanOptions options;
  BatchLoader loader;
  Decompressor decompressor;
  BatchView batch;
  BadRegion bad;
  std::int64_t batch_position = 0;
  std::int64_t position = 0;
  std::int64_t next_offset = 0;
  std::int64_t offset_limit = 0;
  std::int64_t size = 0;
  std::int64_t known_data_end = -1;
  std::int64_t zero_tail = 0;
  std::int32_t epoch = -1;
  bool ended = false;
};

SegmentScanner::State::State(std::unique_ptr<ByteSource> owned_source, const ByteSource& from,
                             std::int64_t base, const ScanOptions& given)
    : owned(std::move(owned_source)), source(from), options(given), loader(SegmentReader::kBufferBytes) {
  position = options.position;
  next_offset = options.next_offset >= 0 ? options.next_offset : base;
  offset_limit = options.offset_limit >= 0 ? options.offset_limit : base + kRelativeMost + 1;
  epoch = options.leader_epoch;
  size = source.size();
  if (size < 0) throw_errno("reading a log segment's size", static_cast<int>(-size));
}

ScanEvent SegmentScanner::State::next() {
  if (ended) return ScanEvent::end;
  BatchError error = load(position, batch);
  if (error == BatchError::none) error = check();
  if (error == BatchError::none && options.check_records) error = check_records(batch);
  if (error == BatchError::none) {
    batch_position = position;
    position += batch.summary().bytes;
    next_offset = batch.next_offset();
    epoch = batch.leader_epoch();
    return ScanEvent::batch;
  }
  if (loader.at_end() || (loader.blank() && data_end() <= position)) {
    zero_tail = size - position;
    ended = true;
    return ScanEvent::end;
  }
  const std::int64_t base = loader.header_ok() ? batch.base_offset() : -1;
  const std::int64_t claimed_end = loader.header_ok() ? position + batch.summary().bytes : -1;
  if (error == BatchError::wrong_offset && is_gap()) return gap(base);
  return resync(error, claimed_end);
}

BatchError SegmentScanner::State::load(std::int64_t at, BatchView& view) {
  const BatchError error = loader.load(source, at, options.batch_bytes_most, view);
  if (loader.io_error() != 0) throw_errno("reading a log segment", loader.io_error());
  return error;
}

// The batch at `position`, whose CRC is right, against what came before it.
BatchError SegmentScanner::State::check() {
  if (batch.next_offset() > offset_limit) return BatchError::wrong_offset;
  if (epoch < 0 && !options.epochs_may_rise) settle_epoch();
  const bool risen = options.epochs_may_rise && batch.leader_epoch() > epoch;
  const BatchError error = batch.follows(next_offset, risen ? -1 : epoch, options.gaps);
  if (error != BatchError::none || batch.base_offset() == next_offset) return error;
  return contradicted() ? BatchError::wrong_offset : BatchError::none;
}

// The CRC does not cover the epoch, so a single batch's word is not enough: the first three decide, or the
// first.
void SegmentScanner::State::settle_epoch() {
  const std::int32_t first = batch.leader_epoch();
  const std::int64_t second_at = position + batch.summary().bytes;
  BatchView view;
  epoch = first;
  if (load(second_at, view) == BatchError::none && view.leader_epoch() != first) {
    const std::int32_t second = view.leader_epoch();
    if (load(second_at + view.summary().bytes, view) == BatchError::none && view.leader_epoch() == second) {
      epoch = second;
    }
  }
  reload();
}

// A batch behind a gap, whose offset the CRC does not cover either: is the next one's below it, though not
// below what was before?
bool SegmentScanner::State::contradicted() {
  const std::int64_t next = batch.next_offset();
  BatchView behind;
  const bool valid = load(position + batch.summary().bytes, behind) == BatchError::none;
  const bool below = valid && behind.base_offset() < next && behind.base_offset() > next_offset;
  reload();
  return below;
}

// The loader has one batch at a time: after a look at another one, the batch at `position` again.
void SegmentScanner::State::reload() { static_cast<void>(load(position, batch)); }

BatchError SegmentScanner::State::check_records(const BatchView& view) {
  std::span<const std::byte> records;
  if (const BatchError error = decompressor.records(view, records); error != BatchError::none) return error;
  RecordCursor cursor(view, records);
  RecordView record;
  while (cursor.next(record)) {
    if (!headers_well_formed(record.headers)) return BatchError::bad_record;
  }
  return cursor.error();
}

// The batch at `position` checks out but for its offset, which is too high. If the one behind it goes on from
// there, it is the offsets in between that are missing, not this batch's offset that is damaged. Overwrites
// `batch`.
bool SegmentScanner::State::is_gap() {
  if (batch.base_offset() <= next_offset || batch.next_offset() > offset_limit) return false;
  const std::int64_t following = batch.next_offset();
  BatchView behind;
  return load(position + batch.summary().bytes, behind) == BatchError::none &&
         behind.base_offset() == following;
}

ScanEvent SegmentScanner::State::gap(std::int64_t at_offset) noexcept {
  bad = BadRegion{BatchError::wrong_offset, position, 0, next_offset, at_offset};
  next_offset = at_offset;
  return ScanEvent::bad_region;
}

std::int64_t SegmentScanner::State::data_end() {
  if (known_data_end < 0) known_data_end = BatchSearch(source, size).data_end(position);
  return known_data_end;
}

bool SegmentScanner::State::reaches_data_end(std::int64_t claimed_end) {
  return claimed_end <= size && claimed_end >= data_end() && claimed_end - data_end() <= kTrailingZeros;
}

// `claimed_end`: where the batch at `position` ends by its own header; -1: its header makes no sense.
FoundBatch SegmentScanner::State::search(std::int64_t claimed_end) {
  SearchRules rules;
  rules.least_offset = next_offset;
  rules.offset_limit = offset_limit;
  rules.leader_epoch = options.epochs_may_rise ? -1 : epoch;
  rules.batch_bytes_most = options.batch_bytes_most;
  rules.gaps = options.gaps;
  rules.foreign = options.epochs_may_rise;
  if (claimed_end >= 0) {
    // If the length is right, the next batch starts right there: what lies inside this one is not looked at
    // then.
    if (reaches_data_end(claimed_end)) return {};
    BatchView behind;
    if (claimed_end < size && load(claimed_end, behind) == BatchError::none &&
        search_accepts(behind, rules)) {
      return BatchSearch(source, size).find(claimed_end, rules, {claimed_end, behind.base_offset()});
    }
  }
  return BatchSearch(source, size).find(position + 1, rules);
}

ScanEvent SegmentScanner::State::resync(BatchError error, std::int64_t claimed_end) {
  const FoundBatch found = search(claimed_end);
  bad = BadRegion{error, position, 0, next_offset, found.base_offset};
  if (found) {
    bad.bytes = found.position - position;
    position = found.position;
    next_offset = found.base_offset;
    return ScanEvent::bad_region;
  }
  const std::int64_t end = reaches_data_end(claimed_end) ? claimed_end : data_end();
  bad.bytes = end - position;
  zero_tail = size - end;
  ended = true;
  return ScanEvent::bad_region;
}

SegmentScanner::SegmentScanner(int fd, std::int64_t base_offset, ScanOptions options) {
  auto source = std::make_unique<FdSource>(fd);
  const ByteSource& from = *source;
  state_ = std::make_unique<State>(std::move(source), from, base_offset, options);
}

SegmentScanner::SegmentScanner(const ByteSource& source, std::int64_t base_offset, ScanOptions options)
    : state_(std::make_unique<State>(nullptr, source, base_offset, options)) {}

SegmentScanner::~SegmentScanner() = default;
SegmentScanner::SegmentScanner(SegmentScanner&&) noexcept = default;
SegmentScanner& SegmentScanner::operator=(SegmentScanner&&) noexcept = default;

ScanEvent SegmentScanner::next() { return state_->next(); }
const BatchView& SegmentScanner::batch() const noexcept { return state_->batch; }
std::int64_t SegmentScanner::batch_position() const noexcept { return state_->batch_position; }
const BadRegion& SegmentScanner::bad() const noexcept { return state_->bad; }
std::int64_t SegmentScanner::position() const noexcept { return state_->position; }
std::int64_t SegmentScanner::next_offset() const noexcept { return state_->next_offset; }
std::int64_t SegmentScanner::zero_tail_bytes() const noexcept { return state_->zero_tail; }

}  // namespace busway::log
