#include "daemon/disk_threads.hpp"

#include <algorithm>
#include <system_error>

#include <pthread.h>
#include <signal.h>

#include <busway/error.hpp>

#include "daemon/disk_syscalls.hpp"

namespace busway::daemon {

ThreadDisk::ThreadDisk(unsigned depth, unsigned threads)
    : places_(std::max(depth, 1u)), queued_(places_.size()), done_(places_.size()) {
  for (unsigned place = 0; place < places_.size(); ++place) free_.push_back(place);
  // The pool takes no signals: those are for the thread that expects them. New threads inherit the mask.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    for (unsigned i = 0; i < std::max(threads, 1u); ++i) threads_.emplace_back([this] { run(); });
  } catch (const std::system_error& error) {
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    stop_threads();
    throw Error(errc::limit_reached, std::string("the disk's threads cannot be started: ") + error.what());
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

ThreadDisk::~ThreadDisk() { stop_threads(); }

void ThreadDisk::stop_threads() noexcept {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_all();
  for (auto& thread : threads_) thread.join();
}

bool ThreadDisk::submit_write(std::uint64_t token, int fd, std::span<const std::byte> bytes,
                              std::uint64_t offset) {
  return submit({.token = token, .offset = offset, .bytes = bytes, .fd = fd});
}

bool ThreadDisk::submit_sync(std::uint64_t token, int fd, SyncKind kind) {
  return submit({.token = token, .offset = 0, .bytes = {}, .fd = fd, .kind = kind, .is_sync = true});
}

bool ThreadDisk::submit(const Operation& operation) {
  if (free_.empty()) return false;
  const unsigned place = free_.back();
  free_.pop_back();
  places_[place] = operation;
  ++in_flight_;
  {
    const std::lock_guard lock(mutex_);
    queued_.push(place);
  }
  work_.notify_one();
  return true;
}

void ThreadDisk::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    work_.wait(lock, [this] { return !queued_.empty() || stopping_; });
    if (queued_.empty()) return;  // what was queued before the stop is still done
    const unsigned place = queued_.pop();
    lock.unlock();
    Operation& operation = places_[place];
    operation.error = operation.is_sync ? sync_file(operation.fd, operation.kind)
                                        : write_fully(operation.fd, operation.bytes, operation.offset);
    lock.lock();
    done_.push(place);
    finished_.notify_one();
  }
}

std::size_t ThreadDisk::reap(std::span<DiskCompletion> out, std::chrono::nanoseconds wait) {
  if (in_flight_ == 0 || out.empty()) return 0;
  std::size_t count = 0;
  std::unique_lock lock(mutex_);
  if (wait.count() > 0) finished_.wait_for(lock, wait, [this] { return !done_.empty(); });
  while (count < out.size() && !done_.empty()) {
    const unsigned place = done_.pop();
    out[count++] = {places_[place].token, places_[place].error};
    free_.push_back(place);
  }
  in_flight_ -= count;
  return count;
}

int ThreadDisk::write_now(int fd, std::span<const std::byte> bytes, std::uint64_t offset) {
  return write_fully(fd, bytes, offset);
}

int ThreadDisk::sync_now(int fd, SyncKind kind) { return sync_file(fd, kind); }

}  // namespace busway::daemon
