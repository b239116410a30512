// The records of one poll and the bytes behind those that were copied out of shared memory.
//
// Both are used again and again: in steady state a poll allocates nothing. The arena never moves while it
// holds records; it grows between polls when one poll filled it. One thread.
#pragma once

#include <algorithm>
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
  static constexpr std::size_t kRecordsFirst = 64;
  static constexpr std::size_t kArenaMost = 1 * limits::kMiB;  // one larger record makes it larger

  explicit RecordBatch(std::size_t records_most) : most_(records_most == 0 ? 1 : records_most) {}

  /// Forgets the records of the poll before.
  void clear() {
    count_ = 0;
    used_ = 0;
    if (cramped_) grow(capacity_ < kArenaMost ? capacity_ * 4 : 0);
    cramped_ = false;
  }

  bool empty() const noexcept { return count_ == 0; }
  bool full() const noexcept { return count_ >= most_; }
  std::size_t size() const noexcept { return count_; }
  std::span<const Record> records() const noexcept { return {records_.data(), count_}; }

  /// Where the next records of one partition go, as far as there is room at hand. A value: a copy of its own
  /// stays in registers.
  class Places {
   public:
    /// Where `bytes` bytes may be copied to, or null: there is no place at hand, or not so many bytes.
    std::byte* room(std::size_t bytes) const noexcept {
      return next_ != end_ && bytes <= static_cast<std::size_t>(to_end_ - to_) ? to_ : nullptr;
    }
    /// Takes up the record whose headers, key and value were copied to room(), in this order.
    void add(std::uint64_t offset, std::int64_t timestamp_ms, std::int32_t key_bytes,
             std::int32_t value_bytes, std::uint32_t headers_bytes = 0) noexcept {
      // In place: a copy would wait for the stores that it copies.
      std::construct_at(next_, static_cast<Offset>(offset), timestamp_ms, partition_, to_, headers_bytes,
                        key_bytes, value_bytes);
      ++next_;
      const std::size_t bytes = headers_bytes + static_cast<std::size_t>(std::max(key_bytes, 0)) +
                                static_cast<std::size_t>(std::max(value_bytes, 0));
      to_ += std::min(static_cast<std::size_t>(to_end_ - to_), (bytes + 7) & ~std::size_t{7});
    }

   private:
    friend class RecordBatch;
    Record* next_ = nullptr;
    Record* end_ = nullptr;
    std::byte* to_ = nullptr;
    std::byte* to_end_ = nullptr;
    std::int32_t partition_ = 0;
  };

  /// Adds records one behind the other: what was added is in the batch once this is gone. Nobody else uses
  /// the batch meanwhile.
  class Run {
   public:
    Run(RecordBatch& batch, std::uint32_t partition) noexcept : batch_(batch) {
      places_.partition_ = static_cast<std::int32_t>(partition);
      places_.to_ = batch.arena_.get() + batch.used_;
      places_.to_end_ = batch.arena_.get() + batch.capacity_;
      find_places();
    }
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;
    ~Run() { give_back(); }

    /// Is there a place for a record? May throw std::bad_alloc.
    bool has_place() { return places_.next_ != places_.end_ || more_places(); }
    /// Where its bytes may be copied to.
    std::span<std::byte> room() const noexcept { return {places_.to_, places_.to_end_}; }
    /// To be copied, added to, and put back.
    Places& places() noexcept { return places_; }

   private:
    void find_places() noexcept {
      places_.next_ = batch_.records_.data() + batch_.count_;
      places_.end_ = batch_.records_.data() + std::min(batch_.records_.size(), batch_.most_);
    }
    void give_back() noexcept {
      batch_.count_ = static_cast<std::size_t>(places_.next_ - batch_.records_.data());
      batch_.used_ = static_cast<std::size_t>(places_.to_ - batch_.arena_.get());
    }
    [[gnu::noinline]] bool more_places() {
      give_back();
      if (batch_.full()) return false;
      batch_.grow_records();
      find_places();
      return true;
    }

    RecordBatch& batch_;
    Places places_;
  };

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

  /// Places for records whose bytes live elsewhere until the next poll; none: the batch is full. To be filled
  /// from the front, then taken up with added(). May throw std::bad_alloc.
  std::span<Record> places() {
    if (count_ == records_.size() && !full()) grow_records();
    return std::span(records_).first(std::min(records_.size(), most_)).subspan(count_);
  }
  void added(std::size_t records) noexcept { count_ += records; }

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
  void grow_records() { records_.resize(std::min(most_, std::max(kRecordsFirst, 2 * count_))); }
  void grow(std::size_t bytes) {
    if (bytes <= capacity_) return;
    arena_.reset(new std::byte[bytes]);  // not value-initialised: it is written before it is read
    capacity_ = bytes;
  }

  std::vector<Record> records_;  // the first count_ are this poll's
  std::size_t count_ = 0;
  std::unique_ptr<std::byte[]> arena_;
  std::size_t capacity_ = 0;
  std::size_t used_ = 0;
  std::size_t most_;
  bool cramped_ = false;  // the last poll ended for want of room
};

}  // namespace busway::read
