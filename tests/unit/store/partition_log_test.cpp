// The partition log over real files and both real disks. Crashes are tests/disk's.

#include "daemon/partition_log.hpp"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "bus/log/verify.hpp"
#include "daemon/disk_threads.hpp"
#include "daemon/disk_uring.hpp"
#include "tests/disk/log_story.hpp"
#include "tests/unit/store/temp_directory.hpp"

namespace busway::daemon {
namespace {

using test::LogStory;

enum class Backend { io_uring, threads };

class PartitionLogTest : public testing::TestWithParam<Backend> {
 protected:
  void SetUp() override {
    if (GetParam() == Backend::threads) {
      disk_ = std::make_unique<ThreadDisk>(16, 2);
    } else if (probe_io_uring() != 0) {
      GTEST_SKIP() << "this machine refuses io_uring";
    } else {
      disk_ = std::make_unique<UringDisk>(16);
    }
    begin();
  }
  /// A story in the same directory with the present configuration.
  void begin() {
    story_ = std::make_unique<LogStory>(files_, *disk_, directory_, memory_, config_);
    story_->open(options_);
  }
  void close_and_begin(bool clean = true) {
    EXPECT_EQ(story_->close(), 0);
    options_.clean = clean;
    begin();
  }
  std::size_t segment_count() const {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
      if (entry.path().extension() == ".log") ++count;
    }
    return count;
  }
  void expect_everything() {
    EXPECT_EQ(story_->read_all(), memory_.published);
    story_->check_files();
  }
  void expect_verified() {
    const log::VerifyReport report = log::verify(directory_);
    for (const log::Defect& defect : report.defects) ADD_FAILURE() << defect.sentence();
  }

  test::TempDirectory temp_;
  const std::string directory_ = temp_ / "orders-0";
  RealFileSystem files_;
  std::unique_ptr<Disk> disk_;
  test::Memory memory_;
  TopicConfig config_ = test::small_segments();
  RecoveryOptions options_;
  std::unique_ptr<LogStory> story_;
};

TEST_P(PartitionLogTest, an_empty_log_has_no_files_until_something_is_appended) {
  EXPECT_EQ(story_->log().log_end(), 0);
  EXPECT_EQ(story_->log().active_base(), -1);
  EXPECT_FALSE(std::filesystem::exists(directory_));
  story_->must_publish(1, 10);
  EXPECT_EQ(story_->log().active_base(), 0);
  EXPECT_TRUE(std::filesystem::exists(directory_));
}

TEST_P(PartitionLogTest, what_was_appended_is_read_back_across_many_segments) {
  for (int i = 0; i < 120; ++i) story_->must_publish(1 + i % 5, static_cast<std::size_t>(10 + i % 200));
  ASSERT_TRUE(story_->sync());
  EXPECT_EQ(story_->log().durable(), story_->log().log_end());
  EXPECT_GT(segment_count(), 5u);
  expect_everything();
}

TEST_P(PartitionLogTest, a_clean_stop_leaves_files_that_verify) {
  for (int i = 0; i < 120; ++i) story_->must_publish(1 + i % 5, static_cast<std::size_t>(10 + i % 200));
  EXPECT_EQ(story_->close(), 0);
  expect_verified();
}

TEST_P(PartitionLogTest, goes_on_where_it_stopped) {
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 20; ++i) story_->must_publish(1 + i % 3, 50);
    const Offset end = story_->log().log_end();
    close_and_begin();
    EXPECT_EQ(story_->log().log_end(), end);
    EXPECT_TRUE(story_->events().empty());
  }
  expect_everything();
  EXPECT_EQ(story_->close(), 0);
  expect_verified();
}

