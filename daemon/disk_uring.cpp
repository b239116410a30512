#include "daemon/disk_uring.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>

#include <liburing.h>

#include <busway/error.hpp>

#include "daemon/disk_syscalls.hpp"

namespace busway::daemon {

UringDisk::UringDisk(unsigned depth) : ring_(std::make_unique<io_uring>()), places_(std::max(depth, 1u)) {
  // The completion queue is twice the submission queue, and never more than `depth` are in flight: it cannot
  // overflow.
  const int result = ::io_uring_queue_init(static_cast<unsigned>(places_.size()), ring_.get(), 0);
  if (result < 0) {
    throw Error(errc::unsupported, "io_uring is refused: " + std::generic_category().message(-result));
  }
  for (unsigned place = 0; place < places_.size(); ++place) free_.push_back(place);
}

UringDisk::~UringDisk() {
  std::array<DiskCompletion, 32> ignored;
  try {
    while (in_flight() > 0) reap(ignored, std::chrono::milliseconds(100));
  } catch (const Error&) {
    // The ring is broken; io_uring_queue_exit below cancels what it still holds.
  }
  ::io_uring_queue_exit(ring_.get());
}

bool UringDisk::submit_write(std::uint64_t token, int fd, std::span<const std::byte> bytes,
                             std::uint64_t offset) {
  return submit({.token = token, .offset = offset, .bytes = bytes, .fd = fd});
}

bool UringDisk::submit_sync(std::uint64_t token, int fd, SyncKind kind) {
  return submit({.token = token, .offset = 0, .bytes = {}, .fd = fd, .kind = kind, .is_sync = true});
}

bool UringDisk::submit(const Operation& operation) {
  if (free_.empty()) return false;
  const unsigned place = free_.back();
  free_.pop_back();
  places_[place] = operation;
  queue(place);
  return true;
}

void UringDisk::queue(unsigned place) {
  io_uring_sqe* entry = ::io_uring_get_sqe(ring_.get());
  if (entry == nullptr) {
    flush();
    entry = ::io_uring_get_sqe(ring_.get());
    if (entry == nullptr) throw Error(errc::io, "io_uring takes no further operations");
  }
  const Operation& operation = places_[place];
  if (operation.is_sync) {
    ::io_uring_prep_fsync(entry, operation.fd, operation.kind == SyncKind::data ? IORING_FSYNC_DATASYNC : 0);
  } else {
    const auto length = static_cast<unsigned>(std::min(operation.bytes.size(), kWriteMost));
    ::io_uring_prep_write(entry, operation.fd, operation.bytes.data(), length, operation.offset);
  }
  ::io_uring_sqe_set_data64(entry, place);
}

void UringDisk::flush() {
  while (::io_uring_sq_ready(ring_.get()) > 0) {
    const int result = ::io_uring_submit(ring_.get());
    if (result > 0) continue;
    // EBUSY and EAGAIN: the kernel is short of memory or wants completions taken first. reap() comes back.
    if (result == 0 || result == -EBUSY || result == -EAGAIN) return;
    if (result != -EINTR)
      throw Error(errc::io, "io_uring_submit: " + std::generic_category().message(-result));
  }
}

/// Looks at what the kernel says of an operation. True: it is over, with `error`. False: it must be queued
/// again, the rest of a write at its own offset.
bool UringDisk::settle(Operation& operation, int result, int& error) noexcept {
  error = 0;
  if (result < 0) {
    if (result == -EINTR) return false;
    if (result == -EAGAIN && ++operation.again < kAgainMost) return false;
    error = -result;
    return true;
  }
  if (operation.is_sync || operation.bytes.empty()) return true;
  const auto written = static_cast<std::size_t>(result);
  if (written == 0 || written > operation.bytes.size()) {
    error = EIO;
    return true;
  }
  operation.bytes = operation.bytes.subspan(written);
  operation.offset += written;
  return operation.bytes.empty();
}

std::size_t UringDisk::collect(std::span<DiskCompletion> out) {
  std::size_t count = 0;
  io_uring_cqe* completion = nullptr;
  while (count < out.size() && ::io_uring_peek_cqe(ring_.get(), &completion) == 0) {
    const auto place = static_cast<unsigned>(::io_uring_cqe_get_data64(completion));
    const int result = completion->res;
    ::io_uring_cqe_seen(ring_.get(), completion);
    Operation& operation = places_[place];
    int error = 0;
    if (settle(operation, result, error)) {
      out[count++] = {operation.token, error};
      free_.push_back(place);
    } else {
      queue(place);
    }
  }
  return count;
}

void UringDisk::wait_for_one(std::chrono::nanoseconds wait) {
  __kernel_timespec span{};
  span.tv_sec = wait.count() / 1'000'000'000;
  span.tv_nsec = wait.count() % 1'000'000'000;
  io_uring_cqe* completion = nullptr;
  const int result = ::io_uring_wait_cqe_timeout(ring_.get(), &completion, &span);
  if (result == 0 || result == -ETIME || result == -EINTR || result == -EAGAIN || result == -EBUSY) return;
  throw Error(errc::io, "io_uring_wait_cqe_timeout: " + std::generic_category().message(-result));
}

std::size_t UringDisk::reap(std::span<DiskCompletion> out, std::chrono::nanoseconds wait) {
  flush();
  if (in_flight() == 0 || out.empty()) return 0;
  std::size_t count = collect(out);
  flush();  // rests of short writes
  if (count > 0 || wait.count() <= 0) return count;
  wait_for_one(wait);
  count = collect(out);
  flush();
  return count;
}

int UringDisk::write_now(int fd, std::span<const std::byte> bytes, std::uint64_t offset) {
  return write_fully(fd, bytes, offset);
}

int UringDisk::sync_now(int fd, SyncKind kind) { return sync_file(fd, kind); }

}  // namespace busway::daemon
