#include "daemon/retention.hpp"

#include <filesystem>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <busway/error.hpp>

#include "daemon/disk_threads.hpp"
#include "tests/disk/log_story.hpp"
#include "tests/unit/store/temp_directory.hpp"

namespace busway::daemon {
namespace {

constexpr std::int64_t kNow = 1'000'000;

std::vector<SegmentInfo> three_segments() {
  return {{0, 10, 100, kNow - 500, true}, {10, 20, 100, kNow - 300, true}, {20, -1, 100, kNow - 100, false}};
}

TopicConfig keeping(std::int64_t ms, std::int64_t bytes) {
  TopicConfig config;
  config.retention_ms = ms;
  config.retention_bytes = bytes;
  return config;
}

TEST(RetentionTarget, by_time) {
  EXPECT_EQ(retention_target(three_segments(), 0, keeping(-1, -1), kNow), 0);
  EXPECT_EQ(retention_target(three_segments(), 0, keeping(500, -1), kNow), 0);
  EXPECT_EQ(retention_target(three_segments(), 0, keeping(499, -1), kNow), 10);
  EXPECT_EQ(retention_target(three_segments(), 0, keeping(0, -1), kNow), 20) << "the active one stays";
}

TEST(RetentionTarget, by_size) {
  EXPECT_EQ(retention_target(three_segments(), 0, keeping(-1, 300), kNow), 0);
  EXPECT_EQ(retention_target(three_segments(), 0, keeping(-1, 201), kNow), 0);
  EXPECT_EQ(retention_target(three_segments(), 0, keeping(-1, 200), kNow), 10);
  EXPECT_EQ(retention_target(three_segments(), 0, keeping(-1, 0), kNow), 20);
}

TEST(RetentionTarget, an_older_segment_behind_a_younger_one_waits) {
  auto segments = three_segments();
  segments[0].max_timestamp_ms = kNow;
  EXPECT_EQ(retention_target(segments, 0, keeping(200, -1), kNow), 0);
}

TEST(RetentionTarget, a_segment_that_is_not_sealed_stays) {
  auto segments = three_segments();
  segments[0].sealed = false;
  EXPECT_EQ(retention_target(segments, 0, keeping(0, 0), kNow), 0);
}

class RetentionTest : public testing::Test {
 protected:
  void SetUp() override {
    begin();
    for (int i = 0; i < 100; ++i) story_->must_publish(2, 200);
    ASSERT_TRUE(story_->sync());
  }
  void begin() {
    story_ = std::make_unique<test::LogStory>(files_, disk_, directory_, memory_, config_);
    story_->open(options_);
  }
  SegmentList& list() { return story_->log().files()->segments; }

  test::TempDirectory temp_;
  const std::string directory_ = temp_ / "orders-0";
  RealFileSystem files_;
  ThreadDisk disk_{16, 2};
  test::Memory memory_;
  TopicConfig config_ = test::small_segments();
  RecoveryOptions options_;
  std::unique_ptr<test::LogStory> story_;
};

TEST_F(RetentionTest, deletes_from_the_front_and_the_log_start_lasts) {
  const auto before = list().snapshot();
  Offset announced = -1;
  const auto result = apply_retention(*story_->log().files(), keeping(-1, 10'000), kNow,
                                      [&](Offset offset) { announced = offset; });
  EXPECT_GT(result.segments, 0u);
  EXPECT_EQ(announced, result.log_start);
  EXPECT_EQ(list().log_start(), announced);
  EXPECT_EQ(list().snapshot().size(), before.size() - result.segments);
  EXPECT_GE(list().bytes(), 10'000u);
  EXPECT_LT(list().bytes(), 15'000u);
  EXPECT_FALSE(std::filesystem::exists(list().path(before[0].base, log::SegmentFile::log)));
  EXPECT_FALSE(std::filesystem::exists(list().path(before[0].base, log::SegmentFile::index)));

  memory_.published.erase(memory_.published.begin(), memory_.published.lower_bound(announced));
  EXPECT_EQ(story_->read_all(), memory_.published);
  ASSERT_EQ(story_->close(), 0);
  options_.clean = true;
  begin();
  EXPECT_EQ(list().log_start(), announced);
  EXPECT_EQ(story_->read_all(), memory_.published);
}

TEST_F(RetentionTest, a_reader_with_an_open_descriptor_pins_no_space) {
  const auto open = list().open_from(files_, 0, 1);
  apply_retention(*story_->log().files(), keeping(-1, 0), kNow, [](Offset) {});
  struct stat about {};
  ASSERT_EQ(::fstat(open.front().log.fd(), &about), 0);
  EXPECT_EQ(about.st_nlink, 0u);
  EXPECT_EQ(about.st_size, 0);
}

TEST_F(RetentionTest, an_active_segment_past_retention_is_closed_and_goes_too) {
  TopicConfig brief = config_;
  brief.retention_ms = 1000;
  story_->log().reconfigure(brief);
  const Offset end = story_->log().log_end();
  story_->log().tick(memory_.durable);  // long before the records' time
  EXPECT_NE(story_->log().active_base(), -1);
  const std::int64_t late = 2'000'000'000'000;
  story_->log().tick(late);
  EXPECT_EQ(story_->log().active_base(), -1);
  apply_retention(*story_->log().files(), brief, late, [](Offset) {});
  EXPECT_TRUE(list().snapshot().empty());
  EXPECT_EQ(list().log_start(), end);

  story_->must_publish(1, 10);
  ASSERT_TRUE(story_->sync());
  EXPECT_EQ(story_->read_all().begin()->first, end);
}

TEST_F(RetentionTest, an_empty_log_remembers_where_it_ended) {
  TopicConfig brief = config_;
  brief.retention_ms = 1000;
  story_->log().reconfigure(brief);
  const Offset end = story_->log().log_end();
  story_->log().tick(2'000'000'000'000);
  apply_retention(*story_->log().files(), brief, 2'000'000'000'000, [](Offset) {});
  story_->forget_log();
  begin();
  EXPECT_EQ(story_->log().log_end(), end);
  EXPECT_EQ(list().log_start(), end);
}

TEST_F(RetentionTest, what_a_crash_left_below_the_log_start_is_removed) {
  const auto before = list().snapshot();
  story_->log().files()->checkpoint.advance(before[2].base, std::nullopt);
  story_->forget_log();
  begin();
  EXPECT_EQ(list().snapshot().front().base, before[2].base);
  EXPECT_EQ(list().log_start(), before[2].base);
  EXPECT_FALSE(std::filesystem::exists(list().path(before[0].base, log::SegmentFile::log)));
}

TEST_F(RetentionTest, a_deleted_partition_is_out_of_the_way_at_once) {
  ASSERT_EQ(story_->close(), 0);
  const std::string aside = set_aside(files_, directory_, "1234", kDeletedSuffix);
  EXPECT_FALSE(std::filesystem::exists(directory_));
  EXPECT_TRUE(std::filesystem::exists(aside));
  EXPECT_TRUE(aside.ends_with(kDeletedSuffix));
  remove_tree(files_, aside);
  EXPECT_FALSE(std::filesystem::exists(aside));
  remove_tree(files_, aside);
  EXPECT_EQ(set_aside(files_, directory_, "1234", kDeletedSuffix), "");
}

}  // namespace
}  // namespace busway::daemon
