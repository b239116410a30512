#include "bench/micro/drain_room.hpp"

#include <array>
#include <cstring>
#include <stdexcept>

#include "bench/micro/limits.hpp"
#include "bus/base/clock.hpp"
#include "bus/ring/frame.hpp"

namespace busway::bench {
namespace {

constexpr std::uint64_t kPlenty = std::uint64_t{1} << 40;
constexpr std::uint32_t kSessions = 8;

/// No lease is ever in this writer's way.
struct NoClock {
  std::int64_t operator()() const noexcept { return 0; }
};

}  // namespace

DrainRoom::DrainRoom(std::uint64_t slots, std::uint64_t lane_bytes)
    : budget_(kPlenty, kPlenty, 0),
      kept_(keeper_, budget_),
      disk_(daemon::make_disk({})),
      janitor_(daemon::Janitor::Mode::own_thread),
      store_{files_, *disk_, staging_, janitor_},
      bells_(memory::Region::create("bells", memory::bells_bytes(kSessions))) {
  bells_.as<memory::BellsHeader>()->identity.item_count = kSessions;
  topic_ = std::make_unique<daemon::TopicMemory>(
      kept_, Uuid::random(), "t", config_, std::vector<daemon::PartitionStart>{{.granted = kPlenty}}, 0);
  const auto ring = topic_->make_ring(0, slots);
  if (!topic_->open_grown(0, ring)) throw std::runtime_error("the ring did not grow");
  lane_ = topic_->make_lane(lane_bytes / limits::kRecordsPerLane, 0, 0);
  const std::size_t bytes = lane_->kept.region.bytes();
  std::memset(lane_->kept.region.as<std::byte>() + sizeof(memory::LaneHeader), 0,
              bytes - sizeof(memory::LaneHeader));
  book_.resize(ring::LaneWriter<A>::book_size(bytes));
  writer_ =
      std::make_unique<ring::LaneWriter<A>>(raw(lane_->id), lane_->kept.region.as<std::byte>(), bytes, book_);
  ledger_.ring = ring->view;
  ledger_.partition = &topic_->partition(0).view;
  ledger_.enter();
  make_drain();
}

DrainRoom::~DrainRoom() {
  drain_.reset();
  topic_.reset();
}

void DrainRoom::make_drain() {
  const std::string partition = directory_.path() + "/t-0";
  auto log = std::make_unique<daemon::PartitionLog>(
      store_, 0, config_, daemon::recover_partition(files_, partition, {}), partition);
  drain_ = std::make_unique<daemon::PartitionDrain>(
      daemon::DrainSetup{.memory = topic_->share_partition(0),
                         .lanes = topic_->lanes(),
                         .log = std::move(log),
                         .config = config_,
                         .ringer = daemon::BellRinger(bells_.as<memory::BellsHeader>(), &topic_->marks()),
                         .ordinal = 0,
                         .granted_step = 0,
                         .epoch = Epoch{0}},
      *disk_, staging_, events_);
}

void DrainRoom::publish(std::size_t count, std::size_t value_bytes) {
  const TouchedMemory value(value_bytes);
  const std::int64_t now_ms = coarse_unix_ms();
  for (std::size_t i = 0; i < count; ++i) {
    const auto at =
        writer_->reserve(sizeof(memory::FrameHeader) + value_bytes, ring::LeasePatience<NoClock>{});
    if (at.status != ring::ReserveStatus::reserved)
      throw std::runtime_error("the lane is too small for the benchmark");
    ring::put_header<A>(at.data, {.place = at.place,
                                  .partition = 0,
                                  .timestamp_ms = now_ms,
                                  .headers_bytes = 0,
                                  .key_bytes = memory::kNullLength,
                                  .value_bytes = static_cast<std::int32_t>(value_bytes),
                                  .reserved = 0});
    std::memcpy(at.data + sizeof(memory::FrameHeader), value.data(), value_bytes);
    const ring::PublishOutcome outcome = ring::publish(ledger_, at.place);
    if (outcome.status != ring::PublishStatus::committed)
      throw std::runtime_error("the ring is too small for the benchmark");
    writer_->published(at.frame, ledger_, outcome.offset);
  }
}

void DrainRoom::turn() {
  // As Drain's rounds: a look at the completions, and with nothing else to do a short wait for one, in which
  // the kernel's own I/O threads get the core.
  constexpr std::size_t kTurnBytes = limits::kMiB;
  constexpr auto kReapWait = std::chrono::microseconds(200);
  const bool progress = drain_->turn(coarse_unix_ms(), kTurnBytes) == daemon::DrainTurn::progress;
  std::array<daemon::DiskCompletion, 64> done;
  const std::size_t count = disk_->reap(done, progress ? std::chrono::nanoseconds(0) : kReapWait);
  for (std::size_t i = 0; i < count; ++i) drain_->complete(done[i]);
}

void DrainRoom::drain() {
  while (static_cast<std::uint64_t>(drain_->log().written()) < ledger_.seen) turn();
}

void DrainRoom::drain_durably() {
  drain_->want_sync();
  while (static_cast<std::uint64_t>(drain_->log().durable()) < ledger_.seen) {
    drain_->sync_if_due(coarse_unix_ms(), {});
    turn();
  }
}

std::uint64_t DrainRoom::bytes() const noexcept {
  return drain_->counters()->bytes.load(std::memory_order_relaxed);
}

}  // namespace busway::bench
