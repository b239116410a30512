// What the machine can do at best: the raw limits that several figures share.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <vector>

#include "bus/base/limits.hpp"
#include "bus/wait/spin.hpp"

namespace busway::bench {

/// Keeps the compiler from dropping what was computed.
template <class T>
inline void keep(const T& value) noexcept {
  asm volatile("" : : "r,m"(value) : "memory");
}

/// Looks at every byte, as fast as loads go.
inline std::uint64_t read_every_byte(const std::byte* from, std::size_t bytes) noexcept {
  using Words [[gnu::vector_size(16)]] = std::uint64_t;
  Words sums[4] = {};
  std::size_t at = 0;
  for (; at + sizeof sums <= bytes; at += sizeof sums) {
    for (std::size_t i = 0; i < 4; ++i) {
      Words words;
      std::memcpy(&words, from + at + i * sizeof words, sizeof words);
      sums[i] += words;
    }
  }
  const Words all = sums[0] + sums[1] + sums[2] + sums[3];
  std::uint64_t sum = all[0] + all[1];
  for (; at < bytes; ++at) sum += std::to_integer<std::uint64_t>(from[at]);
  return sum;
}

/// Memory that has been touched, on lines of its own: a virtual machine's first touch of a page is very slow.
class TouchedMemory {
 public:
  explicit TouchedMemory(std::size_t bytes)
      : bytes_(bytes), data_(static_cast<std::byte*>(::operator new (bytes, std::align_val_t{4096}))) {
    std::memset(data_.get(), 1, bytes);
  }
  std::byte* data() const noexcept { return data_.get(); }
  std::size_t size() const noexcept { return bytes_; }
  std::span<std::byte> span() const noexcept { return {data_.get(), bytes_}; }

 private:
  struct Free {
    void operator()(std::byte* data) const noexcept { ::operator delete (data, std::align_val_t{4096}); }
  };
  std::size_t bytes_;
  std::unique_ptr<std::byte, Free> data_;
};

/// Waits as our readers and publishers do at the end of a stream: about 250 ns at a time.
inline void pause_as_streaming() noexcept {
  const std::uint32_t pauses = wait::pauses_per_quarter_us();
  for (std::uint32_t i = 0; i < pauses; ++i) wait::pause_once();
}

/// An ideal ring for one producer and one consumer: records of one size in place, each side's index on a line
/// of its own with a private copy of the other's, no lap, no lease, no log, nobody to wake.
class IdealRing {
 public:
  IdealRing(std::size_t record_bytes, std::size_t records)
      : stride_((record_bytes + limits::kCacheLine - 1) / limits::kCacheLine * limits::kCacheLine),
        record_bytes_(record_bytes),
        mask_(records - 1),
        memory_(stride_ * records) {}

  void push(const std::byte* from) noexcept {
    while (head_ - tail_seen_ > mask_) {
      // acquire: pairs with pop(): the consumer has done with the record's bytes.
      tail_seen_ = tail_.load(std::memory_order_acquire);
      if (head_ - tail_seen_ > mask_) pause_as_streaming();
    }
    std::memcpy(memory_.data() + (head_ & mask_) * stride_, from, record_bytes_);
    shared_head_.store(++head_, std::memory_order_release);  // pairs with pop()
  }

  /// Reads every byte of the records that are there, at least one.
  std::size_t pop(std::uint64_t& sum) noexcept {
    std::uint64_t end = shared_head_.load(std::memory_order_acquire);  // pairs with push()
    while (end == read_) {
      pause_as_streaming();
      end = shared_head_.load(std::memory_order_acquire);
    }
    const std::size_t count = end - read_;
    for (; read_ != end; ++read_)
      sum += read_every_byte(memory_.data() + (read_ & mask_) * stride_, record_bytes_);
    tail_.store(read_, std::memory_order_release);  // pairs with push()
    return count;
  }

 private:
  const std::size_t stride_;
  const std::size_t record_bytes_;
  const std::uint64_t mask_;
  TouchedMemory memory_;
  alignas(2 * limits::kCacheLine) std::atomic<std::uint64_t> shared_head_{0};
  alignas(2 * limits::kCacheLine) std::atomic<std::uint64_t> tail_{0};
  alignas(2 * limits::kCacheLine) std::uint64_t head_ = 0;  // producer's own
  std::uint64_t tail_seen_ = 0;
  alignas(2 * limits::kCacheLine) std::uint64_t read_ = 0;  // consumer's own
};

/// Records per second through an ideal ring, producer on the second core, consumer on this one, in millions.
double ideal_stream_millions(std::size_t record_bytes, std::size_t ring_records, std::size_t count);
/// memcpy between two buffers of this size, hot, in GB/s.
double copy_gigabytes(std::size_t bytes, std::size_t rounds);
/// Median round trip between two threads that sleep on futexes, in nanoseconds.
double futex_round_trip_ns(std::size_t rounds);

/// A file in `directory` that is appended to.
class RawFile {
 public:
  explicit RawFile(const std::string& directory);
  RawFile(const RawFile&) = delete;
  RawFile& operator=(const RawFile&) = delete;
  ~RawFile();
  void append(std::span<const std::byte> bytes);
  void sync();
  int fd() const noexcept { return fd_; }
  std::uint64_t size() const noexcept { return size_; }

 private:
  std::string path_;
  int fd_;
  std::uint64_t size_ = 0;
};

/// Median time of a write of `bytes` and an fdatasync, one after the other, in nanoseconds.
double write_and_sync_ns(RawFile& file, std::size_t bytes, std::size_t rounds);

}  // namespace busway::bench
