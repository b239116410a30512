// The public API on logged topics: durable publishes one at a time and many at once, and catching up from the
// log.
#include <stdexcept>
#include <string>
#include <vector>

#include <unistd.h>

#include "bench/micro/bus_room.hpp"
#include "bench/micro/figures.hpp"
#include "bench/micro/limits.hpp"
#include "bench/micro/statistics.hpp"
#include "bus/log/batch_encoder.hpp"

namespace busway::bench {
namespace {

using namespace std::chrono_literals;

enum class Waiting { spinning, asleep };

/// One durable publish after the other against a write of as many bytes and an fdatasync, on a file beside
/// it. Asleep: both sides sleep before each, which may cost a futex round trip on top.
class Durable final : public Comparison {
 public:
  explicit Durable(Waiting waiting)
      : waiting_(waiting),
        room_(waiting == Waiting::spinning ? Settings{{"drain.spin.us", "10000"}}
                                           : Settings{{"drain.spin.us", "0"}}) {
    const auto spin = waiting == Waiting::spinning ? kSpinForEver : 0us;
    to_ = std::make_unique<Publisher>(room_.connect().publisher(room_.logged_topic(), {.spin = spin}));
  }

  double ours() override {
    std::vector<double> spans_ns;
    const NewRecord record{.value = value_};
    for (std::size_t i = 0; i < rounds(); ++i) {
      if (waiting_ == Waiting::asleep) ::usleep(200);  // long enough for the drain to have gone to sleep
      const std::int64_t start = now_ns();
      to_->publish(record, durable);
      spans_ns.push_back(static_cast<double>(now_ns() - start));
    }
    return median(spans_ns) / 1e3;
  }
  double raw() override {
    const double written =
        write_and_sync_ns(file_, log::BatchEncoder::batch_bytes_most(0, 0, value_.size()), rounds());
    return (waiting_ == Waiting::asleep ? written + futex_round_trip_ns(rounds()) : written) / 1e3;
  }

 private:
  static std::size_t rounds() { return scaled(200); }

  Waiting waiting_;
  BusRoom room_;
  std::unique_ptr<Publisher> to_;
  RawFile file_{room_.directory()};
  std::string value_ = std::string(64, 'x');
};

/// Many durable publishes under way at once, synced back to back, against one write and fdatasync after the
/// other.
class GroupCommit final : public Comparison {
 public:
  GroupCommit() { to_ = std::make_unique<Publisher>(room_.connect().publisher(room_.logged_topic())); }

  double ours() override {
    const std::size_t count = scaled(4000);
    const NewRecord record{.value = value_};
    std::vector<Receipt> under_way;
    const std::int64_t start = now_ns();
    for (std::size_t i = 0; i < count; ++i) {
      if (under_way.size() == kUnderWay) {
        under_way.front().wait_durable();
        under_way.clear();
      }
      under_way.push_back(to_->publish_async(record));
    }
    to_->flush();
    return static_cast<double>(count) * 1e6 / static_cast<double>(now_ns() - start);
  }
  double raw() override {
    return 1e6 /
           write_and_sync_ns(file_, log::BatchEncoder::batch_bytes_most(0, 0, value_.size()), scaled(200));
  }

 private:
  static constexpr std::size_t kUnderWay = 64;

  BusRoom room_;
  std::unique_ptr<Publisher> to_;
  RawFile file_{room_.directory()};
  std::string value_ = std::string(1024, 'x');
};

/// A subscriber that starts at the earliest record of a topic whose ring holds none of it any more, against
/// reading the segment file. GB/s of the file.
class CatchUp final : public Comparison {
 public:
  explicit CatchUp(std::size_t value_bytes) : topic_(room_.logged_topic()) {
    const std::string value(value_bytes, 'x');
    Publisher to = bus_.publisher(topic_);
    const std::vector<NewRecord> batch(256, NewRecord{.value = value, .timestamp_ms = 1'700'000'000'000});
    for (; count_ * value_bytes < kBytes; count_ += batch.size()) to.publish_batch(batch);
    to.flush();
    bytes_ = bus_.describe_topic(topic_).partitions.front().log_bytes;
    file_.append(TouchedMemory(bytes_).span());
  }

  double ours() override {
    Subscriber from = bus_.subscriber(topic_, {.from = earliest});
    std::uint64_t sum = 0;
    const std::int64_t start = now_ns();
    for (std::size_t taken = 0; taken < count_;) {
      const auto records = from.poll(1s);
      for (const Record& record : records) sum += record.value().size();
      taken += records.size();
    }
    const std::int64_t span_ns = now_ns() - start;
    keep(sum);
    return static_cast<double>(bytes_) / static_cast<double>(span_ns);
  }
  double raw() override {
    const std::int64_t start = now_ns();
    for (std::uint64_t at = 0; at < bytes_;) {
      const ssize_t got = ::pread(file_.fd(), buffer_.data(), buffer_.size(), static_cast<off_t>(at));
      if (got <= 0) throw std::runtime_error("cannot read the file");
      at += static_cast<std::uint64_t>(got);
    }
    return static_cast<double>(bytes_) / static_cast<double>(now_ns() - start);
  }

 private:
  static constexpr std::size_t kBytes = 64 * limits::kMiB;

  BusRoom room_;
  Bus bus_ = room_.connect();
  std::string topic_;
  std::size_t count_ = 0;
  std::uint64_t bytes_ = 0;
  RawFile file_{room_.directory()};
  TouchedMemory buffer_{256 * limits::kKiB};
};

}  // namespace

void add_durable_figures(Figures& figures) {
  figures.push_back({.name = "bus/durable_spinning_p50",
                     .unit = "us",
                     .bound = Bound::at_most,
                     .target = 1.1,
                     .prepare = [] { return std::make_unique<Durable>(Waiting::spinning); }});
  figures.push_back(
      {.name = "bus/durable_asleep_p50", .unit = "us", .bound = Bound::at_most, .target = 1, .prepare = [] {
         return std::make_unique<Durable>(Waiting::asleep);
       }});
  figures.push_back(
      {.name = "bus/group_commit_1KiB", .unit = "k/s", .bound = Bound::at_least, .target = 2, .prepare = [] {
         return std::make_unique<GroupCommit>();
       }});
  for (const std::size_t bytes : {std::size_t{64}, std::size_t{1024}}) {
    figures.push_back({.name = std::string("bus/catch_up_") + (bytes == 64 ? "64B" : "1KiB"),
                       .unit = "GB/s",
                       .bound = Bound::at_least,
                       .target = 0.35,
                       .prepare = [bytes] { return std::make_unique<CatchUp>(bytes); },
                       .pairs = 7});
  }
}

}  // namespace busway::bench
