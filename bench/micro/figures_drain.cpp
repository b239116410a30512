// One partition's drain: ring to segment file, against writing the same bytes to a file beside it.
#include <string>

#include "bench/micro/drain_room.hpp"
#include "bench/micro/figures.hpp"
#include "bench/micro/limits.hpp"

namespace busway::bench {
namespace {

enum class Synced { no, at_end };

/// The ring is filled by the second core before the clock starts, so that the drain finds the frames where it
/// finds them in life: in another core's cache. Values are GB/s of batches as written.
class DrainStream final : public Comparison {
 public:
  DrainStream(std::size_t value_bytes, std::size_t count, Synced synced)
      : value_bytes_(value_bytes), count_(scaled(count)), synced_(synced) {}

  double ours() override {
    other_core().start([this] { room_.publish(count_, value_bytes_); });
    other_core().join();
    const std::uint64_t before = room_.bytes();
    const std::int64_t start = now_ns();
    synced_ == Synced::at_end ? room_.drain_durably() : room_.drain();
    const std::int64_t span_ns = now_ns() - start;
    bytes_ = room_.bytes() - before;
    room_.drain_durably();  // staging is free again
    return static_cast<double>(bytes_) / static_cast<double>(span_ns);
  }

  double raw() override {
    if (bytes_ == 0) bytes_ = count_ * value_bytes_;
    const std::int64_t start = now_ns();
    for (std::uint64_t left = bytes_; left > 0;) {
      const std::size_t part = std::min<std::uint64_t>(left, source_.size());
      file_.append(source_.span().first(part));
      left -= part;
    }
    if (synced_ == Synced::at_end) file_.sync();
    const std::int64_t span_ns = now_ns() - start;
    file_.sync();
    return static_cast<double>(bytes_) / static_cast<double>(span_ns);
  }

 private:
  static constexpr std::size_t kSlots = 65'536;
  static constexpr std::size_t kLaneBytes = 16 * limits::kMiB;

  std::size_t value_bytes_;
  std::size_t count_;
  Synced synced_;
  std::uint64_t bytes_ = 0;
  DrainRoom room_{kSlots, kLaneBytes};
  RawFile file_{room_.directory()};
  TouchedMemory source_{limits::kMiB};
};

Figure stream(const std::string& name, std::size_t value_bytes, std::size_t count, Synced synced) {
  return {.name = "drain/" + name, .unit = "GB/s", .bound = Bound::at_least, .target = 0.6, .prepare = [=] {
            return std::make_unique<DrainStream>(value_bytes, count, synced);
          }};
}

}  // namespace

void add_drain_figures(Figures& figures) {
  figures.push_back(stream("written_64B", 64, 60'000, Synced::no));
  figures.push_back(stream("written_1KiB", 1024, 12'000, Synced::no));
  figures.push_back(stream("durable_64B", 64, 60'000, Synced::at_end));
  figures.push_back(stream("durable_1KiB", 1024, 12'000, Synced::at_end));
}

}  // namespace busway::bench
