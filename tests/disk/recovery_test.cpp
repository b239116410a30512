// What recovery makes of files that were damaged in one particular way, and of every truncation and flipped
// byte.

#include "daemon/recovery.hpp"

#include <gtest/gtest.h>

#include "bus/log/segment_scanner.hpp"
#include "tests/disk/log_story.hpp"
#include "tests/disk/simulated_disk.hpp"

namespace busway::test {
namespace {

using daemon::RecoveryEvent;
using daemon::RecoveryEventKind;
using daemon::RecoveryOptions;

const std::string kDirectory = "/data/orders-0";

std::string log_path(Offset base) {
  return kDirectory + "/" + log::segment_file_name(base, log::SegmentFile::log);
}
std::string index_path(Offset base) {
  return kDirectory + "/" + log::segment_file_name(base, log::SegmentFile::index);
}

class RecoveryTest : public testing::Test {
 protected:
  /// A log of `batches` batches with two records each, all durable; the process is killed.
  void make_log(int batches, std::size_t value_bytes = 100, bool clean_stop = false) {
    SimulatedMachine machine(1);
    LogStory story(machine.files(), machine.disk(), kDirectory, memory_, config_);
    story.open({});
    for (int i = 0; i < batches; ++i) {
      story.must_publish(2, value_bytes);
      if (i % 50 == 49) story.sync();
    }
    ASSERT_TRUE(story.sync());
    positions_ = batch_positions(story);
    if (clean_stop) {
      ASSERT_EQ(story.close(), 0);
    }
    story.forget_log();
    image_ = machine.crash(CrashKind::kill);
    image_.files.erase(kDirectory + "/" + std::string(daemon::Checkpoint::kFileName));
  }
  /// Where the batches of the first segment begin.
  static std::vector<std::size_t> batch_positions(LogStory& story) {
    std::vector<std::size_t> positions;
    const auto path = story.log().files()->segments.path(0, log::SegmentFile::log);
    const daemon::File file =
        daemon::File::open(story.log().files()->file_system, path, daemon::OpenMode::read);
    log::SegmentScanner scanner(file.fd(), 0);
    while (scanner.next() == log::ScanEvent::batch) {
      positions.push_back(static_cast<std::size_t>(scanner.batch_position()));
    }
    return positions;
  }

  /// `without_room`: what steps fail for want of room; see SimulatedMachine::fail_all().
  LogStory& recover(const RecoveryOptions& options = {}, const std::string& without_room = {}) {
    story_.reset();
    machine_ = std::make_unique<SimulatedMachine>(image_, 2);
    if (!without_room.empty()) machine_->fail_all(without_room, ENOSPC);
    story_ = std::make_unique<LogStory>(machine_->files(), machine_->disk(), kDirectory, memory_, config_);
    story_->open(options);
    return *story_;
  }
  std::vector<RecoveryEvent> events(RecoveryEventKind kind) const {
    std::vector<RecoveryEvent> found;
    for (const RecoveryEvent& event : story_->events()) {
      if (event.kind == kind) found.push_back(event);
    }
    return found;
  }
  std::size_t quarantined_bytes() {
    const DiskImage now = machine_->crash(CrashKind::kill);
    std::size_t bytes = 0;
    for (const auto& [path, content] : now.files) {
      if (path.ends_with(".quarantine")) bytes += content.size();
    }
    return bytes;
  }
  void flip(const std::string& path, std::size_t position, unsigned bits = 0xFF) {
    image_.files.at(path).at(position) ^= static_cast<std::byte>(bits);
  }
  std::map<Offset, std::string> published_without(Offset first, Offset next) const {
    auto left = memory_.published;
    left.erase(left.lower_bound(first), left.lower_bound(next));
    return left;
  }

