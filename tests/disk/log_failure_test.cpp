// Every I/O of a log fails once, in every way: short, EIO, ENOSPC, and syncs that fail and then lie. Nothing
// acknowledged may be missing afterwards, also if the power goes then.

#include <gtest/gtest.h>

#include "tests/disk/log_story.hpp"
#include "tests/disk/simulated_disk.hpp"

namespace busway::test {
namespace {

using daemon::AppendOutcome;
using daemon::LogHealth;
using daemon::RecoveryOptions;

const std::string kDirectory = "/data/orders-0";

class LogFailure : public testing::Test {
 protected:
  LogStory& begin(std::uint64_t seed = 1, const RecoveryOptions& options = {}) {
    story_.reset();
    machine_ = std::make_unique<SimulatedMachine>(seed);
    story_ = std::make_unique<LogStory>(machine_->files(), machine_->disk(), kDirectory, memory_, config_);
    story_->open(options);
    return *story_;
  }
  /// The power goes; whatever survives is looked at.
  LogStory& begin_after(CrashKind kind) {
    story_.reset();
    auto next = std::make_unique<SimulatedMachine>(machine_->crash(kind), 99);
    machine_ = std::move(next);
    story_ = std::make_unique<LogStory>(machine_->files(), machine_->disk(), kDirectory, memory_, config_);
    RecoveryOptions options;
    options.offset_limit = memory_.granted;
    story_->open(options);
    return *story_;
  }
  void fail_next(int error, std::uint64_t steps_from_now = 1) {
    machine_->fail_step(machine_->steps() + steps_from_now, error);
  }
  void expect_all_durable_present() {
    const auto found = story_->read_all();
    for (const auto& [offset, value] : memory_.published) {
      if (offset >= memory_.durable) break;
      ASSERT_TRUE(found.contains(offset)) << "acknowledged and lost: " << offset;
    }
    story_->check_files();
  }

