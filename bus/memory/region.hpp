// Sealed memfds and their mappings: the only way that Busway makes and maps shared memory.
//
// A region made here is mode 0600, sealed against shrinking, growing and further sealing, and has every page
// allocated before its descriptor can be passed on, so nobody who maps it can meet SIGBUS. (Files in /dev/shm
// cannot be sealed; F_SEAL_FUTURE_WRITE would keep a restarted worker from writing its own pages.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <boost/interprocess/mapped_region.hpp>

#include "bus/base/fd.hpp"
#include "bus/memory/identity_layout.hpp"

namespace busway::memory {

enum class Access { read_only, read_write };

/// A mapped memfd. Owns the mapping, and the descriptor while it is kept. Movable. Not thread safe itself;
/// what it maps is shared memory with rules of its own.
class Region {
 public:
  Region() = default;

  /// Creates, allocates, seals and maps a memfd of `bytes` (rounded up to pages by the kernel), zeroed.
  /// Throws errc::budget_exceeded when the memory is not to be had, errc::io otherwise.
  static Region create(const std::string& name, std::size_t bytes);

  /// Maps a descriptor that somebody else made. Checks that it is sealed against shrinking and at least
  /// `least_bytes` large: errc::corrupt otherwise.
  static Region map(Fd fd, std::size_t least_bytes, Access access);

  /// Maps what `map` would and checks its identity: magic, layout version, kind, size. errc::corrupt or
  /// errc::protocol_mismatch otherwise.
  static Region map_known(Fd fd, Kind kind, Access access);

  bool mapped() const noexcept { return mapping_.get_address() != nullptr; }
  void* data() const noexcept { return mapping_.get_address(); }
  std::size_t bytes() const noexcept { return mapping_.get_size(); }
  template <class T>
  T* as() const noexcept {
    return static_cast<T*>(data());
  }

  int fd() const noexcept { return fd_.get(); }
  /// A second descriptor of the same memory that cannot write; who receives it cannot reopen it for writing
  /// unless it runs under the daemon's uid.
  Fd open_read_only() const;
  /// Closes the descriptor and keeps the mapping.
  void forget_fd() noexcept { fd_.reset(); }

 private:
  Fd fd_;
  boost::interprocess::mapped_region mapping_;
};

}  // namespace busway::memory
