// One partition in memory and files of this process, and everybody around it: a publisher, a daemon that
// drains, grows and deletes, a source that hands out what there is. Tests read like what happens to a topic.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "bus/log/batch_encoder.hpp"
#include "bus/log/names.hpp"
#include "bus/memory/region.hpp"
#include "bus/read/partition_reader.hpp"
#include "bus/ring/lane_writer.hpp"
#include "bus/ring/publish.hpp"

namespace busway::read::test {

using Atomics = memory::StdAtomics;
using memory::Region;

inline std::shared_ptr<Region> make_region(memory::Kind kind, std::size_t bytes, std::uint32_t generation,
                                           std::uint64_t items) {
  auto region = std::make_shared<Region>(Region::create("reader-test", bytes));
  *region->as<memory::Identity>() = {.magic = memory::kMagic,
                                     .layout_version = memory::kLayoutVersion,
                                     .kind = kind,
                                     .owner = {},
                                     .partition = 0,
                                     .generation = generation,
                                     .bytes = bytes,
                                     .item_bytes = 8,
                                     .item_count = items};
  return region;
}

/// Segment files of one test, removed with it.
class SegmentDirectory {
 public:
  SegmentDirectory() {
    std::string path = (std::filesystem::temp_directory_path() / "busway-read-XXXXXX").string();
    if (::mkdtemp(path.data()) == nullptr) throw_errno("mkdtemp " + path);
    path_ = path;
  }
  SegmentDirectory(const SegmentDirectory&) = delete;
  SegmentDirectory& operator=(const SegmentDirectory&) = delete;
  ~SegmentDirectory() { std::filesystem::remove_all(path_); }
  std::string segment(std::uint64_t base) const { return path_ / (std::to_string(base) + ".log"); }

 private:
  std::filesystem::path path_;
};

struct NeverRevoke {
  std::int64_t operator()() const noexcept { return 0; }
};

/// A lane with its writer.
struct TestLane {
  TestLane(std::uint32_t lane_id, std::uint32_t lane_generation, std::size_t bytes)
      : id(lane_id),
        generation(lane_generation),
        region(make_region(memory::Kind::lane, bytes, lane_generation, bytes / limits::kUnitBytes)),
        book(ring::LaneWriter<Atomics>::book_size(bytes)),
        writer(lane_id, region->as<std::byte>(), bytes, book) {}
  std::uint32_t id;
  std::uint32_t generation;
  std::shared_ptr<Region> region;
  std::vector<ring::Remembered<Atomics>> book;
  ring::LaneWriter<Atomics> writer;
};

class ReaderTest : public ::testing::Test, protected Source {
 protected:
  static constexpr std::uint64_t kSlots = 16;

  ReaderTest() { use_topic(memory::Storage::logged, memory::Overflow::drop_oldest); }

  // ---- the topic

  void use_topic(memory::Storage storage, memory::Overflow overflow) {
    marks_region_ = make_region(memory::Kind::marks, memory::marks_bytes(1), 0, 1);
    wait_region_ = make_region(memory::Kind::wait, memory::wait_bytes(1), 0, 1);
    auto* header = marks_region_->as<memory::MarksHeader>();
    header->storage = storage;
    header->overflow = overflow;
    header->lease_cells.store(limits::kSubscribersWithCells);
    header->partitions = 1;
    marks().granted.store(1'000'000);
    marks().epoch.store(3);
    for (auto& cursor : memory::wait_partitions(wait_region_->as<memory::WaitHeader>())->cursors)
      cursor.store(memory::kCursorNone);
    partition_ = *ring::view_partition(header, marks_region_->bytes(), wait_region_->as<memory::WaitHeader>(),
                                       wait_region_->bytes(), 0);
    rings_.clear();
    lanes_.clear();
  }

  memory::PartitionMarks& marks() {
    return *memory::marks_partitions(marks_region_->as<memory::MarksHeader>());
  }
  memory::PartitionWait& wait_words() {
    return *memory::wait_partitions(wait_region_->as<memory::WaitHeader>());
  }

