// The disk over io_uring. liburing stays behind this header's implementation.
//
// A place in `places_` is the user_data of its entry in the ring, so a completion that names no place of ours
// cannot be mistaken for one. Plain descriptors and plain buffers: registered ones gain nothing for buffered
// files.
#pragma once

#include <vector>

#include "daemon/disk.hpp"

struct io_uring;
struct io_uring_cqe;

namespace busway::daemon {

class UringDisk final : public Disk {
 public:
  /// Throws errc::unsupported when the kernel refuses a ring of this depth.
  explicit UringDisk(unsigned depth);
  ~UringDisk() override;

  bool submit_write(std::uint64_t token, int fd, std::span<const std::byte> bytes,
                    std::uint64_t offset) override;
  bool submit_sync(std::uint64_t token, int fd, SyncKind kind) override;
  void flush() override;
  std::size_t reap(std::span<DiskCompletion> out, std::chrono::nanoseconds wait) override;
  std::size_t in_flight() const noexcept override { return places_.size() - free_.size(); }
  std::size_t capacity() const noexcept override { return places_.size(); }
  int write_now(int fd, std::span<const std::byte> bytes, std::uint64_t offset) override;
  int sync_now(int fd, SyncKind kind) override;
  std::string_view name() const noexcept override { return "io_uring"; }

 private:
  struct Operation {
    std::uint64_t token = 0;
    std::uint64_t offset = 0;
    std::span<const std::byte> bytes;  // what is still to be written
    int fd = -1;
    int again = 0;
    SyncKind kind = SyncKind::data;
    bool is_sync = false;
  };

  bool submit(const Operation& operation);
  void queue(unsigned place);
  bool settle(Operation& operation, int result, int& error) noexcept;
  std::size_t collect(std::span<DiskCompletion> out);
  void wait_for_one(std::chrono::nanoseconds wait);

  std::unique_ptr<io_uring> ring_;
  std::vector<Operation> places_;
  std::vector<unsigned> free_;
};

}  // namespace busway::daemon
