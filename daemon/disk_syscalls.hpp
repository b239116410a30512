// Blocking writes and syncs that both backends share: retried where the kernel was interrupted, continued
// where it stopped short. Thread safe; nothing here keeps state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "daemon/disk.hpp"

namespace busway::daemon {

/// How often EAGAIN is retried before it is handed to the caller.
inline constexpr int kAgainMost = 1000;
/// The kernel writes no more than this in one call (MAX_RW_COUNT on pages of 4 KiB).
inline constexpr std::size_t kWriteMost = 0x7FFFF000;

/// pwritev2 until all of `bytes` is written. 0 or errno.
int write_fully(int fd, std::span<const std::byte> bytes, std::uint64_t offset) noexcept;
/// fdatasync or fsync. 0 or errno.
int sync_file(int fd, SyncKind kind) noexcept;

}  // namespace busway::daemon
