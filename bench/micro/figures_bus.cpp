// The public API on topics in memory: round trips, what a publish costs, streams, waking.
#include <atomic>
#include <cstring>
#include <string>
#include <vector>

#include "bench/micro/bus_room.hpp"
#include "bench/micro/figures.hpp"
#include "bench/micro/limits.hpp"
#include "bench/micro/statistics.hpp"

namespace busway::bench {
namespace {

using namespace std::chrono_literals;

/// A topic in each direction, a publisher and a subscriber at both ends.
class Conversation {
 public:
  explicit Conversation(std::chrono::microseconds spin) {
    const std::string outward = room_.memory_topic(false);
    const std::string homeward = room_.memory_topic(false);
    const PublisherOptions publishing{.spin = spin};
    to_ = std::make_unique<Publisher>(here_.publisher(outward, publishing));
    back_ = std::make_unique<Publisher>(there_.publisher(homeward, publishing));
    hears_ = std::make_unique<Subscriber>(there_.subscriber(outward, {.spin = spin}));
    answer_ = std::make_unique<Subscriber>(here_.subscriber(homeward, {.spin = spin}));
  }

  /// Median nanoseconds from a publish to the answer in hand; `per_burst` of them are timed as one.
  double round_trip_ns(std::uint32_t bursts, std::uint32_t per_burst) {
    std::vector<double> spans_ns;
    run_on_both(
        [&] {
          for (std::uint32_t i = 0; i < bursts * per_burst; ++i) {
            await(*hears_);
            back_->publish(record_);
          }
        },
        [&] {
          for (std::uint32_t burst = 0; burst < bursts; ++burst) {
            const std::int64_t start = now_ns();
            for (std::uint32_t i = 0; i < per_burst; ++i) {
              to_->publish(record_);
              await(*answer_);
            }
            spans_ns.push_back(static_cast<double>(now_ns() - start) / per_burst);
          }
        });
    return median(spans_ns);
  }

 private:
  static void await(Subscriber& subscriber) {
    while (subscriber.poll(1s).empty()) continue;
  }

  BusRoom room_;
  Bus here_ = room_.connect();
  Bus there_ = room_.connect();
  std::unique_ptr<Publisher> to_;
  std::unique_ptr<Publisher> back_;
  std::unique_ptr<Subscriber> hears_;
  std::unique_ptr<Subscriber> answer_;
  std::string value_ = std::string(64, 'x');
  NewRecord record_{.value = value_, .timestamp_ms = 0};
};

/// Both ends spin.
class RoundTrip final : public Comparison {
 public:
  double ours() override {
    return talk_.round_trip_ns(static_cast<std::uint32_t>(scaled(40)), kRoundsPerBurst);
  }
  double raw() override { return bare_round_trip_ns(static_cast<std::uint32_t>(scaled(40))); }

 private:
  Conversation talk_{kSpinForEver};
};

/// Both ends sleep before each record.
class WakeUp final : public Comparison {
 public:
  double ours() override { return talk_.round_trip_ns(static_cast<std::uint32_t>(scaled(1000)), 1); }
  double raw() override { return futex_round_trip_ns(scaled(1000)); }

 private:
  Conversation talk_{0us};
};

/// Records of a batch, where there are batches.
constexpr std::size_t kBatch = 16;

enum class Stamp { given, by_publisher, once_a_batch };

/// What a publish costs beyond the copy of its bytes, with nobody attached that would have to be woken,
/// against a bare compare-and-swap of a hot word.
class PublishCost final : public Comparison {
 public:
  explicit PublishCost(Stamp stamp) : stamp_(stamp), batch_(kBatch, NewRecord{.value = value_}) {
    if (stamp == Stamp::given) {
      for (NewRecord& record : batch_) record.timestamp_ms = 1;
    }
    to_ = std::make_unique<Publisher>(bus_.publisher(room_.memory_topic(false)));
  }

  double ours() override {
    const double all = stamp_ == Stamp::once_a_batch
                           ? each_ns([this] { to_->publish_batch(batch_); }) / kBatch
                           : each_ns([this] { keep(to_->publish(batch_.front()).offset); });
    return all - each_ns([this] { copy_frame(); });
  }
  double raw() override {
    return each_ns([this] {
      std::uint64_t expected = hot_;
      word_.compare_exchange_strong(expected, ++hot_, std::memory_order_seq_cst, std::memory_order_relaxed);
    });
  }

 private:
  template <class Do>
  static double each_ns(Do&& once) {
    constexpr std::size_t kPerBurst = 250;
    std::vector<double> spans_ns;
    for (std::size_t burst = 0; burst < scaled(80); ++burst) {
      const std::int64_t start = now_ns();
      for (std::size_t i = 0; i < kPerBurst; ++i) once();
      spans_ns.push_back(static_cast<double>(now_ns() - start) / kPerBurst);
    }
    return median(spans_ns);
  }
  /// What any publisher has to write: a header of 32 bytes and the value, into memory of a lane's size.
  void copy_frame() noexcept {
    constexpr std::size_t kStride = 128;
    at_ = (at_ + kStride) % lane_.size();
    const std::uint64_t header[4] = {at_, 0, ~std::uint64_t{0} << 32, value_.size()};
    for (std::size_t i = 0; i < 4; ++i) std::memcpy(lane_.data() + at_ + 8 * i, header + i, 8);
    std::memcpy(lane_.data() + at_ + sizeof header, value_.data(), value_.size());
    keep(*lane_.data());
  }

