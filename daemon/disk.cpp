#include "daemon/disk.hpp"

#include <array>

#include <sys/mman.h>

#include <busway/error.hpp>

#include "bus/base/fd.hpp"
#include "daemon/config.hpp"
#include "daemon/disk_threads.hpp"
#include "daemon/disk_trace.hpp"
#include "daemon/disk_uring.hpp"

namespace busway::daemon {
namespace {

/// Runs one write and one sync through a ring of its own. 0 or errno.
int try_ring(int fd) {
  UringDisk disk(2);
  const std::array<std::byte, 8> bytes{};
  std::array<DiskCompletion, 1> done;
  if (!disk.submit_write(1, fd, bytes, 0)) return EIO;
  if (disk.reap(done, std::chrono::seconds(1)) != 1) return ETIMEDOUT;
  if (done[0].error != 0) return done[0].error;
  if (!disk.submit_sync(2, fd, SyncKind::data)) return EIO;
  if (disk.reap(done, std::chrono::seconds(1)) != 1) return ETIMEDOUT;
  return done[0].error;
}

std::unique_ptr<Disk> make_backend(const DiskOptions& options) {
  if (options.backend != DiskBackend::threads) {
    const int refused = probe_io_uring();
    if (refused == 0) return std::make_unique<UringDisk>(options.depth);
    if (options.backend == DiskBackend::io_uring) {
      throw Error(errc::unsupported,
                  "disk.backend = io_uring, but this system refuses io_uring (" +
                      std::generic_category().message(refused) +
                      "): permit it (sysctl kernel.io_uring_disabled, the container's seccomp profile) or "
                      "set disk.backend to auto or threads");
    }
  }
  return std::make_unique<ThreadDisk>(options.depth, options.threads);
}

}  // namespace

int probe_io_uring() {
  const Fd scratch(::memfd_create("busway-disk-probe", MFD_CLOEXEC));
  if (!scratch) return errno;
  try {
    return try_ring(scratch.get());
  } catch (const Error&) {
    return EPERM;
  }
}

std::unique_ptr<Disk> make_disk(const DiskOptions& options) {
  auto disk = make_backend(options);
  if (options.trace_path.empty()) return disk;
  return std::make_unique<TraceDisk>(std::move(disk), trace_to_file(options.trace_path));
}

}  // namespace busway::daemon
