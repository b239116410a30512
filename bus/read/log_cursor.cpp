#include "bus/read/log_cursor.hpp"

#include <algorithm>
#include <memory>
#include <utility>

namespace busway::read {
namespace {

constexpr std::int64_t as_signed(std::uint64_t offset) noexcept { return static_cast<std::int64_t>(offset); }

log::SegmentFiles files_of(const OpenSegment& segment) noexcept {
  return {.log = segment.log.get(),
          .index = segment.index.get(),
          .time_index = -1,
          .base_offset = as_signed(segment.base)};
}

}  // namespace

LogProgress LogCursor::read(Source& source, std::uint64_t offset, std::uint64_t bound, RecordBatch& into) {
  skipped_ = corrupt_ = 0;
  if (!standing_ || next_ != offset) {
    standing_ = in_batch_ = false;
    next_ = offset;
  }
  const std::size_t before = into.size();
  while (next_ < bound) {
    Step step = Step::again;
    if (in_batch_)
      deliver(into);
    else if (standing_)
      step = next_batch(bound);
    else
      step = open_segment(source, bound);
    if (step == Step::end) step = behind_segment(source, bound);
    if (into.size() > before) return LogProgress::records;
    if (step == Step::failed) return LogProgress::failed;
  }
  return LogProgress::end;
}

void LogCursor::pass_to(std::uint64_t offset, std::uint64_t& count) noexcept {
  if (offset <= next_) return;
  count += offset - next_;
  next_ = offset;
}

/// Hands out the rest of the batch, as far as there is room.
void LogCursor::deliver(RecordBatch& into) {
  while (in_batch_ && !into.full()) {
    const std::span<Record> places = into.places();
    const std::size_t count = fill(places);
    into.added(count);
    if (count == places.size()) continue;
    // Its checksum was right, so a record that does not parse was written like that: nobody can read it.
    pass_to(batch_end_, records_.error() == log::BatchError::none ? skipped_ : corrupt_);
    in_batch_ = false;
  }
}

/// Puts records into `places` until either ends. Out of a cursor of its own: the compiler cannot know that
/// the records it writes are not what it reads from.
std::size_t LogCursor::fill(std::span<Record> places) noexcept {
  log::RecordCursor records = records_;
  std::uint64_t next = next_;
  std::uint64_t skipped = 0;
  const auto partition = static_cast<std::int32_t>(partition_);
  log::RecordView record;
  Record* place = places.data();
  Record* const end = place + places.size();
  while (place != end && records.next(record)) {
    const auto offset = static_cast<std::uint64_t>(record.offset);
    if (offset < next) [[unlikely]]
      continue;
    skipped += offset - next;
    next = offset + 1;
    std::construct_at(place++,
                      Record::Fields{.offset = record.offset,
                                     .timestamp_ms = record.timestamp_ms,
                                     .partition = partition,
                                     .key = BytesView::of_length(record.key.data, record.key.size),
                                     .value = BytesView::of_length(record.value.data, record.value.size),
                                     .headers = record.headers});
  }
  records_ = records;
  next_ = next;
  skipped_ += skipped;
  return static_cast<std::size_t>(place - places.data());
}

LogCursor::Step LogCursor::next_batch(std::uint64_t bound) {
  log::BatchView batch;
  return enter_batch(reader_->next_batch(as_signed(bound), batch), bound);
}

/// The reader stands in a batch, or says why not.
LogCursor::Step LogCursor::enter_batch(log::ReadStatus found, std::uint64_t bound) {
  if (const Step step = judge(found); step != Step::done)
    return step == Step::again ? over_bad_region(bound) : step;
  const log::BatchView& batch = reader_->batch();
  std::span<const std::byte> records;
  if (const Step step = judge(reader_->batch_records(records)); step != Step::done)
    return step == Step::again ? over_bad_region(bound) : step;
  batch_end_ = static_cast<std::uint64_t>(batch.next_offset());
  if (batch.is_control()) {  // a transaction marker of whoever wrote this log: no data
    pass_to(batch_end_, skipped_);
    return Step::again;
  }
  records_ = log::RecordCursor(batch, records);
  in_batch_ = true;
  return Step::again;
}

/// done: go on; again: a bad region is in the way.
LogCursor::Step LogCursor::judge(log::ReadStatus status) {
  switch (status) {
    case log::ReadStatus::ok:
      return Step::done;
    case log::ReadStatus::end:
      return Step::end;
    case log::ReadStatus::corrupt:
      return Step::again;
    case log::ReadStatus::failed:
      break;
  }
  standing_ = false;
  return Step::failed;
}

LogCursor::Step LogCursor::over_bad_region(std::uint64_t bound) {
  const Step step = judge(reader_->skip_bad(as_signed(bound)));
  if (step == Step::failed) return step;
  const std::uint64_t segment_end = segments_.front().next_base;
  const std::int64_t next = reader_->defect().next_offset;
  pass_to(next < 0 ? std::min(bound, segment_end) : static_cast<std::uint64_t>(next), corrupt_);
  return next < 0 ? Step::end : Step::again;
}

/// Stands before next_ in the segment that holds it, or in the one behind.
LogCursor::Step LogCursor::open_segment(Source& source, std::uint64_t bound) {
  std::erase_if(segments_, [&](const OpenSegment& segment) { return segment.next_base <= next_; });
  if (segments_.empty() || segments_.front().base > next_) segments_ = source.segments(partition_, next_);
  std::erase_if(segments_, [&](const OpenSegment& segment) { return segment.next_base <= next_; });
  // Everything below the bound lay in segments before the bound was loaded: where there is none, there is a
  // gap.
  pass_to(segments_.empty() ? bound : std::min(segments_.front().base, bound), skipped_);
  if (next_ >= bound) return Step::again;
  if (reader_)
    reader_->reset(files_of(segments_.front()));
  else
    reader_ = std::make_unique<log::SegmentReader>(files_of(segments_.front()));
  standing_ = true;
  return enter_batch(reader_->seek(as_signed(next_), as_signed(bound)), bound);
}

/// The segment that is being read has nothing more below the bound.
LogCursor::Step LogCursor::behind_segment(Source& source, std::uint64_t bound) {
  standing_ = in_batch_ = false;
  const OpenSegment& segment = segments_.front();
  if (segment.next_base != OpenSegment::kActive) {
    pass_to(std::min(segment.next_base, bound), skipped_);
    return Step::again;
  }
  // It was the last one when we asked. If it still is, the rest is a gap.
  const std::uint64_t base = segment.base;
  segments_ = source.segments(partition_, next_);
  const bool still_last = segments_.empty() || (segments_.front().base == base &&
                                                segments_.front().next_base == OpenSegment::kActive);
  if (still_last) pass_to(bound, skipped_);
  return Step::again;
}

}  // namespace busway::read