  Memory memory_;
  daemon::TopicConfig config_ = small_segments();
  std::unique_ptr<SimulatedMachine> machine_;
  std::unique_ptr<LogStory> story_;
};

TEST_F(LogFailure, a_full_disk_stalls_and_goes_on_when_there_is_room) {
  LogStory& story = begin();
  story.must_publish(2, 100);
  ASSERT_TRUE(story.sync());
  fail_next(ENOSPC);
  story.must_publish(2, 100);
  story.settle();
  EXPECT_EQ(story.log().health(), LogHealth::stalled);
  EXPECT_EQ(story.log().cause(), ENOSPC);
  EXPECT_EQ(story.log().written(), 2);
  EXPECT_EQ(story.publish(1, 100), AppendOutcome::stalled);

  fail_next(ENOSPC);
  story.log().tick(0);
  story.settle();
  EXPECT_EQ(story.log().health(), LogHealth::stalled) << "still no room";
  story.log().tick(0);
  story.settle();
  EXPECT_EQ(story.log().health(), LogHealth::running);
  EXPECT_EQ(story.log().cause(), 0);
  EXPECT_EQ(story.log().written(), 4);
  story.must_publish(1, 100);
  ASSERT_TRUE(story.sync());
  EXPECT_EQ(story.read_all(), memory_.published);
}

TEST_F(LogFailure, what_is_written_becomes_durable_even_while_the_disk_is_full) {
  LogStory& story = begin();
  story.must_publish(2, 100);
  story.settle();
  fail_next(ENOSPC);
  story.must_publish(2, 100);
  story.settle();
  ASSERT_EQ(story.log().health(), LogHealth::stalled);
  ASSERT_EQ(story.log().sync(), daemon::SyncOutcome::submitted);
  story.settle();
  EXPECT_EQ(story.log().durable(), 2);
}

TEST_F(LogFailure, no_room_for_a_new_segment_stalls_too) {
  LogStory& story = begin();
  fail_next(ENOSPC);
  EXPECT_EQ(story.publish(1, 100), AppendOutcome::stalled);
  EXPECT_EQ(story.log().health(), LogHealth::stalled);
  story.log().tick(0);
  EXPECT_EQ(story.log().health(), LogHealth::running);
  story.must_publish(1, 100);
  ASSERT_TRUE(story.sync());
  EXPECT_EQ(story.read_all(), memory_.published);
}

TEST_F(LogFailure, a_failed_sync_moves_what_is_not_durable_to_a_new_segment) {
  LogStory& story = begin();
  story.must_publish(3, 100);
  ASSERT_TRUE(story.sync());
  story.must_publish(2, 100);
  story.settle();
  story.must_publish(2, 100);
  fail_next(EIO, 2);  // the write, then the sync
  ASSERT_TRUE(story.sync());
  EXPECT_EQ(story.log().health(), LogHealth::running);
  EXPECT_EQ(story.log().durable(), 7);
  EXPECT_EQ(story.log().active_base(), 3);
  EXPECT_EQ(story.read_all(), memory_.published);
  EXPECT_EQ(story.staging().held_bytes(), 64u << 10);
  story.must_publish(2, 100);
  ASSERT_TRUE(story.sync());

  begin_after(CrashKind::power_least);
  expect_all_durable_present();
  EXPECT_EQ(memory_.durable, 9);
}

TEST_F(LogFailure, a_rewrite_of_the_whole_segment_is_another_file_under_the_same_name) {
  LogStory& story = begin();
  story.must_publish(3, 100);
  story.settle();
  const std::uint32_t file = story.log().active_file();
  const std::string path = story.log().active_path();
  machine_->fail_all("sync " + path, EIO);
  ASSERT_TRUE(story.sync());
  EXPECT_EQ(story.log().active_path(), path);
  EXPECT_NE(story.log().active_file(), file);
  EXPECT_EQ(story.log().durable(), 3);
  begin_after(CrashKind::power_least);
  expect_all_durable_present();
}

TEST_F(LogFailure, a_file_whose_sync_failed_is_never_synced_again) {
  LogStory& story = begin();
  story.must_publish(3, 100);
  ASSERT_TRUE(story.sync());
  story.must_publish(2, 100);
  story.settle();
  const std::string path = story.log().active_path();
  fail_next(EIO);
  ASSERT_TRUE(story.sync());
  const std::size_t from = machine_->story().size();
  story.must_publish(2, 100);
  ASSERT_TRUE(story.sync());
  for (std::size_t i = from; i < machine_->story().size(); ++i) {
    EXPECT_EQ(machine_->story()[i].find(path), std::string::npos) << machine_->story()[i];
  }
}

TEST_F(LogFailure, a_second_failure_fails_the_partition_with_its_cause) {
  LogStory& story = begin();
  story.must_publish(3, 100);
  ASSERT_TRUE(story.sync());
  story.must_publish(2, 100);
  story.settle();
  fail_next(EIO);
  fail_next(EROFS, 2);
  EXPECT_FALSE(story.sync());
  EXPECT_EQ(story.log().health(), LogHealth::failed);
  EXPECT_EQ(story.log().cause(), EROFS);
  EXPECT_EQ(story.publish(1, 10), AppendOutcome::failed);
  EXPECT_EQ(story.log().sync(), daemon::SyncOutcome::failed);
  EXPECT_EQ(story.log().durable(), 3);
  EXPECT_EQ(story.read_all().size(), 5u) << "reading goes on";
  EXPECT_EQ(story.staging().held_bytes(), 64u << 10) << "a failed partition holds no staging";
}

TEST_F(LogFailure, a_rewrite_without_room_waits_for_it) {
  LogStory& story = begin();
  story.must_publish(3, 100);
  ASSERT_TRUE(story.sync());
  story.must_publish(2, 100);
  fail_next(EIO, 2);  // the write, then the sync
  fail_next(ENOSPC, 3);
  EXPECT_FALSE(story.sync());
  EXPECT_EQ(story.log().health(), LogHealth::stalled);
  EXPECT_EQ(story.log().durable(), 3);
  story.log().tick(0);
  EXPECT_EQ(story.log().health(), LogHealth::running);
  EXPECT_EQ(story.log().durable(), 5);
  EXPECT_EQ(story.read_all(), memory_.published);
}

TEST_F(LogFailure, an_index_that_cannot_be_written_is_built_anew) {
  LogStory& story = begin();
  machine_->fail_all("write /data/orders-0/00000000000000000000.index", EIO);
  for (int i = 0; i < 30; ++i) story.must_publish(4, 200);
  EXPECT_TRUE(story.sync());
  EXPECT_EQ(story.read_all(), memory_.published);
  EXPECT_EQ(story.log().health(), LogHealth::running) << "an index is no reason to stop";
  const std::string index = story.log().files()->segments.path(0, log::SegmentFile::index);
  EXPECT_EQ(machine_->files().open(index, daemon::OpenMode::read), -ENOENT)
      << "a short index would be believed";
  begin_after(CrashKind::kill);
  expect_all_durable_present();
  const int fd = machine_->files().open(index, daemon::OpenMode::read);
  EXPECT_GE(fd, 0);
  EXPECT_GT(machine_->files().size(fd), 0);
  machine_->files().close(fd);
}

/// What the log does, whatever fails: 40 batches, group commits, ticks, a clean stop if it comes to that.
void play(LogStory& story) {
  for (int i = 0; i < 25; ++i) {
    AppendOutcome outcome = story.publish(1 + i % 3, static_cast<std::size_t>(50 + i * 53 % 500));
    while (outcome == AppendOutcome::busy) {
      story.reap_once();
      outcome = story.publish(1, 100);
    }
    if (i % 3 == 0) story.reap_once();
    if (i % 5 == 4) story.sync();
    if (i % 7 == 6) {
      story.settle();
      story.log().tick(0);
      story.look();
    }
  }
  story.sync();
  if (story.log().health() == LogHealth::running) story.close();
}

// Each step of the whole story fails once with each error; what follows a failure may take a different
// course, and the power goes at its end.
TEST_F(LogFailure, every_step_fails_once) {
  std::uint64_t steps = 0;
  {
    LogStory& story = begin();
    play(story);
    steps = machine_->steps();
  }
  std::uint64_t cases = 0;
  std::uint64_t failed = 0;
  for (const int error : {EIO, ENOSPC}) {
    for (std::uint64_t step = 1; step <= steps; ++step) {
      for (const CrashKind kind : {CrashKind::power_least, CrashKind::power_random}) {
        SCOPED_TRACE("step " + std::to_string(step) + " fails with " + std::to_string(error) + ", kind " +
                     std::to_string(static_cast<int>(kind)));
        memory_ = {};
        LogStory& story = begin();
        machine_->fail_step(step, error);
        play(story);
        if (story_->is_open()) {
          if (story_->log().health() == LogHealth::failed) ++failed;
          ASSERT_TRUE(error != ENOSPC || story_->log().health() != LogHealth::failed);
          const auto found = story_->read_all();
          for (Offset offset = 0; offset < memory_.written; ++offset) ASSERT_TRUE(found.contains(offset));
        }
        begin_after(kind);
        expect_all_durable_present();
        if (HasFatalFailure()) return;
        ++cases;
      }
    }
  }
  std::printf("%llu failures in %llu steps, %llu of them fatal to the partition\n",
              static_cast<unsigned long long>(cases), static_cast<unsigned long long>(steps),
              static_cast<unsigned long long>(failed));
}

// The power goes while a rewrite is under way: recovery finishes it.
TEST_F(LogFailure, a_power_cut_at_every_step_of_a_rewrite) {
  for (const CrashKind kind : {CrashKind::kill, CrashKind::power_least, CrashKind::power_random}) {
    for (std::uint64_t cut = 1; cut < 40; ++cut) {
      SCOPED_TRACE("kind " + std::to_string(static_cast<int>(kind)) + ", power cut " + std::to_string(cut) +
                   " steps behind the failed sync");
      memory_ = {};
      LogStory& story = begin(cut);
      bool finished = false;
      try {
        for (int i = 0; i < 6; ++i) story.must_publish(2, 300);
        ASSERT_TRUE(story.sync());
        for (int i = 0; i < 9; ++i) story.must_publish(2, 300);  // over a segment's border
        story.settle();
        fail_next(EIO);
        machine_->cut_power_before(machine_->steps() + 1 + cut);
        ASSERT_TRUE(story.sync());
        for (int i = 0; i < 3; ++i) story.must_publish(2, 300);
        finished = story.sync();
      } catch (const PowerCut&) {
      }
      begin_after(kind);
      expect_all_durable_present();
      const auto found = story_->read_all();
      if (kind == CrashKind::kill) {
        for (Offset offset = 0; offset < memory_.written; ++offset) ASSERT_TRUE(found.contains(offset));
      }
      story_->log().jump(memory_.granted);
      story_->must_publish(1, 10);
      ASSERT_TRUE(story_->sync());
      ASSERT_EQ(story_->read_all().size(), found.size() + 1);
      if (HasFatalFailure()) return;
      if (finished) break;
    }
  }
}

}  // namespace
}  // namespace busway::test
