// One partition as one stream of records: ring -> log -> ring, without a gap and without a duplicate.
//
// It follows rings from generation to generation (fences), falls back to the log when it is overtaken and
// comes back, resolves lanes, and counts exactly what it could not deliver. The answer "nothing yet" is given
// only where a publisher or the daemon will ring the records line when that changes; whatever stands in the
// way on this side (a lane that is not mapped yet, a ring that was not sent) is fetched, never waited for in
// silence.
// One thread at a time; ready() of a Watch may be called by another (see there).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "bus/read/lane_cache.hpp"
#include "bus/read/log_cursor.hpp"
#include "bus/read/record_batch.hpp"
#include "bus/read/source.hpp"
#include "bus/ring/fence.hpp"
#include "bus/ring/read.hpp"

namespace busway::read {

enum class [[nodiscard]] Progress : std::uint8_t{
    records,      ///< at least one was added
    nothing_yet,  ///< sleep on the records line (durable_only: on the durable line), then again
    later,        ///< other records are in the batch; hand them out first
    stalled,      ///< the daemon is needed and does not answer: again in a moment
    stopped,      ///< the ring ends with the daemon's stop: attach anew once there is a daemon
    deleted,      ///< the topic is gone
    lost,         ///< Policy::error, and the next record is gone: seek() to go on
    corrupt,      ///< the ring holds what no publisher writes, or a segment cannot be read
};

/// What to do when the next record is gone.
enum class Policy : std::uint8_t { to_earliest, to_latest, error };

struct ReaderOptions {
  Policy policy = Policy::to_earliest;
  bool durable_only = false;
};

struct ReaderCounters {
  std::uint64_t delivered = 0;
  std::uint64_t lost = 0;
  std::uint64_t corrupt = 0;
  std::uint64_t skipped = 0;
  std::uint64_t from_log = 0;
};

/// What a sleeper looks at between announcing itself and sleeping: a copy that stays right while the reader
/// stands where it stood.
struct Watch {
  ring::Partition partition;
  HeldRing ring;  ///< keep == nullptr: there was none
  std::uint64_t offset = 0;
  std::uint32_t generation = 0;  ///< of the newest ring that marks named
  bool fence_known = false;
  bool durable_only = false;

  /// Is there reason to poll? Any thread.
  bool ready() const noexcept;
};

class PartitionReader {
 public:
  PartitionReader(const ring::Partition& partition, const ReaderOptions& options, Source& source,
                  LaneCache& lanes);

  /// Copies records into the batch, which is not full. What stands in the way is dealt with only while the
  /// batch is empty, so no record already taken can be lost by an exception. Throws what the source throws
  /// for good.
  Progress read(RecordBatch& into);

  /// Shows up to `most` records where they lie, under `lease`, which is not held before or after. Without a
  /// lease, and from the log, records are shown from private memory (`valid` stays true). `into` is scratch
  /// space.
  struct Shown {
    Progress progress = Progress::nothing_yet;
    std::size_t records = 0;
    bool valid = true;
  };
  Shown show(ring::Lease<memory::StdAtomics>* lease, std::size_t most, RecordBatch& into,
             const std::function<void(const Record&)>& each);

  /// Finds the ring that reading will go on in, if that is possible now: then ready() does not cry wolf.
  void prepare();

  std::uint64_t offset() const noexcept { return offset_; }
  /// Goes on at `offset`.
  void seek(std::uint64_t offset) noexcept;
  /// The record at `offset`, the last that was read and not given back, was not seen by anybody.
  void give_back(std::uint64_t offset) noexcept;
  /// The first record that is still there, one past the last one. Asks the source for rings if need be.
  std::uint64_t earliest();
  std::uint64_t log_end();
  /// Registers in `cursor` (overflow=block) and gives the offset from which on nothing is overwritten.
  std::uint64_t register_cursor(memory::Atomic64& cursor);

  bool ready() const noexcept;
  /// For somebody who waits for one record and spins: brings its lines here together with its slot's.
  void expect() noexcept;
  Watch watch() const;
  const ReaderCounters& counters() const noexcept { return counters_; }
  bool logged() const noexcept { return partition_.reclaim == ring::Reclaim::logged; }
  std::uint32_t number() const noexcept { return partition_.number; }
  const ring::Partition& partition() const noexcept { return partition_; }

 private:
  enum class Choice : std::uint8_t { same, other, none };

  std::uint64_t limit() const noexcept;
  void follow_lane(const ring::Found& found);
  ring::ReadStatus copy_run(RecordBatch& into, ring::Found& found);
  bool read_ring(RecordBatch& into, Progress& progress);
  bool act_on(ring::ReadStatus status, const ring::Found& found, RecordBatch& into, Progress& progress);
  bool at_end(Progress& progress);
  bool at_fence(ring::FenceReason reason, Progress& progress);
  bool enter_other_ring(Progress& progress);
  void know_newest_ring();
  Choice choose_ring();
  HeldRing* best_ring() noexcept;
  bool beyond_fence() const noexcept;
  bool without_ring(Progress& progress);
  bool fetch_lane(const ring::Found& found, Progress& progress);
  bool gone(std::uint64_t first_there, Progress& progress);
  bool read_log(RecordBatch& into, Progress& progress);
  void account_log(std::size_t delivered);
  void leave_log_in_time() noexcept;
  HeldRing* newest_ring();
  template <class Work>
  bool asking(Progress& progress, Work&& work);
  std::uint64_t copy_plain(std::uint64_t end, bool hold_back, RecordBatch::Places& places) const noexcept;
  std::size_t show_run(std::uint64_t end, std::size_t most, const std::function<void(const Record&)>& each);
  std::size_t show_leased(ring::Lease<memory::StdAtomics>& lease, std::size_t most,
                          const std::function<void(const Record&)>& each);

  ring::Partition partition_;
  ReaderOptions options_;
  Source* source_;
  LaneCache* lanes_;
  HeldRing ring_;                   // the one we stand in; keep == nullptr: none
  std::vector<HeldRing> rings_;     // all that are known, ring_ among them
  std::unique_ptr<LogCursor> log_;  // while behind the ring
  std::uint64_t offset_ = 0;
  ReaderCounters counters_;
  std::uint32_t newest_named_ = 0;    // by marks, when we last chose a ring
  bool hold_back_ = false;            // the last run was a stream's: stop short of the end
  ring::RunLane run_lane_;            // of the last record that was read from the ring
  const std::byte* guess_ = nullptr;  // where the record at expected_ will probably lie
  std::uint64_t expected_ = ~std::uint64_t{0};
  unsigned lane_attempts_ = 0;
  bool in_log_ = false;
  bool overtaken_ = false;    // the ring said so just now: `written` must be beyond
  bool fence_known_ = false;  // we stand at our ring's fence
};

}  // namespace busway::read
