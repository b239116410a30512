// The thread that sleeps on behalf of others.
#include "bus/wait/notifier.hpp"

#include <condition_variable>
#include <mutex>

#include "tests/unit/wait/wait_fixture.hpp"

namespace busway::wait::test {
namespace {

/// Waits for a number to be raised, and counts how often it was fired.
class CountingWatcher : public Watcher {
 public:
  void announce() noexcept override { ++announced; }
  void retract() noexcept override { --announced; }
  bool ready() noexcept override { return level.load() > 0; }
  void fire() noexcept override {
    level.store(0);
    if (on_fire) on_fire();
    const std::lock_guard lock(mutex_);
    ++fired_;
    changed_.notify_all();
  }
  void idle() noexcept override { ++idled; }

  bool await_fired(int times) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 20s, [&] { return fired_ >= times; });
  }
  int fired() {
    const std::lock_guard lock(mutex_);
    return fired_;
  }

  std::atomic<int> level{0};
  std::atomic<int> announced{0};
  std::atomic<int> idled{0};
  std::function<void()> on_fire;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int fired_ = 0;
};

class NotifierTest : public ::testing::Test {
 protected:
  void ring() {
    bell_->fetch_add(1);
    futex_wake_all(*bell_);
  }
  Notifier::Bell bell_ = std::make_shared<memory::Atomic32>(0);
  std::shared_ptr<CountingWatcher> watcher_ = std::make_shared<CountingWatcher>();
  Notifier notifier_{bell_};
};

TEST_F(NotifierTest, FiresOnceWhenSomethingHappened) {
  notifier_.arm(watcher_);
  EXPECT_EQ(watcher_->announced, 1);
  watcher_->level = 1;
  ring();
  ASSERT_TRUE(watcher_->await_fired(1));
  EXPECT_EQ(watcher_->announced, 0);
  watcher_->level = 1;
  ring();
  std::this_thread::sleep_for(30ms);  // a second firing would come in this time
  EXPECT_EQ(watcher_->fired(), 1) << "not armed any more";
}

TEST_F(NotifierTest, SeesWhatHappenedBeforeItWasArmed) {
  notifier_.arm(watcher_);
  watcher_->level = 1;
  ring();
  ASSERT_TRUE(watcher_->await_fired(1));
  watcher_->level = 1;  // nobody rings for it
  notifier_.arm(watcher_);
  EXPECT_TRUE(watcher_->await_fired(2));
}

TEST_F(NotifierTest, IgnoresRingsForOthers) {
  const auto other = std::make_shared<CountingWatcher>();
  notifier_.arm(watcher_);
  notifier_.arm(other);
  other->level = 1;
  ring();
  ASSERT_TRUE(other->await_fired(1));
  EXPECT_EQ(watcher_->fired(), 0);
  EXPECT_EQ(watcher_->announced, 1);
}

TEST_F(NotifierTest, ForgetsWhatIsDisarmed) {
  notifier_.arm(watcher_);
  notifier_.disarm(watcher_);
  EXPECT_EQ(watcher_->announced, 0);
  watcher_->level = 1;
  ring();
  std::this_thread::sleep_for(30ms);  // a firing would come in this time
  EXPECT_EQ(watcher_->fired(), 0);
}

TEST_F(NotifierTest, WaitsForAWatcherThatIsBeingFired) {
  std::atomic<bool> inside = false;
  std::atomic<bool> done = false;
  watcher_->on_fire = [&] {
    inside = true;
    std::this_thread::sleep_for(50ms);  // so that disarm() comes while it is inside
    done = true;
  };
  watcher_->level = 1;
  notifier_.arm(watcher_);
  while (!inside) std::this_thread::yield();
  notifier_.disarm(watcher_);
  EXPECT_TRUE(done);
}

TEST_F(NotifierTest, LetsAWatcherArmOrDisarmItself) {
  watcher_->on_fire = [&] {
    EXPECT_TRUE(notifier_.on_own_thread());
    if (watcher_->fired() == 0)
      notifier_.arm(watcher_);
    else
      notifier_.disarm(watcher_);
  };
  watcher_->level = 1;
  notifier_.arm(watcher_);
  ASSERT_TRUE(watcher_->await_fired(1));
  watcher_->level = 1;
  ring();
  EXPECT_TRUE(watcher_->await_fired(2));
}

TEST_F(NotifierTest, FollowsToAnotherBell) {
  notifier_.arm(watcher_);
  std::this_thread::sleep_for(10ms);  // so that it sleeps on the old bell
  const auto before = bell_;
  bell_ = std::make_shared<memory::Atomic32>(7);
  notifier_.set_bell(bell_);
  watcher_->level = 1;
  ring();
  EXPECT_TRUE(watcher_->await_fired(1));
}

TEST_F(NotifierTest, TellsWatchersWhenNothingComes) {
  notifier_.arm(watcher_);
  const auto until = std::chrono::steady_clock::now() + 20s;
  while (watcher_->idled == 0 && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(1ms);
  EXPECT_GT(watcher_->idled, 0);
}

TEST(NotifierEnd, MayComeFromItsOwnThread) {
  const auto bell = std::make_shared<memory::Atomic32>(0);
  const auto watcher = std::make_shared<CountingWatcher>();
  auto notifier = std::make_unique<Notifier>(bell);
  watcher->on_fire = [&] { notifier.reset(); };
  watcher->level = 1;
  notifier->arm(watcher);
  ASSERT_TRUE(watcher->await_fired(1));
  EXPECT_EQ(notifier, nullptr);
}

TEST(NotifierEnd, RetractsWhatIsStillArmed) {
  const auto bell = std::make_shared<memory::Atomic32>(0);
  const auto watcher = std::make_shared<CountingWatcher>();
  {
    Notifier notifier(bell);
    notifier.arm(watcher);
  }
  EXPECT_EQ(watcher->announced, 0);
}

}  // namespace
}  // namespace busway::wait::test
