// One topic's shared memory, log and drain in a scratch directory, without server or threads: a writer fills
// the ring, the drain is turned by hand.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bench/micro/figure.hpp"
#include "bus/ring/lane_writer.hpp"
#include "bus/ring/publish.hpp"
#include "daemon/partition_drain.hpp"

namespace busway::bench {

class DrainRoom {
 public:
  /// A ring of `slots` and one lane of `lane_bytes`.
  DrainRoom(std::uint64_t slots, std::uint64_t lane_bytes);
  ~DrainRoom();
  DrainRoom(const DrainRoom&) = delete;
  DrainRoom& operator=(const DrainRoom&) = delete;

  /// Publishes `count` records of `value_bytes`; what was published before must be written.
  void publish(std::size_t count, std::size_t value_bytes);
  /// Drains until all that is published is written.
  void drain();
  /// Drains until it is durable, with one sync at the end.
  void drain_durably();

  /// Bytes of batches that were written so far.
  std::uint64_t bytes() const noexcept;
  const std::string& directory() const noexcept { return directory_.path(); }

 private:
  using A = memory::StdAtomics;
  struct Silent final : daemon::DrainEvents {
    void grant_running_out(std::uint32_t) override {}
    void bad_frame(std::uint32_t, std::uint64_t, std::uint32_t) override {}
    void gap(std::uint32_t, std::uint64_t, std::uint64_t) override {}
    void health_changed(std::uint32_t, daemon::LogHealth, int) override {}
    void active_segment(std::uint32_t, Offset, const std::string&) override {}
  };

  void make_drain();
  void turn();

  ScratchDirectory directory_;
  daemon::TopicConfig config_;
  daemon::InProcessKeeper keeper_;
  daemon::MemoryBudget budget_;
  daemon::KeptMemory kept_;
  daemon::RealFileSystem files_;
  std::unique_ptr<daemon::Disk> disk_;
  daemon::StagingArena staging_;
  daemon::Janitor janitor_;
  daemon::StoreContext store_;
  memory::Region bells_;
  Silent events_;
  std::unique_ptr<daemon::TopicMemory> topic_;
  std::unique_ptr<daemon::PartitionDrain> drain_;
  std::shared_ptr<daemon::HeldLane> lane_;
  std::vector<ring::Remembered<A>> book_;
  std::unique_ptr<ring::LaneWriter<A>> writer_;
  ring::Ledger<A> ledger_;
};

}  // namespace busway::bench
