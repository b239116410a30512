// Where the drain encodes batches, and where their bytes stay until they are durable.
//
// Model: big chunks, filled from front to back. A reservation is room at the end of the current chunk; commit
// keeps a part of it. A chunk is free once all that was committed in it was released, and the chunk freed
// last is taken first: its memory is still warm. Batches of several partitions share a chunk, so one
// partition that does not sync pins it: whoever finds is_short() forces the syncs. Invariant: the chunks that
// exist never exceed max_bytes, except for one batch that is larger than that by itself, and only while
// nothing else is staged.
//
// Thread safety: none, the arena belongs to the drain thread. Only reserve() allocates, and only for a chunk
// that is new.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace busway::daemon {

/// Bytes that stay where they are until release().
struct Staged {
  std::byte* data = nullptr;
  std::uint32_t bytes = 0;
  std::uint32_t chunk = 0;
  std::span<const std::byte> span() const noexcept { return {data, bytes}; }
};

class StagingArena {
 public:
  static constexpr std::size_t kChunkBytes = std::size_t{1} << 20;
  static constexpr std::size_t kMaxBytes = std::size_t{64} << 20;

  explicit StagingArena(std::size_t max_bytes = kMaxBytes, std::size_t chunk_bytes = kChunkBytes);
  ~StagingArena();
  StagingArena(const StagingArena&) = delete;
  StagingArena& operator=(const StagingArena&) = delete;

  /// Contiguous room of at least `bytes` (all that is left of its chunk), empty when there is none: release
  /// something first. A further reserve() forgets what was reserved and not committed. At most 4 GiB.
  [[nodiscard]] std::span<std::byte> reserve(std::size_t bytes) noexcept;
  /// Keeps the first `used` bytes of what was reserved last.
  [[nodiscard]] Staged commit(std::size_t used) noexcept;
  /// Gives the bytes back; each commit exactly once.
  void release(const Staged& staged) noexcept;

  /// Half of what is allowed is taken: time to make things durable.
  bool is_short() const noexcept { return held_bytes_ * 2 >= max_bytes_; }
  /// Bytes of the chunks that are not free.
  std::size_t held_bytes() const noexcept { return held_bytes_; }
  std::size_t max_bytes() const noexcept { return max_bytes_; }
  /// Gives the memory of free chunks back to the system: for a drain that went idle. Forgets a reservation.
  void trim() noexcept;

 private:
  struct Chunk {
    std::byte* data = nullptr;  // nullptr: this entry is not in use
    std::size_t size = 0;
    std::size_t used = 0;
    std::uint32_t staged = 0;  // commits not yet released
  };
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;

  bool begin_chunk(std::size_t bytes) noexcept;
  bool map_chunk(Chunk& chunk, std::size_t bytes) noexcept;
  void unmap_chunk(Chunk& chunk) noexcept;
  void leave_current() noexcept;
  void free_chunk(std::uint32_t index) noexcept;

  std::size_t max_bytes_;
  std::size_t chunk_bytes_;
  std::size_t held_bytes_ = 0;    // chunks in use
  std::size_t mapped_bytes_ = 0;  // chunks in use and free ones
  std::vector<Chunk> chunks_;
  std::vector<std::uint32_t> free_;    // mapped, of chunk_bytes_, warmest last
  std::vector<std::uint32_t> unused_;  // entries of chunks_ without memory
  std::uint32_t current_ = kNone;
};

}  // namespace busway::daemon
