// The public Publisher, Loan and Receipt: calls through to their bodies.
#include <utility>

#include <busway/publisher.hpp>

#include "bus/base/murmur2.hpp"
#include "bus/client/durable_wait.hpp"
#include "bus/client/publisher_core.hpp"

namespace busway {

Publisher::Publisher(std::unique_ptr<client::PublisherCore> core) noexcept : core_(std::move(core)) {}
Publisher::Publisher(Publisher&&) noexcept = default;
Publisher& Publisher::operator=(Publisher&&) noexcept = default;
Publisher::~Publisher() = default;

Position Publisher::publish(const NewRecord& record) { return core_->publish(record); }
Position Publisher::publish(const NewRecord& record, Durable) { return core_->publish_durable(record); }
Result<Position> Publisher::try_publish(const NewRecord& record) noexcept {
  return core_->try_publish(record);
}
Receipt Publisher::publish_async(const NewRecord& record) { return core_->publish_async(record); }
Position Publisher::publish_batch(std::span<const NewRecord> records) {
  return core_->publish_batch(records);
}
Loan Publisher::loan(std::size_t bytes, const LoanOptions& options) { return core_->loan(bytes, options); }
void Publisher::flush(std::chrono::milliseconds timeout) { core_->flush(timeout); }

std::int32_t Publisher::partitions() const noexcept { return static_cast<std::int32_t>(core_->partitions()); }

std::int32_t Publisher::partition_of(BytesView key) const noexcept {
  return static_cast<std::int32_t>(partition_of_key(key.data(), key.size(), core_->partitions()));
}

// ---- loans

Loan::Loan(Loan&& other) noexcept
    : core_(std::exchange(other.core_, nullptr)), value_(other.value_), ticket_(other.ticket_) {}

Loan& Loan::operator=(Loan&& other) noexcept {
  if (this == &other) return *this;
  if (core_ != nullptr) core_->abandon_loan(ticket_);
  core_ = std::exchange(other.core_, nullptr);
  value_ = other.value_;
  ticket_ = other.ticket_;
  return *this;
}

Loan::~Loan() {
  if (core_ != nullptr) core_->abandon_loan(ticket_);
}

Position Loan::publish() { return publish(value_.size()); }

Position Loan::publish(std::size_t bytes) {
  if (core_ == nullptr) throw Error(errc::usage, "this loan was published already");
  const Position position = core_->publish_loan(ticket_, bytes);
  core_ = nullptr;
  value_ = {};
  return position;
}

// ---- receipts

bool Receipt::is_durable() const { return wait_->look() == errc::ok; }
void Receipt::wait_durable(std::chrono::milliseconds timeout) const { wait_->wait(Deadline::after(timeout)); }

bool Receipt::Awaitable::await_ready() const { return wait_->look() != errc::would_block; }
void Receipt::Awaitable::await_suspend(std::coroutine_handle<> resume) { wait_->resume_when_settled(resume); }
void Receipt::Awaitable::await_resume() const {
  wait_->wait(Deadline::after(std::chrono::milliseconds{200}));
}

}  // namespace busway
