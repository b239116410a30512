#include "tests/disk/log_story.hpp"

#include <algorithm>
#include <array>

#include "bus/log/segment_reader.hpp"
#include "bus/log/segment_scanner.hpp"

namespace busway::test {

using daemon::AppendOutcome;
using daemon::SegmentForReader;
using daemon::SegmentInfo;
using daemon::SyncOutcome;

daemon::TopicConfig small_segments() {
  daemon::TopicConfig config;
  config.segment_bytes = 4096;
  config.index_interval_bytes = 300;
  config.retention_ms = daemon::TopicConfig::kUnlimited;
  return config;
}

std::string LogStory::value_of(Offset offset, int epoch, std::size_t bytes) {
  std::string value = std::to_string(offset) + "/" + std::to_string(epoch) + ":";
  std::uint64_t mix = static_cast<std::uint64_t>(offset) * 0x9E3779B97F4A7C15u + static_cast<unsigned>(epoch);
  while (value.size() < bytes) {
    mix = mix * 6364136223846793005u + 1442695040888963407u;
    value += static_cast<char>('a' + (mix >> 33) % 26);
  }
  return value;
}

void LogStory::open(daemon::RecoveryOptions options) {
  options.index_interval_bytes = static_cast<std::int32_t>(config_.index_interval_bytes);
  daemon::RecoveredLog recovered = daemon::recover_partition(files_, directory_, options);
  events_ = recovered.events;
  lost_ = recovered.lost;
  scanned_bytes_ = recovered.scanned_bytes;
  const daemon::StoreContext context{files_, disk_, staging_, janitor_};
  log_ = std::make_unique<daemon::PartitionLog>(context, kTag, config_, std::move(recovered), directory_);
}

AppendOutcome LogStory::publish(int records, std::size_t value_bytes, bool now) {
  const auto room = staging_.reserve(static_cast<std::size_t>(records) * (value_bytes + 200) + 200);
  EXPECT_FALSE(room.empty());
  log::BatchEncoder encoder;
  const Offset base = log_->log_end();
  encoder.begin(room, base, Epoch{memory_.epoch});
  for (int i = 0; i < records; ++i) {
    const std::string value = value_of(base + i, memory_.epoch, value_bytes);
    clock_ms_ += i % 3;
    EXPECT_EQ(encoder.append(
                  {.timestamp_ms = clock_ms_, .key = {}, .value = std::string_view(value), .headers = {}}),
              log::AppendResult::appended);
  }
  const log::BatchSummary summary = encoder.finish();
  const daemon::Staged staged = staging_.commit(static_cast<std::size_t>(summary.bytes));
  for (int i = 0; i < records; ++i) {
    memory_.published[base + i] = value_of(base + i, memory_.epoch, value_bytes);
  }
  memory_.granted = std::max(memory_.granted, summary.next_offset());
  const AppendOutcome outcome = now ? log_->append_now(summary, staged) : log_->append(summary, staged);
  if (outcome != AppendOutcome::appended) {
    staging_.release(staged);
    for (int i = 0; i < records; ++i) memory_.published.erase(base + i);
  }
  look();
  return outcome;
}

void LogStory::must_publish(int records, std::size_t value_bytes) {
  AppendOutcome outcome = publish(records, value_bytes);
  while (outcome == AppendOutcome::busy) {
    reap_once();
    outcome = publish(records, value_bytes);
  }
  ASSERT_EQ(outcome, AppendOutcome::appended);
}

void LogStory::reap_once() {
  std::array<daemon::DiskCompletion, 4> done;
  const std::size_t count = disk_.reap(done, std::chrono::milliseconds(100));
  for (std::size_t i = 0; i < count; ++i) {
    EXPECT_EQ(daemon::PartitionLog::tag_of(done[i].token), kTag);
    log_->complete(done[i]);
    look();
  }
}

void LogStory::settle() {
  while (log_->in_flight() > 0) reap_once();
}

bool LogStory::sync() {
  settle();
  for (;;) {
    const SyncOutcome outcome = log_->sync();
    settle();
    look();
    if (outcome == SyncOutcome::clean) return true;
    if (outcome == SyncOutcome::failed || outcome == SyncOutcome::stalled) return false;
  }
}

int LogStory::close() {
  settle();
  const int error = log_->close();
  look();
  log_.reset();
  return error;
}

void LogStory::look() {
  EXPECT_LE(log_->durable(), log_->written());
  EXPECT_LE(log_->written(), log_->log_end());
  memory_.written = std::max(memory_.written, log_->written());
  memory_.durable = std::max(memory_.durable, log_->durable());
}

std::map<Offset, std::string> LogStory::read_all() {
  std::map<Offset, std::string> found;
  const Offset written = log_->written();
  Offset at = log_->files()->segments.log_start();
  while (at < written) {
    const auto segments = log_->files()->segments.open_from(files_, at, 1);
    if (segments.empty()) break;
    const SegmentForReader& segment = segments.front();
    log::SegmentReader reader({segment.log.fd(), segment.index.fd(), segment.time_index.fd(), segment.base});
    log::RecordView record;
    log::ReadStatus status = reader.seek(at, written);
    while (status == log::ReadStatus::ok && (status = reader.next(written, record)) == log::ReadStatus::ok) {
      EXPECT_GE(record.offset, at) << "out of order";
      const auto expected = memory_.published.find(record.offset);
      EXPECT_TRUE(expected != memory_.published.end()) << "phantom at offset " << record.offset;
      if (expected != memory_.published.end()) {
        EXPECT_EQ(record.value.text(), expected->second);
      }
      EXPECT_TRUE(found.emplace(record.offset, record.value.text()).second) << "twice: " << record.offset;
      at = record.offset + 1;
    }
    EXPECT_EQ(status, log::ReadStatus::end) << segment.log.path();
    if (segment.next_base == SegmentInfo::kOpenEnd) break;
    at = std::max(at, segment.next_base);
  }
  return found;
}

void LogStory::check_files() {
  Offset end = 0;
  for (const SegmentInfo& segment : log_->files()->segments.snapshot()) {
    const auto path = [&](log::SegmentFile kind) { return log_->files()->segments.path(segment.base, kind); };
    EXPECT_GE(segment.base, end);
    const daemon::File file = daemon::File::open(files_, path(log::SegmentFile::log), daemon::OpenMode::read);
    std::map<std::int64_t, log::BatchSummary> batches;
    log::SegmentScanner scanner(file.fd(), segment.base);
    for (;;) {
      const log::ScanEvent event = scanner.next();
      if (event == log::ScanEvent::end) break;
      ASSERT_EQ(event, log::ScanEvent::batch) << file.path() << " at " << scanner.bad().position;
      batches[scanner.batch_position()] = scanner.batch().summary();
      end = scanner.next_offset();
    }
    if (segment.sealed) {
      EXPECT_EQ(file.size(), static_cast<std::uint64_t>(scanner.position())) << file.path();
      EXPECT_EQ(segment.bytes, file.size());
    }

    const daemon::File index =
        daemon::File::open_if_there(files_, path(log::SegmentFile::index), daemon::OpenMode::read);
    if (!index) continue;
    std::vector<std::byte> bytes(index.size());
    index.read(bytes, 0);
    EXPECT_EQ(bytes.size() % sizeof(log::OffsetIndexEntry), 0u);
    for (const log::OffsetPosition& entry : log::decode_offset_index(bytes, segment.base)) {
      ASSERT_TRUE(batches.contains(entry.position)) << index.path();
      EXPECT_EQ(batches[entry.position].last_offset, entry.offset) << index.path();
    }
    std::int64_t latest = log::kNoTimestamp;
    for (const auto& [position, batch] : batches) latest = std::max(latest, batch.max_timestamp_ms);
    if (segment.sealed) {
      EXPECT_EQ(segment.max_timestamp_ms, latest) << file.path();
    }
  }
}

}  // namespace busway::test
