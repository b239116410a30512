// The ring without client library and daemon: what the public API's figures are made of. No targets of their
// own.
#include <cstring>
#include <string>

#include "bench/micro/figures.hpp"
#include "bench/micro/limits.hpp"
#include "bench/micro/ring_room.hpp"
#include "bench/micro/statistics.hpp"

namespace busway::bench {
namespace {

constexpr std::size_t kValueBytes = 64;
constexpr std::size_t kFrameBytes = sizeof(memory::FrameHeader) + kValueBytes;

/// Publishes and reads back between the two cores, both spinning.
class RingRoundTrip final : public Comparison {
 public:
  double ours() override {
    const auto bursts = static_cast<std::uint32_t>(scaled(40));
    const std::uint32_t rounds = bursts * kRoundsPerBurst;
    std::vector<double> spans_ns;
    run_on_both(
        [&] {
          for (std::uint32_t i = 0; i < rounds; ++i) {
            there_.read_one();
            back_.publish(value_);
          }
        },
        [&] {
          for (std::uint32_t burst = 0; burst < bursts; ++burst) {
            const std::int64_t start = now_ns();
            for (std::uint32_t i = 0; i < kRoundsPerBurst; ++i) {
              to_.publish(value_);
              here_.read_one();
            }
            spans_ns.push_back(static_cast<double>(now_ns() - start) / kRoundsPerBurst);
          }
        });
    return median(spans_ns);
  }
  double raw() override { return bare_round_trip_ns(static_cast<std::uint32_t>(scaled(40))); }

 private:
  std::string value_ = std::string(kValueBytes, 'x');
  RingRoom outward_{4096, ring::Reclaim::drop_oldest};
  RingRoom homeward_{4096, ring::Reclaim::drop_oldest};
  RingWriter to_{outward_, 64 * limits::kKiB};
  RingReader there_{outward_};
  RingWriter back_{homeward_, 64 * limits::kKiB};
  RingReader here_{homeward_};
};

/// One publish after the other with nobody attached, beyond the copy of the frame's bytes.
class RingPublish final : public Comparison {
 public:
  double ours() override {
    return each_ns([this](std::size_t) { to_.publish(value_); }) - copy_ns();
  }
  double raw() override {
    return each_ns([this](std::size_t) {
      std::uint64_t expected = hot_;
      word_.compare_exchange_strong(expected, ++hot_, std::memory_order_seq_cst, std::memory_order_relaxed);
    });
  }

 private:
  static constexpr std::size_t kCount = 20'000;

  template <class Do>
  static double each_ns(Do&& once) {
    std::vector<double> spans_ns;
    for (std::size_t burst = 0; burst < kCount / 250; ++burst) {
      const std::int64_t start = now_ns();
      for (std::size_t i = 0; i < 250; ++i) once(i);
      spans_ns.push_back(static_cast<double>(now_ns() - start) / 250);
    }
    return median(spans_ns);
  }
  void copy_frame() noexcept {
    at_ = (at_ + 128) % lane_.size();
    std::memcpy(lane_.data() + at_, frame_.data(), kFrameBytes);
    keep(lane_.data()[at_]);
  }
  double copy_ns() {
    return each_ns([this](std::size_t) { copy_frame(); });
  }
  std::string value_ = std::string(kValueBytes, 'x');
  RingRoom room_{4096, ring::Reclaim::drop_oldest};
  RingWriter to_{room_, 64 * limits::kKiB};
  TouchedMemory lane_{64 * limits::kKiB};
  TouchedMemory frame_{kFrameBytes};
  std::size_t at_ = 0;
  std::uint64_t hot_ = 0;
  std::atomic<std::uint64_t> word_{0};
};

/// A stream from one core to the other, nothing dropped, every byte read.
class RingStream final : public Comparison {
 public:
  RingStream(std::size_t value_bytes, std::size_t lane_bytes, std::size_t ideal_records, std::size_t count)
      : value_(value_bytes, 'x'),
        ideal_records_(ideal_records),
        count_(scaled(count)),
        to_(room_, lane_bytes),
        from_(room_, value_bytes) {}

  double ours() override {
    std::uint64_t sum = 0;
    std::int64_t span_ns = 0;
    run_on_both(
        [&] {
          for (std::size_t i = 0; i < count_; ++i) to_.publish(value_);
        },
        [&] {
          const std::int64_t start = now_ns();
          for (std::size_t i = 0; i < count_; ++i) sum += from_.read_next();
          from_.tell();
          span_ns = now_ns() - start;
        });
    keep(sum);
    return static_cast<double>(count_) * 1e3 / static_cast<double>(span_ns);
  }
  double raw() override { return ideal_stream_millions(value_.size(), ideal_records_, count_); }

 private:
  std::string value_;
  std::size_t ideal_records_;
  std::size_t count_;
  RingRoom room_{4096, ring::Reclaim::block};
  RingWriter to_;
  RingReader from_;
};

template <class Kind, class... Arguments>
auto make(Arguments... arguments) {
  return [=] { return std::make_unique<Kind>(arguments...); };
}

}  // namespace

void add_ring_figures(Figures& figures) {
  figures.push_back({.name = "ring/round_trip_64B", .unit = "ns", .prepare = make<RingRoundTrip>()});
  figures.push_back({.name = "ring/publish_64B", .unit = "ns", .prepare = make<RingPublish>(), .cores = 1});
  figures.push_back({.name = "ring/stream_64B",
                     .unit = "M/s",
                     .prepare = make<RingStream>(std::size_t{64}, 256 * limits::kKiB, std::size_t{4096},
                                                 std::size_t{200'000})});
  figures.push_back(
      {.name = "ring/stream_64KiB",
       .unit = "M/s",
       .prepare = make<RingStream>(64 * limits::kKiB, limits::kMiB, std::size_t{16}, std::size_t{2'000})});
}

}  // namespace busway::bench
