// Where the drain does a sync that one partition alone waits for: inline while syncs are quick, else handed
// over.
#include <thread>

#include "daemon/disk_trace.hpp"
#include "tests/unit/drain/topic_fixture.hpp"

namespace busway::daemon {
namespace {

using namespace std::chrono_literals;

/// A disk in memory, whose inline syncs take as long as the test wants.
class LoneSyncTest : public TopicFixture {
 protected:
  LoneSyncTest()
      : TopicFixture(
            std::make_unique<TraceDisk>(make_disk({}), [this](const DiskEvent& event) { see(event); }),
            "/dev/shm") {
    make_topic();
    start_drain();
    lane_ = new_lane();
  }

  /// A record is published, and somebody waits until it is durable.
  void publish_durably() {
    publish(*lane_, ++published_, "x");
    drain_->want_sync();
    while (drain_->busy() || drain_->next_offset() < published_) {
      drain_->turn(coarse_unix_ms(), SIZE_MAX);
      drain_->sync_if_due(coarse_unix_ms(), {.hurry = false, .alone = true});
      reap();
    }
    EXPECT_EQ(topic_->partition(0).marks->durable.load(), published_);
  }
  void publish_durably(int times) {
    for (int i = 0; i < times; ++i) publish_durably();
  }

  std::chrono::milliseconds takes_ = 0ms;
  int inline_ = 0;
  int handed_over_ = 0;

 private:
  void see(const DiskEvent& event) {
    if (event.what == "submit sync") ++handed_over_;
    if (event.what != "begin sync") return;
    ++inline_;
    std::this_thread::sleep_for(takes_);  // a disk that takes so long
  }

  std::shared_ptr<HeldLane> lane_;
  std::uint32_t published_ = 0;
};

TEST_F(LoneSyncTest, IsDoneAtOnceWhileSyncsAreQuick) {
  publish_durably(10);
  EXPECT_GE(inline_, 5);
  EXPECT_LE(handed_over_, 5) << "now and then one is slow on a busy machine";
}

TEST_F(LoneSyncTest, IsHandedOverOnceSyncsHaveBeenSlowAndTriedAgainLater) {
  takes_ = 6ms;
  publish_durably(10);
  const int tried = inline_;
  EXPECT_GE(handed_over_, 5);
  EXPECT_LE(tried, 5) << "it should have learnt";
  takes_ = 0ms;
  publish_durably(100);
  EXPECT_GT(inline_, tried) << "a disk may become quick again";
}

}  // namespace
}  // namespace busway::daemon