  BusRoom room_;
  Bus bus_ = room_.connect();
  std::unique_ptr<Publisher> to_;
  std::string value_ = std::string(64, 'x');
  Stamp stamp_;
  std::vector<NewRecord> batch_;
  TouchedMemory lane_{limits::kLaneBytesFirst};
  std::size_t at_ = 0;
  std::uint64_t hot_ = 0;
  std::atomic<std::uint64_t> word_{0};
};

enum class Giving { one_by_one, batches };
enum class Taking { copies, in_place };

/// A stream from one core to the other of which nothing is lost and every byte is read.
class Stream final : public Comparison {
 public:
  Stream(std::size_t value_bytes, std::size_t count, std::size_t ideal_records, Giving giving, Taking taking)
      : value_(value_bytes, 'x'),
        count_(scaled(count) / kBatch * kBatch),
        ideal_records_(ideal_records),
        giving_(giving),
        taking_(taking) {
    const std::string topic = room_.memory_topic(true);
    to_ = std::make_unique<Publisher>(there_.publisher(topic));
    from_ = std::make_unique<Subscriber>(here_.subscriber(topic));
    for (int i = 0; i < 3; ++i)
      static_cast<void>(ours());  // rings and lanes have grown to what the stream needs
  }

  double ours() override {
    std::int64_t span_ns = 0;
    run_on_both([this] { publish(); },
                [&] {
                  const std::int64_t start = now_ns();
                  take();
                  span_ns = now_ns() - start;
                });
    return static_cast<double>(count_) * 1e3 / static_cast<double>(span_ns);
  }
  double raw() override { return ideal_stream_millions(value_.size(), ideal_records_, count_); }

 private:
  void publish() {
    const NewRecord record{.value = value_, .timestamp_ms = 1};
    if (giving_ == Giving::one_by_one) {
      for (std::size_t i = 0; i < count_; ++i) to_->publish(record);
      return;
    }
    const std::vector<NewRecord> batch(kBatch, record);
    for (std::size_t i = 0; i < count_; i += kBatch) to_->publish_batch(batch);
  }
  void take() {
    std::uint64_t sum = 0;
    const auto look = [&](const Record& record) {
      sum += read_every_byte(record.value().data(), record.value().size());
    };
    for (std::size_t taken = 0; taken < count_;) {
      if (taking_ == Taking::in_place) {
        taken += from_->poll_in_place(1s, look).records;
        continue;
      }
      const auto records = from_->poll(1s);
      for (const Record& record : records) look(record);
      taken += records.size();
    }
    keep(sum);
  }

  std::string value_;
  std::size_t count_;
  std::size_t ideal_records_;
  Giving giving_;
  Taking taking_;
  BusRoom room_;
  Bus here_ = room_.connect();
  Bus there_ = room_.connect();
  std::unique_ptr<Publisher> to_;
  std::unique_ptr<Subscriber> from_;
};

Figure publish_cost(const std::string& name, Stamp stamp, double target) {
  return {.name = "bus/" + name, .unit = "ns", .bound = Bound::at_most, .target = target, .prepare = [stamp] {
            return std::make_unique<PublishCost>(stamp);
          }};
}

Figure stream(const std::string& name, std::size_t value_bytes, Giving giving, Taking taking, double target) {
  const bool small = value_bytes < limits::kKiB;
  const std::size_t count = small ? 200'000 : 2'000;
  const std::size_t ideal_records = small ? 1024 : 16;
  return {.name = "bus/" + name, .unit = "M/s", .bound = Bound::at_least, .target = target, .prepare = [=] {
            return std::make_unique<Stream>(value_bytes, count, ideal_records, giving, taking);
          }};
}

}  // namespace

void add_bus_figures(Figures& figures) {
  figures.push_back(
      {.name = "bus/round_trip_64B", .unit = "ns", .bound = Bound::at_most, .target = 1.6, .prepare = [] {
         return std::make_unique<RoundTrip>();
       }});
  figures.push_back(publish_cost("publish_64B", Stamp::given, 1.5));
  figures.push_back(publish_cost("publish_stamped_64B", Stamp::by_publisher, 2.0));
  figures.push_back(publish_cost("publish_batch_64B", Stamp::once_a_batch, 2.0));
  constexpr std::size_t kLarge = 64 * limits::kKiB;
  figures.push_back(stream("stream_64B", 64, Giving::one_by_one, Taking::copies, 0.6));
  figures.push_back(stream("stream_batches_64B", 64, Giving::batches, Taking::copies, 0.6));
  figures.push_back(stream("stream_in_place_64B", 64, Giving::one_by_one, Taking::in_place, 0.6));
  figures.push_back(stream("stream_64KiB", kLarge, Giving::one_by_one, Taking::copies, 0.8));
  figures.push_back(stream("stream_in_place_64KiB", kLarge, Giving::one_by_one, Taking::in_place, 0.8));
  figures.push_back(
      {.name = "bus/wake_up_64B", .unit = "ns", .prepare = [] { return std::make_unique<WakeUp>(); }});
}

}  // namespace busway::bench