  void make_ring(std::uint64_t slots = kSlots) {
    const auto generation = static_cast<std::uint32_t>(ledgers_.size() + 1);
    auto region = make_region(memory::Kind::ring, memory::ring_bytes(slots), generation, slots);
    region->as<memory::RingHeader>()->base.store(memory::kBaseUnset);
    rings_.push_back({*ring::view_ring(region->as<memory::RingHeader>(), region->bytes()), region});
    auto ledger = std::make_unique<ring::Ledger<Atomics>>();
    ledger->ring = rings_.back().view;
    ledger->partition = &partition_;
    ledgers_.push_back(std::move(ledger));
  }
  void open_ring(std::uint64_t base) {
    ring::open_ring(rings_.back().view, base);
    ledgers_.back()->enter();
    ring::announce_ring(partition_.marks, rings_.back().view.generation);
  }
  void start_ring(std::uint64_t base = 0, std::uint64_t slots = kSlots) {
    make_ring(slots);
    open_ring(base);
  }
  void fence(ring::FenceReason reason) {
    ring::Ring view = rings_.back().view;
    view.enter();
    ASSERT_EQ(ring::set_fence(view, reason).status, ring::EndStatus::fenced);
  }
  /// The ring ends here and a larger one takes over.
  void grow(std::uint64_t slots = 4 * kSlots) {
    ring::Ring view = rings_.back().view;
    view.enter();
    const auto end = ring::set_fence(view, ring::FenceReason::grown);
    make_ring(slots);
    open_ring(end.offset);
  }

  TestLane& make_lane(std::uint32_t id, std::size_t bytes = 64 * 1024) {
    memory::Atomic32& generation =
        memory::marks_tables(marks_region_->as<memory::MarksHeader>())->lane_generation[id];
    generation.fetch_add(1);
    lanes_[id] = std::make_unique<TestLane>(id, generation.load(), bytes);
    return *lanes_[id];
  }

  // ---- the publisher

  /// Publishes in the newest ring; false if there is no room.
  bool try_publish(TestLane& lane, const std::string& value, std::int64_t timestamp_ms = 1000) {
    const auto place =
        lane.writer.reserve(sizeof(memory::FrameHeader) + value.size(), ring::LeasePatience<NeverRevoke>{});
    if (place.status != ring::ReserveStatus::reserved) return false;
    const memory::FrameHeader header{.place = place.place,
                                     .partition = 0,
                                     .timestamp_ms = timestamp_ms,
                                     .headers_bytes = 0,
                                     .key_bytes = memory::kNullLength,
                                     .value_bytes = static_cast<std::int32_t>(value.size()),
                                     .reserved = 0};
    std::memcpy(place.data, &header, sizeof header);
    std::memcpy(place.data + sizeof header, value.data(), value.size());
    const auto outcome = ring::publish(*ledgers_.back(), place.place);
    if (outcome.status != ring::PublishStatus::committed) {
      lane.writer.abandon(place.frame);
      return false;
    }
    lane.writer.published(place.frame, *ledgers_.back(), outcome.offset);
    published_.emplace(outcome.offset, value);
    return true;
  }
  void publish(const std::string& value) {
    if (lanes_.empty()) make_lane(1);
    ASSERT_TRUE(try_publish(*lanes_.begin()->second, value)) << value;
  }
  /// r0, r1, ... named after their offsets.
  void publish_many(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) publish("r" + std::to_string(published_.size() + offset_shift_));
  }

  // ---- the daemon's log

