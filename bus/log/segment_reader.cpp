#include "bus/log/segment_reader.hpp"

#include <algorithm>
#include <cerrno>

#include <busway/error.hpp>

#include "bus/log/batch_search.hpp"
#include "bus/log/segment_scanner.hpp"

namespace busway::log {

SegmentReader::SegmentReader(const SegmentFiles& files, std::size_t buffer_bytes,
                             std::size_t decompressed_most)
    : source_(files.log), loader_(buffer_bytes), decompressor_(decompressed_most) {
  reset(files);
}

void SegmentReader::reset(const SegmentFiles& files) noexcept {
  files_ = files;
  source_ = FdSource(files.log);
  loader_.forget();
  defect_ = {};
  error_number_ = 0;
  stand_at(0, files.base_offset);
  wanted_ = next_offset_ = files.base_offset;
}

void SegmentReader::stand_at(std::int64_t position, std::int64_t expected_offset) noexcept {
  next_position_ = position;
  expected_offset_ = expected_offset;
  sought_ = -1;
  records_ = RecordCursor();
}

// An index is a hint: it is taken only if the batch that it names lies where it says.
bool SegmentReader::stand_at_hint(OffsetPosition hint) {
  BatchView batch;
  const BatchError error = loader_.load(source_, hint.position, kBatchBytesMost, batch);
  if (error != BatchError::none || batch.last_offset() != hint.offset ||
      batch.base_offset() < files_.base_offset) {
    return false;
  }
  stand_at(hint.position, batch.base_offset());
  return true;
}

ReadStatus SegmentReader::seek(std::int64_t offset, std::int64_t written) {
  offset = std::max(offset, files_.base_offset);
  const OffsetPosition hint = OffsetIndexReader(files_.index, files_.base_offset).find(offset);
  if (hint.position == 0 || hint.offset >= written || !stand_at_hint(hint)) stand_at(0, files_.base_offset);
  wanted_ = next_offset_ = offset;
  return load_until(offset, written);
}

// Up to the batch that has `offset`, or the first one behind it.
ReadStatus SegmentReader::load_until(std::int64_t offset, std::int64_t written) {
  do {
    if (const ReadStatus status = load_batch(written); status != ReadStatus::ok) return status;
  } while (batch_.last_offset() < offset);
  sought_ = next_offset_;
  return open_records();
}

ReadStatus SegmentReader::seek_time(std::int64_t timestamp_ms, std::int64_t written) {
  const TimestampOffset before =
      TimeIndexReader(files_.time_index, files_.base_offset).find_before(timestamp_ms);
  ReadStatus status = seek(before.offset + 1, written);
  for (; status == ReadStatus::ok; status = load_batch(written)) {
    if (batch_.max_timestamp_ms() < timestamp_ms) continue;
    if (const ReadStatus opened = open_records(); opened != ReadStatus::ok) return opened;
    const RecordCursor start = records_;
    RecordView record;
    while (records_.next(record)) {
      if (record.timestamp_ms < timestamp_ms) continue;
      records_ = start;
      wanted_ = next_offset_ = record.offset;
      return ReadStatus::ok;
    }
    if (records_.error() != BatchError::none) return rejected(records_.error());
  }
  return status;
}

// The current batch's records are used up, or there is none yet.
ReadStatus SegmentReader::advance(std::int64_t written) {
  if (records_.error() != BatchError::none) return rejected(records_.error());
  const ReadStatus status = load_batch(written);
  return status == ReadStatus::ok ? open_records() : status;
}

ReadStatus SegmentReader::next_batch(std::int64_t written, BatchView& batch) {
  const bool stands_in_one = sought_ >= 0 && sought_ == next_offset_;
  records_ = RecordCursor();
  const ReadStatus status = stands_in_one ? ReadStatus::ok : load_batch(written);
  sought_ = -1;
  batch = batch_;
  if (status == ReadStatus::ok) next_offset_ = std::max(next_offset_, expected_offset_);
  return status;
}

ReadStatus SegmentReader::batch_records(std::span<const std::byte>& records) {
  const BatchError error = decompressor_.records(batch_, records);
  return error == BatchError::none ? ReadStatus::ok : rejected(error);
}

ReadStatus SegmentReader::open_records() {
  std::span<const std::byte> records;
  const ReadStatus status = batch_records(records);
  if (status == ReadStatus::ok) records_ = RecordCursor(batch_, records);
  return status;
}

// The epoch is not looked at: no record depends on it, and a damaged one must not cost any.
BatchError SegmentReader::check() const noexcept { return batch_.follows(expected_offset_, -1, files_.gaps); }

ReadStatus SegmentReader::load_batch(std::int64_t written) {
  sought_ = -1;
  next_offset_ = std::max(next_offset_, expected_offset_);
  if (expected_offset_ >= written) return ReadStatus::end;
  batch_position_ = next_position_;
  batch_expected_ = expected_offset_;
  BatchError error = loader_.load(source_, next_position_, kBatchBytesMost, batch_);
  if (error == BatchError::none) error = check();
  if (error != BatchError::none) {
    // The buffer may hold bytes read ahead while they were being written: judge only what is read now, below
    // `written`.
    loader_.forget();
    error = loader_.load(source_, next_position_, kBatchBytesMost, batch_);
    if (error == BatchError::none) error = check();
  }
  if (loader_.io_error() != 0) {
    error_number_ = loader_.io_error();
    return ReadStatus::failed;
  }
  if (error != BatchError::none) return rejected(error);
  if (batch_.last_offset() >= written) return ReadStatus::end;
  next_position_ += batch_.summary().bytes;
  expected_offset_ = batch_.next_offset();
  return ReadStatus::ok;
}

// The batch at batch_position_ does not check out.
ReadStatus SegmentReader::rejected(BatchError error) {
  stand_at(batch_position_, batch_expected_);
  if (loader_.at_end()) return ReadStatus::end;
  try {
    const std::int64_t size = source_.size();
    // zeros up to the end: a segment that was left before its file was cut to size
    if (loader_.blank() && BatchSearch(source_, size).data_end(batch_position_) <= batch_position_) {
      return ReadStatus::end;
    }
    // a file that was cut short behind our back (retention) shows no defect, only less
    if (size <= batch_position_) return ReadStatus::end;
    const std::int64_t claimed = loader_.header_ok() ? batch_.summary().bytes : size - batch_position_;
    defect_ = BadRegion{error, batch_position_, std::min(claimed, size - batch_position_), next_offset_, -1};
    return ReadStatus::corrupt;
  } catch (const Error&) {
    error_number_ = EIO;
    return ReadStatus::failed;
  }
}

ReadStatus SegmentReader::skip_bad(std::int64_t written) {
  ScanOptions options;
  options.position = batch_position_;
  options.next_offset = batch_expected_;
  options.offset_limit = written;
  options.gaps = files_.gaps;
  options.check_records = true;
  try {
    SegmentScanner scanner(source_, files_.base_offset, options);
    const ScanEvent event = scanner.next();
    if (event == ScanEvent::end) return ReadStatus::end;
    if (event == ScanEvent::bad_region) {
      defect_ = scanner.bad();
    } else {  // what the scanner takes but this reader does not: records beyond its limit
      defect_.bytes = scanner.batch().summary().bytes;
      defect_.next_offset = scanner.next_offset();
    }
    defect_.first_offset = std::max(defect_.first_offset, next_offset_);
    if (defect_.next_offset < 0) return ReadStatus::end;
    loader_.forget();
    stand_at(scanner.position(), scanner.next_offset());
    wanted_ = next_offset_ = std::max(next_offset_, scanner.next_offset());
    return ReadStatus::ok;
  } catch (const Error&) {
    error_number_ = EIO;
    return ReadStatus::failed;
  }
}

}  // namespace busway::log
