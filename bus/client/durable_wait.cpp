#include "bus/client/durable_wait.hpp"

#include <string>
#include <utility>

#include "bus/wait/spin.hpp"

namespace busway::client {
namespace {

/// How long the notifier's thread may wait for the daemon's answer at a time.
constexpr auto kAskFor = std::chrono::milliseconds{200};
/// How often a restarted service is asked.
constexpr auto kAskEvery = std::chrono::milliseconds{20};

const memory::PartitionMarks& marks_of(const DurableTarget& target) noexcept {
  return target.link().marks(static_cast<std::uint32_t>(target.position.partition));
}

errc judge(const PartitionInfo& info, const Position& position) noexcept {
  if (info.epoch != position.epoch) return errc::epoch_changed;
  return info.durable > position.offset ? errc::ok : errc::would_block;
}

/// The service was restarted: what its new instance says. would_block also while there is none.
errc ask_durable(const DurableTarget& target, const Deadline& deadline) {
  const auto partition = static_cast<std::uint32_t>(target.position.partition);
  try {
    const auto answer = target.link().core().ask(
        control::DescribeTopic{.name = target.link().name(), .from_partition = partition}, deadline);
    if (answer.body.uuid != target.link().uuid() || answer.body.partitions.empty())
      return errc::topic_deleted;
    const control::PartitionDescription& now = answer.body.partitions.front();
    PartitionInfo info;
    info.epoch = raw(now.epoch);
    info.durable = now.durable;
    return judge(info, target.position);
  } catch (const Error& error) {
    const bool passes = error.error() == errc::no_daemon || error.error() == errc::deadline_exceeded;
    if (passes) return errc::would_block;
    if (error.error() == errc::unknown_topic) return errc::topic_deleted;
    throw;
  }
}

void request_sync(const DurableTarget& target) noexcept {
  // relaxed: an ordinal that changed meanwhile costs one turn.
  target.link().waker().request_sync(marks_of(target).ordinal.load(std::memory_order_relaxed));
}

}  // namespace

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

errc wait_durable(const DurableTarget& target, const Deadline& deadline, std::chrono::nanoseconds spin) {
  TopicLink& link = target.link();
  errc answer = look_durable(target);
  if (answer != errc::would_block) return answer;
  request_sync(target);
  wait::Spinner spinner(spin, false);
  while (spinner.turn()) {
    answer = look_durable(target);
    if (answer != errc::would_block) return answer;
  }
  const wait::Spot spot{.partition = static_cast<std::uint32_t>(target.position.partition),
                        .line = wait::Line::durable};
  wait::Backoff backoff = wait::sleep_backoff();
  while (true) {
    const auto left = deadline.left();
    if (left <= std::chrono::nanoseconds::zero()) return errc::deadline_exceeded;
    if (link.stale()) {
      answer = ask_durable(target, deadline);
      if (answer != errc::would_block) return answer;
      wait::futex_wait(link.bell(), link.bell().load(std::memory_order_relaxed),
                       std::min<std::chrono::nanoseconds>(left, kAskEvery));
      continue;
    }
    request_sync(target);
    link.sleeper().sleep(
        link.bell(), {&spot, 1},
        [&] { return (answer = look_durable(target)) != errc::would_block || link.stale(); },
        std::min(left, backoff.next()));
    answer = look_durable(target);
    if (answer != errc::would_block) return answer;
    link.core().tend();
  }
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
                            std::generic_category().message(
                                static_cast<int>(marks_of(target).cause.load(std::memory_order_relaxed))) +
                            ")");
    case errc::deadline_exceeded:
      throw Error(code, record + " is published but was not durable within the deadline");
    case errc::topic_deleted:
      throw Error(code, record + " went with its topic, which was deleted");
    default:
      throw Error(code, record + " cannot be waited for");
  }
}

namespace {

class DurableWatcher : public wait::Watcher, public std::enable_shared_from_this<DurableWatcher> {
 public:
  DurableWatcher(std::shared_ptr<DurableWait> wait, std::coroutine_handle<> resume) noexcept
      : wait_(std::move(wait)),
        resume_(resume),
        spot_{.partition = static_cast<std::uint32_t>(wait_->target().position.partition),
              .line = wait::Line::durable} {}

  void announce() noexcept override { link().sleeper().announce({&spot_, 1}); }
  void retract() noexcept override { link().sleeper().retract({&spot_, 1}); }
  bool ready() noexcept override { return wait_->settled() || link().stale(); }
  void idle() noexcept override {
    request_sync(wait_->target());
    link().core().tend();
  }
  void fire() noexcept override {
    try {
      if (!wait_->settled() && link().stale() &&
          ask_durable(wait_->target(), Deadline::after(kAskFor)) == errc::would_block) {
        wait::futex_wait(link().bell(), link().bell().load(std::memory_order_relaxed), kAskEvery);
        link().core().notifier().arm(shared_from_this());
        return;
      }
    } catch (const std::exception&) {
      resume_.resume();  // await_resume asks once more and throws it
      return;
    }
    resume_.resume();  // last: the coroutine may end the program's interest in everything here
  }

 private:
  TopicLink& link() const noexcept { return wait_->target().link(); }

  std::shared_ptr<DurableWait> wait_;
  std::coroutine_handle<> resume_;
  wait::Spot spot_;
};

}  // namespace

void DurableWait::resume_when_settled(std::coroutine_handle<> resume) {
  request_sync(target_);
  target_.link().core().notifier().arm(std::make_shared<DurableWatcher>(shared_from_this(), resume));
}

void DurableWait::check() {
  errc answer = look_durable(target_);
  if (answer == errc::would_block) answer = wait_durable(target_, Deadline::after(kAskFor), {});
  throw_unless_durable(answer, target_);
}

}  // namespace busway::client
