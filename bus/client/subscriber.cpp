// The public Subscriber: calls through to its body.
#include <utility>

#include <busway/subscriber.hpp>

#include "bus/client/subscriber_core.hpp"

namespace busway {

Subscriber::Subscriber(std::unique_ptr<client::SubscriberCore> core) noexcept : core_(std::move(core)) {}
Subscriber::Subscriber(Subscriber&&) noexcept = default;
Subscriber& Subscriber::operator=(Subscriber&&) noexcept = default;
Subscriber::~Subscriber() = default;

std::span<const Record> Subscriber::poll(std::chrono::nanoseconds timeout) { return core_->poll(timeout); }
Result<std::span<const Record>> Subscriber::try_poll() noexcept { return core_->try_poll(); }
Subscriber::InPlace Subscriber::poll_in_place(std::chrono::nanoseconds timeout,
                                              const std::function<void(const Record&)>& each) {
  return core_->poll_in_place(timeout, each);
}
bool Subscriber::lease_valid() const noexcept { return core_->lease_valid(); }

int Subscriber::fd() { return core_->fd(); }
void Subscriber::on_record(std::function<void(const Record&)> each) { core_->on_record(std::move(each)); }
void Subscriber::stop() { core_->stop(); }

bool Subscriber::Next::await_ready() { return core_->next_ready(); }
void Subscriber::Next::await_suspend(std::coroutine_handle<> resume) { core_->next_suspend(resume); }
const Record& Subscriber::Next::await_resume() { return core_->next_resume(); }
void Subscriber::resume_on(std::function<void(std::function<void()>)> executor) {
  core_->resume_on(std::move(executor));
}

void Subscriber::seek(std::int32_t partition, StartAt where) { core_->seek(partition, where); }
Offset Subscriber::position(std::int32_t partition) const { return core_->position(partition); }
Offset Subscriber::end_offset(std::int32_t partition) const { return core_->end_offset(partition); }
const std::vector<std::int32_t>& Subscriber::partitions() const noexcept { return core_->partitions(); }
SubscriberCounters Subscriber::counters() const noexcept { return core_->counters(); }

}  // namespace busway
