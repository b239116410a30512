// Encoding record batches, checksums, and reading segments back: one core each.
#include <stdexcept>
#include <string>
#include <vector>

#include <unistd.h>

#include "bench/micro/figures.hpp"
#include "bench/micro/limits.hpp"
#include "bench/micro/statistics.hpp"
#include "bus/base/crc32c.hpp"
#include "bus/log/batch_encoder.hpp"
#include "bus/log/segment_reader.hpp"
#include "bus/memory/lane_layout.hpp"

namespace busway::bench {
namespace {

constexpr std::int64_t kTimestampMs = 1'700'000'000'000;

/// Nanoseconds of one call of `once`, the median of bursts.
template <class Do>
double each_ns(std::size_t bursts, std::size_t per_burst, Do&& once) {
  std::vector<double> spans_ns;
  for (std::size_t burst = 0; burst < bursts; ++burst) {
    const std::int64_t start = now_ns();
    for (std::size_t i = 0; i < per_burst; ++i) once();
    spans_ns.push_back(static_cast<double>(now_ns() - start) / static_cast<double>(per_burst));
  }
  return median(spans_ns);
}

/// Values as they lie in a lane: whole units, a header before each.
class Frames {
 public:
  Frames(std::size_t value_bytes, std::size_t lane_bytes)
      : stride_((sizeof(memory::FrameHeader) + value_bytes + limits::kUnitBytes - 1) / limits::kUnitBytes *
                limits::kUnitBytes),
        count_(lane_bytes / stride_),
        memory_(stride_ * count_) {}
  /// The next one, round and round.
  const std::byte* next() noexcept {
    if (++at_ == count_) at_ = 0;
    return memory_.data() + at_ * stride_ + sizeof(memory::FrameHeader);
  }

 private:
  std::size_t stride_;
  std::size_t count_;
  std::size_t at_ = 0;
  TouchedMemory memory_;
};

/// Batches of 16 records, checksum and all, out of a lane into a chunk of staging, against copying the same
/// values out of the same lane into the same chunk one behind the other.
class Encode final : public Comparison {
 public:
  explicit Encode(std::size_t value_bytes) : bytes_(value_bytes), frames_(value_bytes, limits::kMiB) {}
  double ours() override {
    return each_ns(scaled(400), 20, [this] { encode(room(batch_bytes_most())); }) / kRecords;
  }
  double raw() override {
    return each_ns(scaled(400), 20, [this] { copy(room(kRecords * bytes_)); }) / kRecords;
  }

 private:
  static constexpr std::size_t kRecords = 16;

  std::size_t batch_bytes_most() const {
    return log::kBatchHeaderBytes + kRecords * log::BatchEncoder::record_bytes_most(0, 0, bytes_);
  }
  /// The next place in the chunk, round and round.
  std::span<std::byte> room(std::size_t bytes) noexcept {
    if (chunk_.size() - used_ < bytes) used_ = 0;
    return chunk_.span().subspan(used_, bytes);
  }
  void encode(std::span<std::byte> to) noexcept {
    log::BatchEncoder encoder;
    encoder.begin(to, 0, Epoch{0});
    for (std::size_t i = 0; i < kRecords; ++i) {
      const auto result =
          encoder.append({.timestamp_ms = kTimestampMs,
                          .key = log::Bytes(),
                          .value = log::Bytes(frames_.next(), static_cast<std::int32_t>(bytes_)),
                          .headers = {}});
      keep(result);
    }
    used_ += static_cast<std::size_t>(encoder.finish().bytes);
  }
  void copy(std::span<std::byte> to) noexcept {
    for (std::size_t i = 0; i < kRecords; ++i) std::memcpy(to.data() + i * bytes_, frames_.next(), bytes_);
    keep(*to.data());
    used_ += to.size();
  }

  std::size_t bytes_;
  Frames frames_;
  TouchedMemory chunk_{limits::kMiB};
  std::size_t used_ = 0;
};

/// One implementation of CRC-32C against a copy of the same bytes.
class Checksum final : public Comparison {
 public:
  Checksum(crc32c_detail::Function function, std::size_t bytes)
      : function_(function), from_(bytes), to_(bytes) {}
  double ours() override {
    return gigabytes(each_ns(scaled(200), 20, [this] { keep(function_(from_.data(), from_.size(), 0)); }));
  }
  double raw() override {
    return gigabytes(each_ns(scaled(200), 20, [this] {
      std::memcpy(to_.data(), from_.data(), from_.size());
      keep(*to_.data());
    }));
  }

