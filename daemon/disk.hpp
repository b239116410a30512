// Asynchronous file I/O as one interface: io_uring where the kernel permits it, a few threads where not.
//
// Model: submit_*() queues an operation under a token that the caller chose; reap() hands back each operation
// exactly once, with errno or 0. Operations complete in any order: whoever needs an order (a sync covers only
// writes that were reaped before it was submitted) keeps it himself. A short write is continued where it
// stopped, EINTR and EAGAIN are retried: a completion without error means that every byte was written.
//
// Thread safety: submit_*, flush, reap and in_flight belong to one thread at a time. write_now, sync_now and
// note may be called from any thread.
// Lifetime: bytes and descriptor must stay as they are until the operation was reaped. The destructor waits
// for what is in flight.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace busway::daemon {

enum class DiskBackend : std::int64_t;  // config.hpp: automatic, io_uring, threads

enum class SyncKind : std::uint8_t {
  data,  ///< fdatasync: the bytes, and the size that is needed to read them
  full,  ///< fsync: for directories, whose entries fdatasync need not cover
};

struct DiskCompletion {
  std::uint64_t token = 0;
  int error = 0;  ///< errno, 0 = done
};

class Disk {
 public:
  Disk() = default;
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;
  virtual ~Disk() = default;

  /// False when `capacity` operations are in flight: reap first.
  [[nodiscard]] virtual bool submit_write(std::uint64_t token, int fd, std::span<const std::byte> bytes,
                                          std::uint64_t offset) = 0;
  /// The same; covers only writes that were reaped before.
  [[nodiscard]] virtual bool submit_sync(std::uint64_t token, int fd, SyncKind kind) = 0;
  /// Hands everything queued to the kernel. reap() does so too.
  virtual void flush() = 0;
  /// Fills `out` with operations that are complete and returns how many. With none complete and some in
  /// flight it waits for one, no longer than `wait` (0: not at all). May return early with none.
  virtual std::size_t reap(std::span<DiskCompletion> out, std::chrono::nanoseconds wait) = 0;
  /// Submitted and not yet reaped.
  virtual std::size_t in_flight() const noexcept = 0;
  virtual std::size_t capacity() const noexcept = 0;

  /// Writes all of `bytes` before it returns: a lone durable publish is faster this way. 0 or errno.
  virtual int write_now(int fd, std::span<const std::byte> bytes, std::uint64_t offset) = 0;
  /// 0 or errno. As with submit_sync, a failed sync must never be repeated on the same file: the kernel may
  /// have marked the pages as clean.
  virtual int sync_now(int fd, SyncKind kind) = 0;

  /// "io_uring" or "threads".
  virtual std::string_view name() const noexcept = 0;
  /// Puts an event of the caller's ("acknowledged", first offset, last offset) into the trace, if there is
  /// one, in its place between the operations. Free of cost otherwise.
  virtual void note(std::string_view what, std::uint64_t first, std::uint64_t second) {
    static_cast<void>(what), static_cast<void>(first), static_cast<void>(second);
  }
};

struct DiskOptions {
  DiskBackend backend{};     ///< disk.backend
  unsigned depth = 256;      ///< operations in flight at most
  unsigned threads = 4;      ///< of the thread backend
  std::string trace_path{};  ///< every event is appended to this file as a line of text; empty: no trace
};

/// The backend that the options ask for; `automatic` probes io_uring and falls back to threads. Throws
/// errc::unsupported, naming disk.backend, when io_uring is demanded and refused.
std::unique_ptr<Disk> make_disk(const DiskOptions& options);

/// Why io_uring cannot be used here: errno, or 0 when it can. Sets up a small ring, writes and syncs through
/// it.
int probe_io_uring();

}  // namespace busway::daemon
