#include "bench/micro/limits.hpp"

#include <cerrno>
#include <chrono>
#include <system_error>

#include <fcntl.h>
#include <unistd.h>

#include "bench/micro/cores.hpp"
#include "bench/micro/statistics.hpp"
#include "bus/wait/futex.hpp"
#include "bus/wait/spin.hpp"

namespace busway::bench {
namespace {

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

struct alignas(2 * limits::kCacheLine) FutexWord {
  memory::Atomic32 word{0};
};

/// Sleeps until the word is `value`.
void await(const memory::Atomic32& word, std::uint32_t value) {
  while (true) {
    const std::uint32_t now = word.load(std::memory_order_acquire);
    if (now == value) return;
    wait::futex_wait(word, now, std::chrono::seconds(1));
  }
}

void announce(memory::Atomic32& word, std::uint32_t value) {
  word.store(value, std::memory_order_release);
  wait::futex_wake_all(word);
}

}  // namespace

double ideal_stream_millions(std::size_t record_bytes, std::size_t ring_records, std::size_t count) {
  IdealRing ring(record_bytes, ring_records);
  const TouchedMemory record(record_bytes);
  std::uint64_t sum = 0;
  std::int64_t span_ns = 0;
  run_on_both(
      [&] {
        for (std::size_t i = 0; i < count; ++i) ring.push(record.data());
      },
      [&] {
        const std::int64_t start = now_ns();
        for (std::size_t read = 0; read < count;) read += ring.pop(sum);
        span_ns = now_ns() - start;
      });
  keep(sum);
  return static_cast<double>(count) * 1e3 / static_cast<double>(span_ns);
}

double copy_gigabytes(std::size_t bytes, std::size_t rounds) {
  const TouchedMemory from(bytes);
  const TouchedMemory to(bytes);
  const std::int64_t start = now_ns();
  for (std::size_t round = 0; round < rounds; ++round) {
    std::memcpy(to.data(), from.data(), bytes);
    keep(*to.data());
  }
  return static_cast<double>(bytes * rounds) / static_cast<double>(now_ns() - start);
}

double futex_round_trip_ns(std::size_t rounds) {
  constexpr std::int64_t kFallAsleepNs = 20'000;
  FutexWord ping;
  FutexWord pong;
  std::vector<double> spans_ns;
  spans_ns.reserve(rounds);
  run_on_both(
      [&] {
        for (std::uint32_t round = 1; round <= rounds; ++round) {
          await(ping.word, round);
          announce(pong.word, round);
        }
      },
      [&] {
        for (std::uint32_t round = 1; round <= rounds; ++round) {
          // Until the other side sleeps: two that meet on their way there measure a system call each.
          const std::int64_t before = now_ns();
          while (now_ns() - before < kFallAsleepNs) wait::pause_once();
          const std::int64_t start = now_ns();
          announce(ping.word, round);
          await(pong.word, round);
          spans_ns.push_back(static_cast<double>(now_ns() - start));
        }
      });
  return median(spans_ns);
}

RawFile::RawFile(const std::string& directory)
    : path_(directory + "/raw"), fd_(::open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) {
  if (fd_ < 0) fail("cannot create " + path_);
}

RawFile::~RawFile() {
  ::close(fd_);
  ::unlink(path_.c_str());
}

void RawFile::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(size_));
    if (written < 0) fail("cannot write " + path_);
    size_ += static_cast<std::uint64_t>(written);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void RawFile::sync() {
  if (::fdatasync(fd_) != 0) fail("cannot sync " + path_);
}

double write_and_sync_ns(RawFile& file, std::size_t bytes, std::size_t rounds) {
  const TouchedMemory record(bytes);
  std::vector<double> spans_ns;
  for (std::size_t round = 0; round < rounds; ++round) {
    const std::int64_t start = now_ns();
    file.append(record.span());
    file.sync();
    spans_ns.push_back(static_cast<double>(now_ns() - start));
  }
  return median(spans_ns);
}

}  // namespace busway::bench
