#include "daemon/disk_trace.hpp"

#include <memory>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include "daemon/disk_syscalls.hpp"

namespace busway::daemon {

std::string text(const DiskEvent& event) {
  std::string line = std::to_string(event.sequence);
  line.append(" ").append(event.what);
  line.append(" token=").append(std::to_string(event.token));
  line.append(" fd=").append(std::to_string(event.fd));
  line.append(" offset=").append(std::to_string(event.offset));
  line.append(" bytes=").append(std::to_string(event.bytes));
  line.append(" error=").append(std::to_string(event.error));
  return line;
}

DiskEventSink trace_to_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (fd < 0) throw_errno("the disk's trace cannot be written to " + path);
  auto file = std::make_shared<Fd>(fd);
  return [file](const DiskEvent& event) {
    const std::string line = text(event) + "\n";
    // One write each, so that lines of two processes do not mix; the trace is a tool, not a promise.
    if (::write(file->get(), line.data(), line.size()) < 0) return;
  };
}

TraceDisk::TraceDisk(std::unique_ptr<Disk> disk, DiskEventSink sink)
    : disk_(std::move(disk)), sink_(std::move(sink)) {}

void TraceDisk::record(DiskEvent event) {
  const std::lock_guard lock(mutex_);
  event.sequence = ++sequence_;
  sink_(event);
}

bool TraceDisk::submit_write(std::uint64_t token, int fd, std::span<const std::byte> bytes,
                             std::uint64_t offset) {
  // Recorded before the kernel has it: a completion must not come first.
  if (disk_->in_flight() == disk_->capacity()) return false;
  record({.what = "submit write", .token = token, .offset = offset, .bytes = bytes.size(), .fd = fd});
  return disk_->submit_write(token, fd, bytes, offset);
}

bool TraceDisk::submit_sync(std::uint64_t token, int fd, SyncKind kind) {
  if (disk_->in_flight() == disk_->capacity()) return false;
  record({.what = kind == SyncKind::data ? "submit sync" : "submit full sync", .token = token, .fd = fd});
  return disk_->submit_sync(token, fd, kind);
}

std::size_t TraceDisk::reap(std::span<DiskCompletion> out, std::chrono::nanoseconds wait) {
  const std::size_t count = disk_->reap(out, wait);
  for (const DiskCompletion& completion : out.first(count)) {
    record({.what = "done", .token = completion.token, .error = completion.error});
  }
  return count;
}

int TraceDisk::write_now(int fd, std::span<const std::byte> bytes, std::uint64_t offset) {
  record({.what = "begin write", .offset = offset, .bytes = bytes.size(), .fd = fd});
  const int error = disk_->write_now(fd, bytes, offset);
  record({.what = "end write", .offset = offset, .bytes = bytes.size(), .fd = fd, .error = error});
  return error;
}

int TraceDisk::sync_now(int fd, SyncKind kind) {
  record({.what = kind == SyncKind::data ? "begin sync" : "begin full sync", .fd = fd});
  const int error = disk_->sync_now(fd, kind);
  record({.what = kind == SyncKind::data ? "end sync" : "end full sync", .fd = fd, .error = error});
  return error;
}

void TraceDisk::note(std::string_view what, std::uint64_t first, std::uint64_t second) {
  record({.what = what, .token = first, .offset = second});
}

}  // namespace busway::daemon