  /// Drains what was published up to `end` into the newest segment as one batch; `rejected` become gaps.
  void drain_to(std::uint64_t end, const std::vector<std::uint64_t>& rejected = {}) {
    const std::uint64_t from = marks().written.load();
    if (segments_.empty()) start_segment(from);
    append_batch(from, end, rejected);
    marks().written.store(end);
  }
  void sync() { marks().durable.store(marks().written.load()); }
  void start_segment(std::uint64_t base) {
    if (!segments_.empty()) segments_.rbegin()->second.next_base = base;
    segments_[base] = {.path = directory_.segment(base), .next_base = OpenSegment::kActive};
    ::close(::open(segments_[base].path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
  }
  void append_batch(std::uint64_t from, std::uint64_t end, const std::vector<std::uint64_t>& rejected = {}) {
    std::vector<std::byte> buffer(1024 * 1024);
    log::BatchEncoder encoder;
    encoder.begin(buffer, static_cast<std::int64_t>(from), Epoch{3});
    for (std::uint64_t offset = from; offset < end; ++offset) {
      if (std::find(rejected.begin(), rejected.end(), offset) != rejected.end())
        encoder.skip();
      else
        ASSERT_EQ(encoder.append({.timestamp_ms = 1000,
                                  .key = {},
                                  .value = log::Bytes(std::string_view(published_.at(offset))),
                                  .headers = {}}),
                  log::AppendResult::appended);
    }
    const log::BatchSummary summary = encoder.finish();
    const Fd file(::open(segments_.rbegin()->second.path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
    ASSERT_EQ(::write(file.get(), buffer.data(), static_cast<std::size_t>(summary.bytes)), summary.bytes);
  }
  /// Retention: truncates, then unlinks, the oldest segment.
  void delete_oldest_segment() {
    const auto oldest = segments_.begin();
    marks().log_start.store(oldest->second.next_base);
    ASSERT_EQ(::truncate(oldest->second.path.c_str(), 0), 0);
    ::unlink(oldest->second.path.c_str());
    segments_.erase(oldest);
  }
  std::string newest_segment_path() const { return segments_.rbegin()->second.path; }

  // ---- the reader

  PartitionReader make_reader(std::uint64_t from = 0, const ReaderOptions& options = {}) {
    PartitionReader reader(partition_, options, *this, cache_);
    reader.seek(from);
    return reader;
  }
  /// What one read gives, as "offset:value ...".
  std::string read_once(PartitionReader& reader) {
    batch_.clear();
    last_ = reader.read(batch_);
    return text_of(batch_);
  }
  /// All there is now.
  std::string read_all(PartitionReader& reader) {
    std::string all;
    for (int turn = 0; turn < 1000; ++turn) {
      const std::string more = read_once(reader);
      if (last_ != Progress::records && last_ != Progress::later) return all;
      all += (all.empty() || more.empty() ? "" : " ") + more;
    }
    ADD_FAILURE() << "the reader never comes to an end";
    return all;
  }
  static std::string text_of(const RecordBatch& batch) {
    std::string text;
    for (const Record& record : batch.records()) {
      text += (text.empty() ? "" : " ") + std::to_string(record.offset()) + ":";
      text += record.value().text();
    }
    return text;
  }
  /// "from:rfrom ... " up to, not including, `end`.
  static std::string expected(std::uint64_t from, std::uint64_t end) {
    std::string text;
    for (std::uint64_t offset = from; offset < end; ++offset)
      text += (text.empty() ? "" : " ") + std::to_string(offset) + ":r" + std::to_string(offset);
    return text;
  }

  // ---- the source

  std::vector<HeldRing> rings(std::uint32_t, std::uint32_t) override {
    ask();
    return rings_;
  }
  HeldLane lane(std::uint32_t lane, std::uint32_t generation) override {
    ask();
    const auto found = lanes_.find(lane);
    if (found == lanes_.end() || found->second->generation != generation) return {};
    const TestLane& known = *found->second;
    return {.span = {.data = known.region->as<const std::byte>(), .bytes = known.region->bytes()},
            .keep = known.region};
  }
  std::vector<OpenSegment> segments(std::uint32_t, std::uint64_t offset) override {
    ask();
    std::vector<OpenSegment> open;
    for (const auto& [base, segment] : segments_) {
      if (segment.next_base <= offset || open.size() == segments_at_once_) continue;
      open.push_back({.base = base,
                      .next_base = segment.next_base,
                      .log = Fd(::open(segment.path.c_str(), O_RDONLY | O_CLOEXEC)),
                      .index = Fd()});
    }
    return open;
  }
  void ask() {
    ++asked_;
    if (!daemon_answers_) throw Error(errc::no_daemon, "no daemon in this test");
  }

  struct Segment {
    std::string path;
    std::uint64_t next_base = OpenSegment::kActive;
  };

  SegmentDirectory directory_;
  std::shared_ptr<Region> marks_region_;
  std::shared_ptr<Region> wait_region_;
  ring::Partition partition_;
  std::vector<HeldRing> rings_;
  std::vector<std::unique_ptr<ring::Ledger<Atomics>>> ledgers_;
  std::map<std::uint32_t, std::unique_ptr<TestLane>> lanes_;
  std::map<std::uint64_t, std::string> published_;
  std::map<std::uint64_t, Segment> segments_;
  LaneCache cache_;
  RecordBatch batch_{1024};
  Progress last_ = Progress::nothing_yet;
  std::size_t offset_shift_ = 0;
  std::size_t segments_at_once_ = 4;
  unsigned asked_ = 0;
  bool daemon_answers_ = true;
};

}  // namespace busway::read::test