  Memory memory_;
  daemon::TopicConfig config_ = [] {
    auto config = small_segments();
    config.segment_bytes = 1 << 20;
    return config;
  }();
  DiskImage image_;
  std::vector<std::size_t> positions_;
  std::unique_ptr<SimulatedMachine> machine_;
  std::unique_ptr<LogStory> story_;
};

TEST_F(RecoveryTest, an_untouched_log_is_taken_as_it_is) {
  make_log(20);
  EXPECT_EQ(recover().read_all(), memory_.published);
  EXPECT_EQ(story_->log().log_end(), 40);
  EXPECT_EQ(story_->log().active_base(), 0) << "it goes on in the same segment";
  EXPECT_TRUE(story_->events().empty());
}

TEST_F(RecoveryTest, a_torn_tail_is_cut_and_the_segment_goes_on) {
  make_log(20);
  image_.files.at(log_path(0)).resize(image_.files.at(log_path(0)).size() - 10);
  LogStory& story = recover();
  EXPECT_EQ(story.log().log_end(), 38);
  ASSERT_EQ(events(RecoveryEventKind::torn_tail).size(), 1u);
  EXPECT_EQ(events(RecoveryEventKind::torn_tail)[0].first_offset, 38);
  EXPECT_EQ(events(RecoveryEventKind::torn_tail)[0].position, positions_.back());
  EXPECT_EQ(quarantined_bytes(), 0u);
  recover();
  EXPECT_EQ(story_->log().active_base(), 0);
  memory_.published.erase(memory_.published.lower_bound(38), memory_.published.end());
  story_->must_publish(3, 10);
  ASSERT_TRUE(story_->sync());
  EXPECT_EQ(story_->read_all(), memory_.published);
}

TEST_F(RecoveryTest, a_tail_below_what_was_durable_is_no_torn_tail) {
  make_log(20);
  flip(log_path(0), positions_.back() + 70);
  RecoveryOptions options;
  options.durable = 40;
  LogStory& story = recover(options);
  ASSERT_EQ(events(RecoveryEventKind::lost_range).size(), 1u);
  EXPECT_EQ(events(RecoveryEventKind::lost_range)[0].first_offset, 38);
  EXPECT_EQ(events(RecoveryEventKind::lost_range)[0].next_offset, 40);
  EXPECT_EQ(story.log().log_end(), 40) << "offsets 38 and 39 were given out";
  EXPECT_EQ(story.log().active_base(), -1) << "a fresh segment";
  EXPECT_TRUE(story.lost().contains(38));
  EXPECT_GT(quarantined_bytes(), 0u);
}

TEST_F(RecoveryTest, a_damaged_batch_is_quarantined_and_all_others_are_kept) {
  make_log(20);
  flip(log_path(0), positions_[7] + 100);
  LogStory& story = recover();
  ASSERT_EQ(events(RecoveryEventKind::lost_range).size(), 1u);
  const RecoveryEvent event = events(RecoveryEventKind::lost_range)[0];
  EXPECT_EQ(event.first_offset, 14);
  EXPECT_EQ(event.next_offset, 16);
  EXPECT_EQ(event.position, positions_[7]);
  EXPECT_EQ(event.bytes, positions_[8] - positions_[7]);
  EXPECT_NE(event.sentence().find("offsets 14 to 15 are lost"), std::string::npos) << event.sentence();
  EXPECT_EQ(story.log().log_end(), 40);
  EXPECT_EQ(story.read_all(), published_without(14, 16));
  story.check_files();
  EXPECT_EQ(story.lost().ranges(), (std::vector<daemon::OffsetRange>{{14, 16}}));
  story.must_publish(1, 10);
  EXPECT_EQ(story.log().active_base(), 40) << "on in a fresh segment";
  ASSERT_TRUE(story.sync());
  EXPECT_EQ(story.read_all(), published_without(14, 16));
  EXPECT_EQ(quarantined_bytes(), event.bytes);
}

TEST_F(RecoveryTest, several_damaged_places_are_all_reported) {
  make_log(20);
  flip(log_path(0), positions_[0] + 20);
  flip(log_path(0), positions_[5] + 100);
  flip(log_path(0), positions_[6] + 100);
  flip(log_path(0), positions_[12] + 3);
  LogStory& story = recover();
  EXPECT_EQ(story.lost().ranges(), (std::vector<daemon::OffsetRange>{{0, 2}, {10, 14}, {24, 26}}));
  EXPECT_EQ(story.read_all().size(), 40u - 8u);
  EXPECT_EQ(story.log().log_end(), 40);
  story.check_files();
}

TEST_F(RecoveryTest, what_is_lost_stays_known_after_the_next_start) {
  make_log(20);
  flip(log_path(0), positions_[7] + 100);
  ASSERT_EQ(recover().close(), 0);
  RecoveryOptions clean;
  clean.clean = true;
  story_->open(clean);
  EXPECT_TRUE(story_->events().empty());
  EXPECT_TRUE(story_->lost().contains(14));
  EXPECT_EQ(story_->read_all(), published_without(14, 16));
}

TEST_F(RecoveryTest, what_the_rings_hold_behind_a_hole_is_drained_again) {
  make_log(20);
  flip(log_path(0), positions_[15] + 100);  // as if its write had never been carried out
  RecoveryOptions options;
  options.in_rings_from = 30;
  options.durable = 20;
  LogStory& story = recover(options);
  EXPECT_EQ(story.log().log_end(), 30);
  EXPECT_TRUE(events(RecoveryEventKind::lost_range).empty());
  EXPECT_EQ(story.log().active_base(), 0);
  EXPECT_EQ(story.read_all(), published_without(30, 40));
}

TEST_F(RecoveryTest, damage_below_what_the_rings_hold_is_corruption) {
  make_log(20);
  flip(log_path(0), positions_[7] + 100);
  RecoveryOptions options;
  options.in_rings_from = 30;
  LogStory& story = recover(options);
  EXPECT_EQ(events(RecoveryEventKind::lost_range).size(), 1u);
  EXPECT_EQ(story.log().log_end(), 40);
  EXPECT_EQ(story.read_all(), published_without(14, 16));
}

TEST_F(RecoveryTest, missing_and_damaged_indexes_are_built_anew) {
  make_log(40);
  recover();
  image_ = machine_->crash(CrashKind::kill);
  const auto good = image_.files.at(index_path(0));
  ASSERT_GT(good.size(), 40u);
  for (int damage = 0; damage < 4; ++damage) {
    SCOPED_TRACE(damage);
    if (damage == 0) image_.files.erase(index_path(0));
    if (damage == 1) image_.files[index_path(0)].clear();
    if (damage == 2) image_.files[index_path(0)] = std::vector<std::byte>(1000, std::byte{0x55});
    if (damage == 3) {
      image_.files[index_path(0)] = good;
      flip(index_path(0), 5);
    }
    LogStory& story = recover();
    EXPECT_EQ(story.read_all(), memory_.published);
    story.check_files();
    const DiskImage after = machine_->crash(CrashKind::kill);
    EXPECT_GT(after.files.at(index_path(0)).size(), 40u);
  }
}

TEST_F(RecoveryTest, without_room_there_are_no_indexes_until_there_is_room) {
  config_.segment_bytes = 4096;
  make_log(100);
  recover();
  image_ = machine_->crash(CrashKind::kill);
  const DiskImage good = image_;
  const auto is_index = [](const std::string& path) { return path.ends_with("index"); };
  std::erase_if(image_.files, [&](const auto& file) { return is_index(file.first); });
  image_.files.erase(kDirectory + "/" + std::string(daemon::Checkpoint::kFileName));
  for (const char* what : {"create ", "write "}) {
    SCOPED_TRACE(what);
    EXPECT_EQ(recover({}, what).read_all(), memory_.published);
    EXPECT_TRUE(events(RecoveryEventKind::lost_range).empty());
  }
  image_ = machine_->crash(CrashKind::power_random);
  EXPECT_EQ(recover().read_all(), memory_.published);
  story_->check_files();
  const DiskImage after = machine_->crash(CrashKind::kill);
  for (const auto& [path, content] : good.files) {
    if (is_index(path)) {
      EXPECT_EQ(after.files.at(path), content) << path;
    }
  }
}

TEST_F(RecoveryTest, what_is_lost_is_written_down_as_soon_as_there_is_room) {
  config_.segment_bytes = 4096;
  make_log(100);
  LogStory& before = recover();
  const auto segments = before.log().files()->segments.snapshot();
  image_ = machine_->crash(CrashKind::kill);
  const daemon::OffsetRange gone{segments.at(2).base, segments.at(3).base};
  for (const auto& path : {log_path(gone.first), index_path(gone.first)}) image_.files.erase(path);
  image_.files.erase(kDirectory + "/" + std::string(daemon::Checkpoint::kFileName));

  const std::string lost_file = kDirectory + "/" + std::string(daemon::LostOffsets::kFileName);
  LogStory& story = recover({}, "create ");
  EXPECT_EQ(story.lost().ranges(), std::vector{gone});
  EXPECT_FALSE(daemon::File::open_if_there(machine_->files(), lost_file, daemon::OpenMode::read));

  machine_->fail_all("nothing", 0);
  const Offset end = story.log().log_end();
  while (story.log().active_base() <= end) story.must_publish(2, 500);
  ASSERT_TRUE(story.sync());
  story.forget_log();
  const DiskImage after = machine_->crash(CrashKind::kill);
  EXPECT_TRUE(after.files.contains(lost_file)) << "the checkpoint has moved without it";
  image_ = after;
  EXPECT_EQ(recover().lost().ranges(), std::vector{gone});
}

TEST_F(RecoveryTest, leftovers_of_a_crash_are_removed) {
  make_log(5);
  image_.files[kDirectory + "/next.prepared"] = {};
  image_.files[kDirectory + "/checkpoint.new"] = {};
  image_.files[index_path(777)] = {};
  recover();
  EXPECT_EQ(events(RecoveryEventKind::removed_leftover).size(), 3u);
  const DiskImage after = machine_->crash(CrashKind::kill);
  EXPECT_FALSE(after.files.contains(kDirectory + "/next.prepared"));
  EXPECT_FALSE(after.files.contains(index_path(777)));
}

TEST_F(RecoveryTest, files_that_are_not_ours_stay) {
  make_log(5);
  image_.files[kDirectory + "/README"] = {std::byte{'x'}};
  image_.files[kDirectory + "/00000000000000000000-5.quarantine"] = {std::byte{'x'}};
  recover();
  const DiskImage after = machine_->crash(CrashKind::kill);
  EXPECT_TRUE(after.files.contains(kDirectory + "/README"));
  EXPECT_TRUE(after.files.contains(kDirectory + "/00000000000000000000-5.quarantine"));
}

TEST_F(RecoveryTest, a_sync_that_fails_has_the_segment_copied) {
  make_log(20);
  story_.reset();
  machine_ = std::make_unique<SimulatedMachine>(image_, 2);
  machine_->fail_step(1, EIO);  // the sync before the scan
  story_ = std::make_unique<LogStory>(machine_->files(), machine_->disk(), kDirectory, memory_, config_);
  story_->open({});
  EXPECT_EQ(events(RecoveryEventKind::rewrote_segment).size(), 1u);
  EXPECT_EQ(story_->read_all(), memory_.published);
  image_ = machine_->crash(CrashKind::power_least);
  EXPECT_EQ(recover().read_all(), memory_.published);
}

TEST_F(RecoveryTest, an_error_that_only_the_keepers_descriptor_reports_counts) {
  make_log(20);
  story_.reset();
  machine_ = std::make_unique<SimulatedMachine>(image_, 2);
  const int keeper_fd = machine_->files().open(log_path(0), daemon::OpenMode::read);
  machine_->fail_step(1, EIO);
  story_ = std::make_unique<LogStory>(machine_->files(), machine_->disk(), kDirectory, memory_, config_);
  RecoveryOptions options;
  options.keeper_fd = keeper_fd;
  story_->open(options);
  EXPECT_EQ(events(RecoveryEventKind::rewrote_segment).size(), 1u);
  EXPECT_EQ(story_->read_all(), memory_.published);
}

TEST_F(RecoveryTest, a_clean_stop_whose_tail_is_damaged_is_not_believed) {
  make_log(20, 100, true);
  {
    SimulatedMachine machine(image_, 5);
    daemon::Checkpoint(machine.files(), kDirectory, {}).advance(0, 40);
    image_ = machine.crash(CrashKind::kill);
  }
  flip(log_path(0), positions_[18] + 100);
  RecoveryOptions options;
  options.clean = true;
  LogStory& story = recover(options);
  EXPECT_EQ(story.lost().ranges(), (std::vector<daemon::OffsetRange>{{36, 38}}));
  EXPECT_EQ(story.read_all(), published_without(36, 38));
}

TEST_F(RecoveryTest, progress_reaches_the_end) {
  make_log(200, 2000);
  std::uint64_t last = 0;
  std::uint64_t all = 0;
  RecoveryOptions options;
  options.progress = [&](std::uint64_t done, std::uint64_t in_all) {
    EXPECT_GE(done, last);
    last = done;
    all = in_all;
  };
  recover(options);
  EXPECT_EQ(last, all);
  EXPECT_GT(all, 400'000u);
}

TEST_F(RecoveryTest, nothing_at_all_is_an_empty_log) {
  LogStory& story = recover();
  EXPECT_EQ(story.log().log_end(), 0);
  EXPECT_TRUE(story.events().empty());
}

// Whatever the length, what is left of whole batches is there.
TEST_F(RecoveryTest, every_truncation) {
  make_log(12, 60);
  const auto whole = image_.files.at(log_path(0));
  for (std::size_t length = 0; length < whole.size(); ++length) {
    SCOPED_TRACE(length);
    image_.files[log_path(0)].assign(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
    const auto batches = static_cast<Offset>(std::upper_bound(positions_.begin(), positions_.end(), length) -
                                             positions_.begin() - 1);
    LogStory& story = recover();
    ASSERT_EQ(story.log().log_end(), 2 * batches);
    ASSERT_EQ(story.read_all(), published_without(2 * batches, 1000));
    ASSERT_EQ(events(RecoveryEventKind::lost_range).size(), 0u);
  }
}

// A flipped byte costs its own batch at most, and that is reported.
TEST_F(RecoveryTest, every_flipped_byte) {
  make_log(12, 60);
  const auto whole = image_.files.at(log_path(0));
  for (std::size_t at = 0; at < whole.size(); ++at) {
    SCOPED_TRACE(at);
    image_.files[log_path(0)] = whole;
    flip(log_path(0), at, 1u << (at % 8));
    const auto batch = std::upper_bound(positions_.begin(), positions_.end(), at) - positions_.begin() - 1;
    LogStory& story = recover();
    const auto found = story.read_all();
    for (const auto& [offset, value] : memory_.published) {
      if (found.contains(offset)) continue;
      ASSERT_EQ(offset / 2, batch) << "a batch that was not touched is gone";
      const bool at_end = offset >= story.log().log_end();
      ASSERT_TRUE(at_end || story.lost().contains(offset)) << "a silent gap at " << offset;
    }
    story.check_files();
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace busway::test
