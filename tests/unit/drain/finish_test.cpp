// The end of the drain at a clean stop, with its own thread.
#include <future>

#include "daemon/drain.hpp"
#include "tests/unit/drain/topic_fixture.hpp"

namespace busway::daemon {
namespace {

using Values = std::vector<std::string>;
using namespace std::chrono_literals;

class FinishTest : public TopicFixture {
 protected:
  FinishTest() {
    make_topic();
    start_drain();
  }
  ring::Ring& ring() { return topic_->partition(0).rings.newest()->view; }

  /// As the worker does it at a clean stop. False: it waits and waits.
  bool finishes() {
    Drain drain(*bells_.as<memory::BellsHeader>(), *disk_, staging_, {});
    drain.start();
    std::promise<void> finished;
    drain.post([&] {
      drain.add(drain_);
      drain.finish_all([&] { finished.set_value(); });
    });
    const bool done = finished.get_future().wait_for(10s) == std::future_status::ready;
    drain.run_and_wait([&] { drain.finish_all([] {}); });  // nothing that waits for `finished` is left
    drain.stop();
    return done;
  }
};

TEST_F(FinishTest, EverythingUpToTheFenceIsDurable) {
  const auto lane = new_lane();
  publish(*lane, 1, "one");
  publish(*lane, 3, "two");
  ASSERT_EQ(topic_->fence(0, ring::FenceReason::stopped), 2U);
  EXPECT_TRUE(finishes());
  EXPECT_EQ(drain_->ended(), ring::FenceReason::stopped);
  EXPECT_EQ(stored_values(), (Values{"one", "two"}));
  EXPECT_EQ(topic_->partition(0).marks->durable.load(), 2U);
}

TEST_F(FinishTest, APublisherThatMovesTheTailAheadCannotHoldUpAStop) {
  const auto lane = new_lane();
  publish(*lane, 1, "one");
  ring().tail->store(6);
  ASSERT_EQ(topic_->fence(0, ring::FenceReason::stopped), 6U) << "behind five slots that nobody ever sets";
  EXPECT_TRUE(finishes());
  EXPECT_FALSE(drain_->ended()) << "that is no clean end";
  EXPECT_EQ(stored_values(), (Values{"one"}));
  EXPECT_EQ(topic_->partition(0).marks->durable.load(), 1U);
}

TEST_F(FinishTest, APublisherThatSpoilsTheRingCannotHoldUpAStop) {
  const auto lane = new_lane();
  publish(*lane, 1, "one");
  ring().tail->store(std::uint64_t{1} << 40);
  ASSERT_EQ(topic_->fence(0, ring::FenceReason::stopped), std::nullopt);
  EXPECT_TRUE(finishes());
  EXPECT_FALSE(drain_->ended());
  EXPECT_EQ(topic_->partition(0).marks->durable.load(), 1U);
}

}  // namespace
}  // namespace busway::daemon
