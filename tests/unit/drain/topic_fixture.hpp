// One topic's real shared memory, log and drain in a temporary directory, without server or threads: the test
// is the publisher, and turns the drain by hand.
#pragma once

#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <stdlib.h>

#include "bus/base/clock.hpp"
#include "bus/log/segment_reader.hpp"
#include "bus/ring/lane_writer.hpp"
#include "bus/ring/publish.hpp"
#include "daemon/partition_drain.hpp"

namespace busway::daemon {

/// Notes what the drain reports.
struct NotedEvents final : DrainEvents {
  struct Gap {
    std::uint64_t from;
    std::uint64_t to;
    friend bool operator==(const Gap&, const Gap&) = default;
  };
  void grant_running_out(std::uint32_t) override { ++grants; }
  void bad_frame(std::uint32_t, std::uint64_t offset, std::uint32_t) override {
    bad_frames.push_back(offset);
  }
  void gap(std::uint32_t, std::uint64_t from, std::uint64_t to) override { gaps.push_back({from, to}); }
  void health_changed(std::uint32_t, LogHealth, int) override {}
  void active_segment(std::uint32_t, Offset, const std::string&) override {}

  int grants = 0;
  std::vector<std::uint64_t> bad_frames;
  std::vector<Gap> gaps;
};

class TopicFixture : public ::testing::Test {
 protected:
  using A = memory::StdAtomics;

  explicit TopicFixture(std::unique_ptr<Disk> disk = make_disk({}), const std::string& root = "/tmp")
      : directory_(root + "/busway-drain-XXXXXX"), disk_(std::move(disk)) {
    if (::mkdtemp(directory_.data()) == nullptr) throw std::runtime_error("no directory in " + root);
    bells_ = memory::Region::create("bells", memory::bells_bytes(8));
    bells_.as<memory::BellsHeader>()->identity.item_count = 8;
  }
  ~TopicFixture() override {
    drain_.reset();
    janitor_.finish();  // it may still make files there
    topic_.reset();
    std::filesystem::remove_all(directory_);
  }

  void make_topic(TopicConfig config = {}, std::uint64_t granted = 1'000'000) {
    config_ = config;
    topic_ = std::make_unique<TopicMemory>(kept_, Uuid::random(), "t", config,
                                           std::vector<PartitionStart>{{.granted = granted}}, 0);
  }

  void start_drain() {
    const std::string partition = directory_ + "/t-0";
    auto log = std::make_unique<PartitionLog>(store_, 0, config_, recover_partition(files_, partition, {}),
                                              partition);
    drain_ = std::make_shared<PartitionDrain>(
        DrainSetup{.memory = topic_->share_partition(0),
                   .lanes = topic_->lanes(),
                   .log = std::move(log),
                   .config = config_,
                   .ringer = BellRinger(bells_.as<memory::BellsHeader>(), &topic_->marks()),
                   .ordinal = 0,
                   .granted_step = 1000,
                   .epoch = Epoch{0}},
        *disk_, staging_, events_);
  }

  /// Turns the drain until nothing is left, and waits for the disk.
  void drain_all() {
    while (drain_->turn(coarse_unix_ms(), SIZE_MAX) == DrainTurn::progress || !drain_->quiet_on_disk())
      reap();
  }
  void sync() {
    drain_->want_sync();
    while (drain_->busy()) {
      drain_->turn(coarse_unix_ms(), SIZE_MAX);
      drain_->sync_if_due(coarse_unix_ms(), {});
      reap();
    }
  }
  void reap() {
    std::array<DiskCompletion, 16> done;
    const std::size_t count = disk_->reap(done, std::chrono::milliseconds(10));
    for (std::size_t i = 0; i < count; ++i) drain_->complete(done[i]);
  }

  std::shared_ptr<HeldLane> new_lane() { return topic_->make_lane(1024, 0, 0); }

  /// A lane in the test's eyes: cells of a line each, the first of them its header's.
  static constexpr std::size_t kCellBytes = limits::kCacheLine;
  static constexpr std::uint32_t unit_of(std::uint32_t cell) {
    return static_cast<std::uint32_t>(cell * kCellBytes / limits::kUnitBytes);
  }

  /// Commits whatever lies at `unit` of the lane.
  std::uint64_t commit(const HeldLane& lane, std::uint32_t unit) {
    ring::Ledger<A> ledger;
    ledger.ring = topic_->partition(0).rings.newest()->view;
    ledger.partition = &topic_->partition(0).view;
    ledger.enter();
    const ring::PublishOutcome outcome = ring::publish(ledger, ring::place_word(raw(lane.id), unit));
    EXPECT_EQ(outcome.status, ring::PublishStatus::committed);
    return outcome.offset;
  }
  /// Writes a frame into the lane at `cell`; `change` spoils it.
  template <class Change>
  void write_frame(const HeldLane& lane, std::uint32_t cell, const std::string& value, Change change) {
    auto* to = lane.kept.region.as<std::byte>() + std::size_t{cell} * kCellBytes;
    memory::FrameHeader header{.place = ring::place_word(raw(lane.id), unit_of(cell)),
                               .partition = 0,
                               .timestamp_ms = coarse_unix_ms(),
                               .headers_bytes = 0,
                               .key_bytes = memory::kNullLength,
                               .value_bytes = static_cast<std::int32_t>(value.size()),
                               .reserved = 0};
    change(header);
    std::memcpy(to, &header, sizeof header);
    std::memcpy(to + sizeof header, value.data(), value.size());
  }
  std::uint64_t publish(const HeldLane& lane, std::uint32_t cell, const std::string& value) {
    write_frame(lane, cell, value, [](memory::FrameHeader&) {});
    return commit(lane, unit_of(cell));
  }
  template <class Change>
  std::uint64_t publish_spoilt(const HeldLane& lane, std::uint32_t cell, Change change) {
    write_frame(lane, cell, "spoilt", change);
    return commit(lane, unit_of(cell));
  }

  struct Stored {
    std::int64_t offset;
    std::string value;
    std::int64_t timestamp_ms;
  };
  /// Every record of the log's segments, in order.
  std::vector<Stored> stored() {
    std::vector<Stored> all;
    const auto written = static_cast<std::int64_t>(drain_->log().written());
    for (const auto& segment : drain_->log().files()->segments.open_from(files_, 0, 100)) {
      log::SegmentReader reader({.log = segment.log.fd(), .base_offset = segment.base});
      log::RecordView record;
      while (reader.next(written, record) == log::ReadStatus::ok) {
        all.push_back({record.offset, std::string(record.value.text()), record.timestamp_ms});
      }
    }
    return all;
  }
  std::vector<std::string> stored_values() {
    std::vector<std::string> values;
    for (const Stored& record : stored()) values.push_back(record.value);
    return values;
  }

  std::string directory_;
  TopicConfig config_;
  InProcessKeeper keeper_;
  MemoryBudget budget_{std::uint64_t{1} << 30, std::uint64_t{1} << 30, 0};
  KeptMemory kept_{keeper_, budget_};
  RealFileSystem files_;
  std::unique_ptr<Disk> disk_;
  StagingArena staging_;
  Janitor janitor_{Janitor::Mode::own_thread};
  StoreContext store_{files_, *disk_, staging_, janitor_};
  memory::Region bells_;
  NotedEvents events_;
  std::unique_ptr<TopicMemory> topic_;
  std::shared_ptr<PartitionDrain> drain_;
};

}  // namespace busway::daemon
