#include "bus/client/durable_wait.hpp"

#include <string>
#include <utility>

#include "bus/wait/spin.hpp"

namespace busway::client {
namespace {

/// How long the notifier's thread, or an await that is resumed, may wait for the daemon at a time.
constexpr auto kAskFor = std::chrono::milliseconds{200};
/// How often a service that was stopped is looked for.
constexpr auto kAskEvery = std::chrono::milliseconds{20};

const memory::PartitionMarks& marks_of(const DurableTarget& target) noexcept {
  return target.link().marks(static_cast<std::uint32_t>(target.position.partition));
}

wait::Spot spot_of(const DurableTarget& target) noexcept {
  return {.partition = static_cast<std::uint32_t>(target.position.partition), .line = wait::Line::durable};
}

void request_sync(const DurableTarget& target) noexcept {
  // relaxed: an ordinal that changed meanwhile costs one turn.
  target.link().waker().request_sync(marks_of(target).ordinal.load(std::memory_order_relaxed));
}

/// The service was restarted: attaches anew. would_block also while there is none.
errc attach_anew(DurableTarget& target, const Deadline& deadline) {
  try {
    auto use = target.link().core().attach(target.link().name(), control::Role::publisher, deadline);
    if (use->link().uuid() != target.link().uuid()) return errc::topic_deleted;
    target.use = std::move(use);
    request_sync(target);
    return look_durable(target);
  } catch (const Error& error) {
    if (error.error() == errc::unknown_topic) return errc::topic_deleted;
    const bool passes = error.error() == errc::no_daemon || error.error() == errc::deadline_exceeded;
    if (!passes) throw;
    return errc::would_block;
  }
}

/// Why nothing becomes durable just now, as far as is known.
std::string held_up_by(const memory::PartitionMarks& marks) {
  const auto state = static_cast<memory::PartitionState>(marks.state.load(std::memory_order_acquire));
  return state == memory::PartitionState::disk_full
             ? ": the daemon's disk is full (" + cause_of(marks) + "); it goes on when there is room"
             : "";
}

void nap(const DurableTarget& target, std::chrono::nanoseconds bound) noexcept {
  memory::Atomic32& bell = target.link().bell();
  wait::futex_wait(bell, bell.load(std::memory_order_relaxed), bound);
}

}  // namespace

std::string cause_of(const memory::PartitionMarks& marks) {
  // relaxed: for a person.
  return std::generic_category().message(static_cast<int>(marks.cause.load(std::memory_order_relaxed)));
}

errc look_durable(const DurableTarget& target) noexcept {
  const memory::PartitionMarks& marks = marks_of(target);
  // acquire: pairs with the daemon's release store after the sync. The epoch is looked at afterwards: it is
  // raised before `durable` can pass a jump.
  const std::uint64_t durable = marks.durable.load(std::memory_order_acquire);
  const auto epoch = static_cast<std::int32_t>(marks.epoch.load(std::memory_order_acquire));
  if (epoch != target.position.epoch) return errc::epoch_changed;
  if (durable > static_cast<std::uint64_t>(target.position.offset)) return errc::ok;
  const auto state = static_cast<memory::PartitionState>(marks.state.load(std::memory_order_acquire));
  return state == memory::PartitionState::failed ? errc::partition_failed : errc::would_block;
}

errc wait_durable(DurableTarget& target, const Deadline& deadline, std::chrono::nanoseconds spin) {
  errc answer = look_durable(target);
  auto spinner = wait::Spinner::for_the_disk(spin, wait::Pace::steady);
  while (answer == errc::would_block && spinner.turn()) answer = look_durable(target);
  wait::Backoff backoff = wait::sleep_backoff();
  while (answer == errc::would_block) {
    const auto left = deadline.left();
    if (left <= std::chrono::nanoseconds::zero()) return errc::deadline_exceeded;
    if (target.link().stale()) {
      answer = attach_anew(target, deadline);
      if (answer == errc::would_block && target.link().stale())
        nap(target, std::min<std::chrono::nanoseconds>(left, kAskEvery));
      continue;
    }
    TopicLink& link = target.link();
    const wait::Spot spot = spot_of(target);
    request_sync(target);
    const bool early = link.sleeper().sleep(
        link.bell(), {&spot, 1}, [&] { return look_durable(target) != errc::would_block || link.stale(); },
        std::min(left, backoff.next()));
    answer = look_durable(target);
    if (!early && answer == errc::would_block) link.core().tend();
  }
  return answer;
}

void throw_unless_durable(errc code, const DurableTarget& target) {
  if (code == errc::ok) return;
  const std::string record = "record " + std::to_string(target.position.offset) + " of partition " +
                             std::to_string(target.position.partition) + " of topic " + target.link().name();
  switch (code) {
    case errc::epoch_changed:
      throw Error(code, record + " was published under epoch " + std::to_string(target.position.epoch) +
                            ", and the log end has jumped since: the record may be lost");
    case errc::partition_failed:
      throw Error(code, record + " is published but cannot be made durable: the partition's log failed (" +
                            cause_of(marks_of(target)) + ")");
    case errc::deadline_exceeded:
      throw Error(code, record + " is published but was not durable within the deadline" +
                            held_up_by(marks_of(target)));
    case errc::topic_deleted:
      throw Error(code, record + " went with its topic, which was deleted");
    default:
      throw Error(code, record + " cannot be waited for: " + make_error_code(code).message());
  }
}

// ---- receipts

DurableTarget DurableWait::target() const {
  const std::lock_guard lock(mutex_);
  return target_;
}

void DurableWait::set_target(DurableTarget target) {
  const std::lock_guard lock(mutex_);
  std::swap(target_, target);  // the old attachment goes after the lock: that may ask the daemon
}

void DurableWait::wait(const Deadline& deadline) {
  DurableTarget target = this->target();
  const errc answer = wait_durable(target, deadline, {});
  set_target(target);
  throw_unless_durable(answer, target);
}

errc DurableWait::renew(const Deadline& deadline) {
  DurableTarget target = this->target();
  if (!target.link().stale()) return look_durable(target);
  const errc answer = attach_anew(target, deadline);
  set_target(target);
  return answer;
}

namespace {

class DurableWatcher : public wait::Watcher, public std::enable_shared_from_this<DurableWatcher> {
 public:
  DurableWatcher(std::shared_ptr<DurableWait> wait, std::coroutine_handle<> resume)
      : wait_(std::move(wait)), resume_(resume), target_(wait_->target()), spot_(spot_of(target_)) {}

