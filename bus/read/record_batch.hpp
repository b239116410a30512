// The records of one poll and the bytes behind those that were copied out of shared memory.
//
// Both are used again and again: in steady state a poll allocates nothing. The arena never moves while it
// holds records; it grows between polls when one poll filled it. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <busway/record.hpp>

#include "bus/memory/lane_layout.hpp"

namespace busway::read {

class RecordBatch {
 public:
  static constexpr std::size_t kArenaFirst = 64 * limits::kKiB;
  static constexpr std::size_t kArenaMost = 1 * limits::kMiB;  // one larger record makes it larger

  explicit RecordBatch(std::size_t records_most) : most_(records_most == 0 ? 1 : records_most) {}

  /// Forgets the records of the poll before.
  void clear() {
    records_.clear();
    used_ = 0;
    if (cramped_) grow(capacity_ < kArenaMost ? capacity_ * 4 : 0);
    cramped_ = false;
  }

  bool empty() const noexcept { return records_.empty(); }
  bool full() const noexcept { return records_.size() >= most_; }
  std::size_t size() const noexcept { return records_.size(); }
  std::span<const Record> records() const noexcept { return records_; }

  /// Where the next record's bytes may be copied to.
  std::span<std::byte> room() const noexcept { return {arena_.get() + used_, capacity_ - used_}; }

  /// Makes room for a record of `bytes`: true if there is some now. False: other records lie in the arena;
  /// hand them out first.
  [[nodiscard]] bool make_room(std::size_t bytes) {
    if (used_ != 0) {
      cramped_ = true;
      return false;
    }
    grow(bytes < kArenaFirst ? kArenaFirst : bytes);
    return true;
  }

  /// Takes up the record whose frame body was copied to room(): headers, key, value.
  void add_copied(std::uint64_t offset, const memory::FrameHeader& header, std::size_t body_bytes) {
    const std::byte* body = arena_.get() + used_;
    used_ = std::min(capacity_, (used_ + body_bytes + 7) & ~std::size_t{7});
    // In place: a copy would wait for the stores that it copies.
    records_.emplace_back(static_cast<Offset>(offset), header.timestamp_ms,
                          static_cast<std::int32_t>(header.partition), body, header.headers_bytes,
                          header.key_bytes, header.value_bytes);
  }
  /// Takes up a record whose bytes live elsewhere until the next poll.
  void add(const Record& record) { records_.push_back(record); }

  /// The record of a checked frame header and its body.
  static Record record_of(std::uint64_t offset, const memory::FrameHeader& header,
                          const std::byte* body) noexcept {
    return {static_cast<Offset>(offset),
            header.timestamp_ms,
            static_cast<std::int32_t>(header.partition),
            body,
            header.headers_bytes,
            header.key_bytes,
            header.value_bytes};
  }

 private:
  void grow(std::size_t bytes) {
    if (bytes <= capacity_) return;
    arena_.reset(new std::byte[bytes]);  // not value-initialised: it is written before it is read
    capacity_ = bytes;
  }

  std::vector<Record> records_;
  std::unique_ptr<std::byte[]> arena_;
  std::size_t capacity_ = 0;
  std::size_t used_ = 0;
  std::size_t most_;
  bool cramped_ = false;  // the last poll ended for want of room
};

}  // namespace busway::read
