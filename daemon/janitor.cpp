#include "daemon/janitor.hpp"

#include <utility>

#include <pthread.h>
#include <signal.h>

#include <busway/error.hpp>

namespace busway::daemon {

Janitor::Janitor(Mode mode, Report report) : mode_(mode), report_(std::move(report)) {
  if (mode_ == Mode::in_caller) return;
  // The thread takes no signals; it inherits this mask.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& error) {
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw Error(errc::limit_reached, std::string("the janitor's thread cannot be started: ") + error.what());
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Janitor::~Janitor() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Janitor::submit(Job job) {
  if (mode_ == Mode::in_caller) return perform(job);
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  work_.notify_one();
}

void Janitor::finish() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return jobs_.empty() && !busy_; });
}

void Janitor::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    work_.wait(lock, [this] { return !jobs_.empty() || stopping_; });
    if (jobs_.empty()) return;
    const Job job = std::move(jobs_.front());
    jobs_.pop_front();
    busy_ = true;
    lock.unlock();
    perform(job);
    lock.lock();
    busy_ = false;
    if (jobs_.empty()) idle_.notify_all();
  }
}

void Janitor::perform(const Job& job) const {
  try {
    job();
  } catch (const Error& error) {
    if (report_) report_(error.sentence());
  }
}

}  // namespace busway::daemon
