#include "bus/memory/region.hpp"

#include <boost/interprocess/exceptions.hpp>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

namespace busway::memory {
namespace {

namespace bi = boost::interprocess;

/// What boost's mapped_region wants to be given: a thing with a mapping handle.
class Mappable {
 public:
  explicit Mappable(int fd) noexcept : fd_(fd) {}
  bi::mapping_handle_t get_mapping_handle() const noexcept { return {fd_, false}; }

 private:
  int fd_;
};

bi::mapped_region map_fd(int fd, std::size_t bytes, Access access) {
  try {
    return {Mappable(fd), access == Access::read_write ? bi::read_write : bi::read_only, 0, bytes};
  } catch (const bi::interprocess_exception& error) {
    throw_errno("cannot map " + std::to_string(bytes) + " bytes of shared memory", error.get_native_error());
  }
}

std::size_t sealed_size(int fd) {
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) {
    throw Error(errc::corrupt, "received shared memory that is not a memfd sealed against shrinking");
  }
  struct stat status {};
  check_errno(::fstat(fd, &status), "fstat of shared memory");
  return static_cast<std::size_t>(status.st_size);
}

void check_identity(const Identity& identity, Kind kind, std::size_t size) {
  if (identity.magic != kMagic || identity.kind != kind || identity.bytes > size) {
    throw Error(errc::corrupt, "received shared memory of another kind than the daemon announced");
  }
  if (identity.layout_version != kLayoutVersion) {
    throw Error(errc::protocol_mismatch, "shared memory has layout version " +
                                             std::to_string(identity.layout_version) +
                                             ", this program knows " + std::to_string(kLayoutVersion));
  }
}

}  // namespace

Region Region::create(const std::string& name, std::size_t bytes) {
  Region region;
  region.fd_.reset(check_errno(::memfd_create(("busway:" + name).c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING),
                               "memfd_create"));
  const int fd = region.fd_.get();
  check_errno(::fchmod(fd, 0600), "fchmod of shared memory");
  check_errno(::ftruncate(fd, static_cast<off_t>(bytes)), "ftruncate of shared memory");
  if (::fallocate(fd, 0, 0, static_cast<off_t>(bytes)) != 0) {
    throw Error(errc::budget_exceeded, "cannot allocate " + std::to_string(bytes) +
                                           " bytes of shared memory for " + name + ": " +
                                           std::generic_category().message(errno));
  }
  check_errno(::fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
              "sealing of shared memory");
  region.mapping_ = map_fd(fd, bytes, Access::read_write);
  return region;
}

Region Region::map(Fd fd, std::size_t least_bytes, Access access) {
  const std::size_t size = sealed_size(fd.get());
  if (size == 0 || size < least_bytes) {
    throw Error(errc::corrupt, "received shared memory of " + std::to_string(size) + " bytes where " +
                                   std::to_string(least_bytes) + " were announced");
  }
  Region region;
  region.mapping_ = map_fd(fd.get(), size, access);
  region.fd_ = std::move(fd);
  return region;
}

Region Region::map_known(Fd fd, Kind kind, Access access) {
  Region region = map(std::move(fd), sizeof(Identity), access);
  const Identity identity = *region.as<const Identity>();  // one copy: it is checked and used from here on
  check_identity(identity, kind, region.bytes());
  return region;
}

Fd Region::open_read_only() const {
  const std::string path = "/proc/self/fd/" + std::to_string(fd_.get());
  return Fd(check_errno(::open(path.c_str(), O_RDONLY | O_CLOEXEC), "opening shared memory read-only"));
}

}  // namespace busway::memory