  void announce() noexcept override { target_.link().sleeper().announce({&spot_, 1}); }
  void retract() noexcept override { target_.link().sleeper().retract({&spot_, 1}); }
  bool ready() noexcept override {
    return look_durable(target_) != errc::would_block || target_.link().stale();
  }
  void idle() noexcept override {
    request_sync(target_);
    target_.link().core().tend();
  }
  void fire() noexcept override {
    try {
      if (look_durable(target_) == errc::would_block &&
          wait_->renew(Deadline::after(kAskFor)) == errc::would_block) {
        target_ = wait_->target();
        if (target_.link().stale()) nap(target_, kAskEvery);
        target_.link().core().notifier().arm(shared_from_this());
        return;
      }
    } catch (const std::exception&) {
      // await_resume meets it again and throws it
    }
    resume_.resume();  // last: the coroutine may end the program's interest in everything here
  }

 private:
  std::shared_ptr<DurableWait> wait_;
  std::coroutine_handle<> resume_;
  DurableTarget target_;
  wait::Spot spot_;
};

}  // namespace

void DurableWait::resume_when_settled(std::coroutine_handle<> resume) {
  const DurableTarget target = this->target();
  request_sync(target);
  target.link().core().notifier().arm(std::make_shared<DurableWatcher>(shared_from_this(), resume));
}

}  // namespace busway::client
