// A disk that records what another one is asked and answers, in order: the proof that a record was
// acknowledged only after the sync that covers it.
//
// Thread safety: that of the disk behind it; events of write_now, sync_now and note from several threads take
// their sequence numbers under one mutex.
#pragma once

#include <functional>
#include <mutex>

#include "bus/base/fd.hpp"
#include "daemon/disk.hpp"

namespace busway::daemon {

/// One event. What is submitted appears once more, under the same token, when it is complete.
struct DiskEvent {
  std::uint64_t sequence = 0;  ///< from 1, dense
  std::string_view what;       ///< "submit write", "done sync", ...: a literal, or the text given to note()
  std::uint64_t token = 0;     ///< of a note: its first number
  std::uint64_t offset = 0;    ///< in the file; of a note: its second number
  std::uint64_t bytes = 0;
  int fd = -1;
  int error = 0;
};

/// "17 submit write token=4 fd=9 offset=8192 bytes=512 error=0"
std::string text(const DiskEvent& event);

/// Called under the trace's mutex; must not call back into the disk.
using DiskEventSink = std::function<void(const DiskEvent&)>;

class TraceDisk final : public Disk {
 public:
  TraceDisk(std::unique_ptr<Disk> disk, DiskEventSink sink);

  bool submit_write(std::uint64_t token, int fd, std::span<const std::byte> bytes,
                    std::uint64_t offset) override;
  bool submit_sync(std::uint64_t token, int fd, SyncKind kind) override;
  void flush() override { disk_->flush(); }
  std::size_t reap(std::span<DiskCompletion> out, std::chrono::nanoseconds wait) override;
  std::size_t in_flight() const noexcept override { return disk_->in_flight(); }
  std::size_t capacity() const noexcept override { return disk_->capacity(); }
  int write_now(int fd, std::span<const std::byte> bytes, std::uint64_t offset) override;
  int sync_now(int fd, SyncKind kind) override;
  std::string_view name() const noexcept override { return disk_->name(); }
  void note(std::string_view what, std::uint64_t first, std::uint64_t second) override;

 private:
  void record(DiskEvent event);

  std::unique_ptr<Disk> disk_;
  DiskEventSink sink_;
  std::mutex mutex_;
  std::uint64_t sequence_ = 0;  // guarded by mutex_
};

/// A sink that appends each event to a file as a line; a line that cannot be written is dropped. Throws
/// errc::io when the file cannot be opened.
DiskEventSink trace_to_file(const std::string& path);

}  // namespace busway::daemon