 private:
  double gigabytes(double span_ns) const { return static_cast<double>(from_.size()) / span_ns; }
  crc32c_detail::Function function_;
  TouchedMemory from_;
  TouchedMemory to_;
};

/// Reading every record of a segment that lies in the page cache, each batch's checksum looked at, against
/// reading its bytes and no more.
class CatchUp final : public Comparison {
 public:
  explicit CatchUp(std::size_t value_bytes) {
    const TouchedMemory value(value_bytes);
    TouchedMemory batch(limits::kBatchBytesTarget);
    while (file_.size() < kSegmentBytes) {
      log::BatchEncoder encoder;
      encoder.begin(batch.span(), records_, Epoch{0});
      const log::RecordParts record{.timestamp_ms = kTimestampMs,
                                    .key = log::Bytes(),
                                    .value = log::Bytes(value.data(), static_cast<std::int32_t>(value_bytes)),
                                    .headers = {}};
      while (encoder.append(record) == log::AppendResult::appended) continue;
      const log::BatchSummary summary = encoder.finish();
      records_ = summary.next_offset();
      file_.append(batch.span().first(static_cast<std::size_t>(summary.bytes)));
    }
  }
  double ours() override {
    log::SegmentReader reader({.log = file_.fd(), .base_offset = 0});
    std::uint64_t sum = 0;
    log::RecordView record;
    const std::int64_t start = now_ns();
    std::int64_t count = 0;
    for (; reader.next(records_, record) == log::ReadStatus::ok; ++count) {
      sum += static_cast<std::uint64_t>(record.offset) + static_cast<std::uint64_t>(record.value.size);
    }
    const std::int64_t span_ns = now_ns() - start;
    keep(sum);
    if (count != records_)
      throw std::runtime_error("catch-up read another number of records than were written");
    return static_cast<double>(file_.size()) / static_cast<double>(span_ns);
  }
  double raw() override {
    const std::int64_t start = now_ns();
    std::uint64_t at = 0;
    while (at < file_.size()) {
      const ssize_t got = ::pread(file_.fd(), buffer_.data(), buffer_.size(), static_cast<off_t>(at));
      if (got <= 0) throw std::runtime_error("cannot read the segment");
      at += static_cast<std::uint64_t>(got);
    }
    return static_cast<double>(file_.size()) / static_cast<double>(now_ns() - start);
  }

 private:
  static constexpr std::uint64_t kSegmentBytes = 32 * limits::kMiB;
  ScratchDirectory directory_;
  RawFile file_{directory_.path()};
  TouchedMemory buffer_{log::SegmentReader::kBufferBytes};
  std::int64_t records_ = 0;
};

}  // namespace

void add_log_figures(Figures& figures) {
  figures.push_back({.name = "log/encode_64B",
                     .unit = "ns",
                     .bound = Bound::at_most,
                     .target = 6,
                     .prepare = [] { return std::make_unique<Encode>(64); },
                     .cores = 1});
  figures.push_back({.name = "log/encode_1KiB",
                     .unit = "ns",
                     .bound = Bound::at_most,
                     .target = 2.2,
                     .prepare = [] { return std::make_unique<Encode>(1024); },
                     .cores = 1});
  for (const auto& implementation : crc32c_detail::implementations()) {
    if (!implementation.usable()) continue;
    for (const std::size_t bytes : {std::size_t{1024}, 64 * limits::kKiB}) {
      figures.push_back({.name = std::string("log/crc32c_") + implementation.name + "_" +
                                 std::to_string(bytes / limits::kKiB) + "KiB",
                         .unit = "GB/s",
                         .prepare = [function = implementation.function,
                                     bytes] { return std::make_unique<Checksum>(function, bytes); },
                         .pairs = 7,
                         .cores = 1});
    }
  }
  for (const std::size_t bytes : {std::size_t{64}, std::size_t{1024}}) {
    figures.push_back({.name = "log/catch_up_" + std::string(bytes == 64 ? "64B" : "1KiB"),
                       .unit = "GB/s",
                       .bound = Bound::at_least,
                       .target = 0.35,
                       .prepare = [bytes] { return std::make_unique<CatchUp>(bytes); },
                       .cores = 1});
  }
}

}  // namespace busway::bench