TEST_P(PartitionLogTest, a_restart_after_a_clean_stop_looks_at_little) {
  config_.segment_bytes = 1 << 20;
  close_and_begin();
  for (int i = 0; i < 500; ++i) story_->must_publish(4, 200);
  close_and_begin();
  EXPECT_LT(story_->scanned_bytes(), 10'000u);
  EXPECT_EQ(story_->log().log_end(), 2000);
}

TEST_P(PartitionLogTest, a_topic_that_is_opened_again_is_looked_at_from_its_checkpoint_on) {
  config_.segment_bytes = 1 << 20;
  close_and_begin();
  for (int i = 0; i < 500; ++i) story_->must_publish(4, 200);
  close_and_begin(false);
  EXPECT_LT(story_->scanned_bytes(), 10'000u);
  EXPECT_EQ(story_->log().log_end(), 2000);
  for (int i = 0; i < 10; ++i) story_->must_publish(4, 200);
  EXPECT_TRUE(story_->sync());
  story_->forget_log();
  begin();
  EXPECT_LT(story_->scanned_bytes(), 30'000u);
  EXPECT_EQ(story_->log().log_end(), 2040);
  expect_everything();
}

TEST_P(PartitionLogTest, closing_again_without_a_change_keeps_the_last_time_entry) {
  for (int i = 0; i < 10; ++i) story_->must_publish(3, 100);
  close_and_begin();
  close_and_begin();
  EXPECT_EQ(story_->close(), 0);
  expect_verified();
}

TEST_P(PartitionLogTest, written_and_durable_move_only_when_they_may) {
  story_->must_publish(3, 10);
  EXPECT_EQ(story_->log().written(), 0) << "nothing was reaped yet";
  story_->settle();
  EXPECT_EQ(story_->log().written(), 3);
  EXPECT_EQ(story_->log().durable(), 0);
  ASSERT_EQ(story_->log().sync(), SyncOutcome::submitted);
  story_->must_publish(2, 10);  // comes too late for that sync
  EXPECT_EQ(story_->log().sync(), SyncOutcome::under_way);
  EXPECT_EQ(story_->log().durable(), 0);
  story_->settle();
  EXPECT_EQ(story_->log().durable(), 3);
  EXPECT_TRUE(story_->sync());
  EXPECT_EQ(story_->log().durable(), 5);
  EXPECT_EQ(story_->log().sync(), SyncOutcome::clean);
}

TEST_P(PartitionLogTest, a_lone_durable_publish_goes_inline) {
  for (int i = 1; i <= 50; ++i) {
    ASSERT_EQ(story_->publish(1, 100, true), AppendOutcome::appended);
    EXPECT_EQ(story_->log().written(), i);
    ASSERT_EQ(story_->log().sync_now(), SyncOutcome::submitted);
    EXPECT_EQ(story_->log().durable(), i);
    EXPECT_EQ(story_->staging().held_bytes(), StagingArena::kChunkBytes / 16);
  }
  expect_everything();
}

TEST_P(PartitionLogTest, staging_is_free_once_all_is_durable) {
  for (int i = 0; i < 100; ++i) story_->must_publish(3, 300);
  EXPECT_GT(story_->staging().held_bytes(), 64u << 10);
  ASSERT_TRUE(story_->sync());
  EXPECT_EQ(story_->staging().held_bytes(), 64u << 10) << "the current chunk alone";
}

TEST_P(PartitionLogTest, preallocated_files_are_trimmed) {
  config_.preallocate = true;
  close_and_begin();
  story_->must_publish(1, 100);
  EXPECT_EQ(std::filesystem::file_size(story_->log().active_path()), 4096u);
  for (int i = 0; i < 100; ++i) story_->must_publish(2, 100);
  ASSERT_TRUE(story_->sync());
  expect_everything();
  EXPECT_EQ(story_->close(), 0);
  expect_verified();
  for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
    EXPECT_NE(entry.path().extension(), ".prepared");
  }
}

TEST_P(PartitionLogTest, room_reserved_ahead_is_given_back) {
  config_.segment_bytes = std::int64_t{64} << 20;
  close_and_begin();
  const auto spare = [this](const std::string& path) {
    struct ::stat file {};
    EXPECT_EQ(::stat(path.c_str(), &file), 0) << path;
    return static_cast<std::int64_t>(file.st_blocks) * 512 - file.st_size;
  };
  for (int batch = 0; batch < 300; ++batch) {  // 3 MB
    story_->must_publish(5, 2000);
    ASSERT_TRUE(story_->sync());  // staging is free again
  }
  const std::string path = story_->log().active_path();
  if (spare(path) < (std::int64_t{1} << 20)) GTEST_SKIP() << "this file system reserves nothing ahead";
  expect_everything();
  EXPECT_EQ(story_->close(), 0);
  EXPECT_LT(spare(path), std::int64_t{64} << 10);
  expect_verified();
}

TEST_P(PartitionLogTest, a_new_epoch_and_a_jump_begin_fresh_segments) {
  story_->must_publish(3, 10);
  ASSERT_TRUE(story_->sync());
  memory_.epoch = 1;
  story_->must_publish(2, 10);
  EXPECT_EQ(story_->log().active_base(), 3);
  ASSERT_TRUE(story_->sync());
  story_->log().jump(1000);
  EXPECT_EQ(story_->log().log_end(), 1000);
  EXPECT_EQ(story_->log().durable(), 1000);
  memory_.epoch = 2;
  story_->must_publish(2, 10);
  EXPECT_EQ(story_->log().active_base(), 1000);
  ASSERT_TRUE(story_->sync());
  expect_everything();
  close_and_begin();
  EXPECT_EQ(story_->log().log_end(), 1002);
  expect_everything();
  const log::VerifyReport report = log::verify(directory_);
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(report.gaps.size(), 1u);
}

TEST_P(PartitionLogTest, a_jump_without_a_record_behind_it_lasts_over_a_clean_stop) {
  story_->must_publish(3, 10);
  ASSERT_TRUE(story_->sync());
  story_->log().jump(500);
  close_and_begin();
  EXPECT_EQ(story_->log().log_end(), 500);
  story_->must_publish(1, 10);
  ASSERT_TRUE(story_->sync());
  expect_everything();
}

TEST_P(PartitionLogTest, rolls_by_time) {
  config_.segment_ms = 0;
  close_and_begin();
  for (int i = 0; i < 5; ++i) story_->must_publish(1, 10);
  EXPECT_TRUE(story_->sync());
  EXPECT_EQ(segment_count(), 5u);
  expect_everything();
}

TEST_P(PartitionLogTest, a_batch_larger_than_a_segment_gets_one_of_its_own) {
  story_->must_publish(1, 10);
  story_->must_publish(1, 20'000);
  story_->must_publish(1, 10);
  EXPECT_TRUE(story_->sync());
  EXPECT_EQ(segment_count(), 3u);
  expect_everything();
}

TEST_P(PartitionLogTest, readers_get_descriptors_from_an_offset_on) {
  for (int i = 0; i < 100; ++i) story_->must_publish(2, 200);
  ASSERT_TRUE(story_->sync());
  const SegmentList& list = story_->log().files()->segments;
  const auto all = list.snapshot();
  ASSERT_GT(all.size(), 4u);
  const auto some = list.open_from(files_, all[1].base + 1, 2);
  ASSERT_EQ(some.size(), 2u);
  EXPECT_EQ(some[0].base, all[1].base);
  EXPECT_EQ(some[0].next_base, all[2].base);
  EXPECT_EQ(some[1].base, all[2].base);
  EXPECT_TRUE(some[0].log && some[0].index && some[0].time_index);
  EXPECT_EQ(list.open_from(files_, all.back().base + 1, 4).size(), 1u);
  const auto late = list.open_from_time(files_, all[2].max_timestamp_ms, 1);
  ASSERT_EQ(late.size(), 1u);
  EXPECT_LE(late[0].base, all[2].base);
  EXPECT_GT(late[0].base, all[0].base);
}

TEST_P(PartitionLogTest, an_unclean_restart_in_the_same_boot_finds_everything_written) {
  config_.segment_bytes = 1 << 20;
  close_and_begin();
  for (int i = 0; i < 500; ++i) story_->must_publish(4, 200);
  story_->settle();
  story_->forget_log();  // as if the worker had been killed
  options_.clean = false;
  options_.in_rings_from = memory_.written;
  options_.durable = memory_.durable;
  begin();
  EXPECT_EQ(story_->log().log_end(), 2000);
  EXPECT_TRUE(story_->events().empty());
  EXPECT_LT(story_->scanned_bytes(), 300'000u) << "the index was of no use";
  story_->must_publish(1, 10);
  ASSERT_TRUE(story_->sync());
  expect_everything();
  EXPECT_EQ(story_->close(), 0);
  expect_verified();
}

TEST_P(PartitionLogTest, a_janitor_with_its_own_thread_does_the_same) {
  story_.reset();
  StagingArena staging;
  Janitor janitor(Janitor::Mode::own_thread, [](const std::string& sentence) { ADD_FAILURE() << sentence; });
  const StoreContext context{files_, *disk_, staging, janitor};
  PartitionLog log(context, 1, config_, recover_partition(files_, directory_, {}), directory_);
  for (Offset offset = 0; offset < 500; ++offset) {
    const std::string value = LogStory::value_of(offset, 0, 100);
    log::BatchEncoder encoder;
    encoder.begin(staging.reserve(1000), offset, Epoch{0});
    ASSERT_EQ(
        encoder.append({.timestamp_ms = offset, .key = {}, .value = std::string_view(value), .headers = {}}),
        log::AppendResult::appended);
    const log::BatchSummary batch = encoder.finish();
    const Staged staged = staging.commit(static_cast<std::size_t>(batch.bytes));
    ASSERT_EQ(log.append_now(batch, staged), AppendOutcome::appended);
    if (offset % 10 == 0) {
      ASSERT_EQ(log.sync_now(), SyncOutcome::submitted);
    }
  }
  EXPECT_EQ(log.close(), 0);
  expect_verified();
  EXPECT_EQ(recover_partition(files_, directory_, {.clean = true}).log_end, 500);
}

INSTANTIATE_TEST_SUITE_P(Backends, PartitionLogTest, testing::Values(Backend::io_uring, Backend::threads),
                         [](const auto& instance) {
                           return instance.param == Backend::threads ? "threads" : "io_uring";
                         });

}  // namespace
}  // namespace busway::daemon
