// The disk over a small pool of threads with pwritev2 and fdatasync: for machines that refuse io_uring.
//
// Operations lie in fixed places; a place is free, queued, running or done. One mutex guards the queues; the
// places' contents belong to the owner while free or done, to the pool while queued or running.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "daemon/disk.hpp"

namespace busway::daemon {

class ThreadDisk final : public Disk {
 public:
  ThreadDisk(unsigned depth, unsigned threads);
  ~ThreadDisk() override;

  bool submit_write(std::uint64_t token, int fd, std::span<const std::byte> bytes,
                    std::uint64_t offset) override;
  bool submit_sync(std::uint64_t token, int fd, SyncKind kind) override;
  void flush() override {}
  std::size_t reap(std::span<DiskCompletion> out, std::chrono::nanoseconds wait) override;
  std::size_t in_flight() const noexcept override { return in_flight_; }
  std::size_t capacity() const noexcept override { return places_.size(); }
  int write_now(int fd, std::span<const std::byte> bytes, std::uint64_t offset) override;
  int sync_now(int fd, SyncKind kind) override;
  std::string_view name() const noexcept override { return "threads"; }

 private:
  struct Operation {
    std::uint64_t token = 0;
    std::uint64_t offset = 0;
    std::span<const std::byte> bytes;
    int fd = -1;
    int error = 0;
    SyncKind kind = SyncKind::data;
    bool is_sync = false;
  };
  // A queue of place numbers with room for all of them.
  class Queue {
   public:
    explicit Queue(std::size_t room) : places_(room) {}
    bool empty() const noexcept { return count_ == 0; }
    void push(unsigned place) noexcept { places_[(first_ + count_++) % places_.size()] = place; }
    unsigned pop() noexcept {
      const unsigned place = places_[first_];
      first_ = (first_ + 1) % places_.size();
      --count_;
      return place;
    }

   private:
    std::vector<unsigned> places_;
    std::size_t first_ = 0;
    std::size_t count_ = 0;
  };

  bool submit(const Operation& operation);
  void run();
  void stop_threads() noexcept;

  std::vector<Operation> places_;
  std::vector<unsigned> free_;  // the owner's
  std::size_t in_flight_ = 0;   // the owner's

  std::mutex mutex_;
  std::condition_variable work_;      // queued_ is not empty, or stopping_
  std::condition_variable finished_;  // done_ is not empty
  Queue queued_;                      // guarded by mutex_
  Queue done_;                        // guarded by mutex_
  bool stopping_ = false;             // guarded by mutex_
  std::vector<std::thread> threads_;
};

}  // namespace busway::daemon
