#include "daemon/staging.hpp"

#include <algorithm>
#include <cassert>

#include <sys/mman.h>

namespace busway::daemon {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t round_up(std::size_t bytes) noexcept { return (bytes + kPage - 1) / kPage * kPage; }

}  // namespace

StagingArena::StagingArena(std::size_t max_bytes, std::size_t chunk_bytes)
    : max_bytes_(max_bytes), chunk_bytes_(round_up(std::max<std::size_t>(chunk_bytes, 1))) {
  // No vector grows on the drain's path: room for every chunk that fits, and the one that may be too large.
  const std::size_t most = max_bytes_ / chunk_bytes_ + 2;
  chunks_.resize(most);
  free_.reserve(most);
  unused_.reserve(most);
  for (std::size_t i = most; i > 0; --i) unused_.push_back(static_cast<std::uint32_t>(i - 1));
}

StagingArena::~StagingArena() {
  for (Chunk& chunk : chunks_) unmap_chunk(chunk);
}

std::span<std::byte> StagingArena::reserve(std::size_t bytes) noexcept {
  // Reset here and not in release(): between reserve() and commit() the place must stay.
  if (current_ != kNone && chunks_[current_].staged == 0) chunks_[current_].used = 0;
  if (current_ == kNone || chunks_[current_].size - chunks_[current_].used < bytes) {
    if (!begin_chunk(bytes)) return {};
  }
  Chunk& chunk = chunks_[current_];
  return {chunk.data + chunk.used, chunk.size - chunk.used};
}

Staged StagingArena::commit(std::size_t used) noexcept {
  Chunk& chunk = chunks_[current_];
  assert(used <= chunk.size - chunk.used);
  const Staged staged{chunk.data + chunk.used, static_cast<std::uint32_t>(used), current_};
  // Batches start on a line of their own: the copy of one does not share lines with the write of another.
  chunk.used = std::min(chunk.size, (chunk.used + used + 63) / 64 * 64);
  ++chunk.staged;
  return staged;
}

void StagingArena::release(const Staged& staged) noexcept {
  Chunk& chunk = chunks_[staged.chunk];
  assert(chunk.staged > 0);
  if (--chunk.staged == 0 && staged.chunk != current_) free_chunk(staged.chunk);
}

void StagingArena::trim() noexcept {
  if (current_ != kNone && chunks_[current_].staged == 0) leave_current();
  for (const std::uint32_t index : free_) {
    unmap_chunk(chunks_[index]);
    unused_.push_back(index);
  }
  free_.clear();
}

bool StagingArena::begin_chunk(std::size_t bytes) noexcept {
  leave_current();
  if (bytes <= chunk_bytes_ && !free_.empty()) {
    current_ = free_.back();
    free_.pop_back();
  } else {
    const std::size_t size = bytes <= chunk_bytes_ ? chunk_bytes_ : round_up(bytes);
    if (mapped_bytes_ + size > max_bytes_) trim();
    if (mapped_bytes_ + size > max_bytes_ && held_bytes_ > 0) return false;
    if (unused_.empty() || !map_chunk(chunks_[unused_.back()], size)) return false;
    current_ = unused_.back();
    unused_.pop_back();
  }
  chunks_[current_].used = 0;
  held_bytes_ += chunks_[current_].size;
  return true;
}

void StagingArena::leave_current() noexcept {
  if (current_ == kNone) return;
  if (chunks_[current_].staged == 0) free_chunk(current_);
  current_ = kNone;
}

void StagingArena::free_chunk(std::uint32_t index) noexcept {
  Chunk& chunk = chunks_[index];
  held_bytes_ -= chunk.size;
  if (chunk.size == chunk_bytes_) {
    free_.push_back(index);
  } else {
    unmap_chunk(chunk);
    unused_.push_back(index);
  }
}

bool StagingArena::map_chunk(Chunk& chunk, std::size_t bytes) noexcept {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return false;
  chunk = {.data = static_cast<std::byte*>(memory), .size = bytes};
  mapped_bytes_ += bytes;
  return true;
}

void StagingArena::unmap_chunk(Chunk& chunk) noexcept {
  if (chunk.data == nullptr) return;
  ::munmap(chunk.data, chunk.size);
  mapped_bytes_ -= chunk.size;
  chunk = {};
}

}  // namespace busway::daemon
