// Who is attached to a topic, and what a topic takes up from an earlier worker.
#include <algorithm>

#include "bus/base/clock.hpp"
#include "daemon/logging.hpp"
#include "daemon/topic.hpp"

namespace busway::daemon {
namespace {

/// The cell or bit of `table` that says `session`, or a free one; nullopt: none is free.
std::optional<std::uint32_t> claim(std::span<memory::Atomic32> table, std::uint32_t session,
                                   std::optional<std::uint32_t> previous) {
  const auto is = [&](std::uint32_t index, std::uint32_t value) {
    return table[index].load(std::memory_order_relaxed) == value;  // single writer: the control thread
  };
  if (previous && *previous < table.size() && is(*previous, session + 1)) return previous;
  for (std::uint32_t index = 0; index < table.size(); ++index) {
    if (!is(index, 0)) continue;
    // release: whoever reads the bell's number through this entry finds a session that exists.
    table[index].store(session + 1, std::memory_order_release);
    return index;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::uint32_t> Topic::give_bit(std::uint32_t session, std::optional<std::uint32_t> previous) {
  memory::MarksHeader& marks = memory_->marks();
  const auto bit = claim(memory::marks_tables(&marks)->sleeper_session, session, previous);
  // Before the sleeper learns its bit. seq_cst: pairs with Waker::asleep(): a waker that has not seen this
  // looked before the sleeper's last look, which then sees what the waker made true.
  if (bit && *bit / 64 >= marks.sleeper_words.load(std::memory_order_relaxed))  // single writer
    marks.sleeper_words.store(*bit / 64 + 1, std::memory_order_seq_cst);
  return bit;
}

std::optional<std::uint32_t> Topic::give_cell(std::uint32_t session, std::optional<std::uint32_t> previous) {
  memory::MarksHeader& marks = memory_->marks();
  const auto cell = claim(memory::marks_tables(&marks)->lease_session, session, previous);
  // Before the holder learns its cell. seq_cst: pairs with WaitView::cells_in_use(): whoever has not seen
  // this looked before the holder's fence, which then sees what that one did.
  if (cell && *cell >= marks.lease_cells.load(std::memory_order_relaxed))  // single writer
    marks.lease_cells.store(*cell + 1, std::memory_order_seq_cst);
  if (cell && cell != previous) clear_cell(*cell);  // whoever had it before may have left anything there
  return cell;
}

void Topic::clear_cell(std::uint32_t cell) {
  for (std::uint32_t p = 0; p < partitions(); ++p) {
    // release: nobody looks at bytes under the lease, or needs records below the cursor, any more.
    memory_->partition(p).wait->leases[cell].store(memory::kLeaseNone, std::memory_order_release);
    memory_->partition(p).wait->cursors[cell].store(memory::kCursorNone, std::memory_order_release);
  }
}

Attached Topic::attach(std::uint32_t session, control::Role role,
                       const std::optional<control::PreviousAttachment>& previous) {
  const bool same_topic = previous && previous->topic == uuid_;
  SessionUse& use = uses_[session];
  if (!use.bit) use.bit = give_bit(session, same_topic ? previous->sleeper_bit : std::nullopt);
  Attached attached{use.bit, std::nullopt};
  if (role == control::Role::publisher) {
    ++use.publishers;
    return attached;
  }
  attached.cell = give_cell(session, same_topic ? previous->lease_cell : std::nullopt);
  if (!attached.cell && config_.overflow == TopicOverflow::block && !logged()) {
    forget_use(session);
    throw Error(errc::limit_reached, "topic " + name_ + " has " +
                                         std::to_string(limits::kSubscribersWithCells) +
                                         " subscribers, the most that overflow=block can have");
  }
  ++use.subscribers;
  return attached;
}

void Topic::detach(std::uint32_t session, control::Role role, const std::optional<std::uint32_t>& cell) {
  const auto found = uses_.find(session);
  if (found == uses_.end()) return;
  std::uint32_t& count =
      role == control::Role::publisher ? found->second.publishers : found->second.subscribers;
  if (count > 0) --count;
  if (cell && *cell < limits::kSubscribersWithCells) {
    clear_cell(*cell);
    memory::marks_tables(&memory_->marks())->lease_session[*cell].store(0, std::memory_order_release);
    ring_all();  // the cell may have held up publishers
  }
  forget_use(session);
}

void Topic::forget_use(std::uint32_t session) {
  const auto found = uses_.find(session);
  if (found == uses_.end() || found->second.publishers + found->second.subscribers > 0) return;
  if (found->second.bit) {
    memory::marks_tables(&memory_->marks())
        ->sleeper_session[*found->second.bit]
        .store(0, std::memory_order_release);
    const std::uint64_t mask = ~(std::uint64_t{1} << (*found->second.bit % 64));
    for (std::uint32_t p = 0; p < partitions(); ++p) {
      memory::PartitionWait& wait = *memory_->partition(p).wait;
      for (memory::SleepLine* line : {&wait.records, &wait.space, &wait.durable}) {
        line->words[*found->second.bit / 64].fetch_and(mask, std::memory_order_relaxed);  // it sleeps no more
      }
    }
  }
  uses_.erase(found);
}

void Topic::end_session(std::uint32_t session) {
  if (!warm()) return;
  for (const auto& lane : memory_->lanes()->all()) {
    if (lane->session == session) memory_->give_up(*lane);
  }
  memory::MarksTables& tables = *memory::marks_tables(&memory_->marks());
  for (std::uint32_t cell = 0; cell < limits::kSubscribersWithCells; ++cell) {
    if (tables.lease_session[cell].load(std::memory_order_relaxed) != session + 1) continue;  // single writer
    clear_cell(cell);
    tables.lease_session[cell].store(0, std::memory_order_release);
  }
  const auto found = uses_.find(session);
  if (found == uses_.end()) return;
  found->second.publishers = found->second.subscribers = 0;
  forget_use(session);
  // It may have died between its commit and its bell, or with a lease that held somebody up.
  ring_all();
  for (const Partition& state : partitions_) {
    if (!logged()) break;
    services_.bells.dirty[state.ordinal / 64].fetch_or(std::uint64_t{1} << (state.ordinal % 64),
                                                       std::memory_order_seq_cst);
  }
  services_.drain.wake();
}

void Topic::take_up_uses() {
  memory::MarksTables& tables = *memory::marks_tables(&memory_->marks());
  for (std::uint32_t bit = 0; bit < limits::kSleepersPerTopic; ++bit) {
    const std::uint32_t session = tables.sleeper_session[bit].load(std::memory_order_relaxed);  // ours
    if (session != 0) uses_[session - 1].bit = bit;
  }
}

Topic::Opened Topic::take_up_log(std::uint32_t partition, int kept_segment_fd) {
  PartitionMemory& memory = memory_->partition(partition);
  Partition& state = partitions_[partition];
  state.ordinal = memory.marks->ordinal.load(std::memory_order_relaxed);  // only the daemon writes marks
  if (!services_.ordinals.reserve(state.ordinal)) {
    throw Error(errc::corrupt, "two partitions have the ordinal " + std::to_string(state.ordinal));
  }
  if (!logged()) return {};
  Opened opened = open_log(
      partition, {.clean = false,
                  .offset_limit = state.metadata.granted,
                  .in_rings_from = static_cast<Offset>(memory.marks->written.load(std::memory_order_relaxed)),
                  .durable = static_cast<Offset>(memory.marks->durable.load(std::memory_order_relaxed)),
                  .keeper_fd = kept_segment_fd,
                  .index_interval_bytes = static_cast<std::int32_t>(config_.index_interval_bytes),
                  .progress = {}});
  const auto rings = memory.rings.all();
  if (!rings.empty() && rings.front()->view.entered() && rings.front()->view.base > opened.start.log_end) {
    // The files lost what no ring holds any more: the log goes on where the rings begin.
    const std::uint64_t base = rings.front()->view.base;
    log_error("partition " + name_ + "-" + std::to_string(partition) + ": offsets " +
              std::to_string(opened.start.log_end) + " to " + std::to_string(base) + " are lost");
    opened.log->jump(static_cast<Offset>(base));
    opened.start.log_end = base;
  }
  return opened;
}

void Topic::take_up(const std::vector<EntryIndex>& entries) {
  std::vector<EntryIndex> regions;
  std::map<std::uint32_t, Fd> segments;
  for (const EntryIndex entry : entries) {
    const memory::ManifestEntry& about = services_.keeper.entry(entry);
    if (about.kind != memory::ManifestKind::segment) {
      regions.push_back(entry);
    } else if (about.index < partitions()) {
      if (partitions_[about.index].kept_segment)
        services_.keeper.drop(*partitions_[about.index].kept_segment);
      partitions_[about.index].kept_segment = entry;
      segments[about.index] = services_.keeper.take(entry);
    }
  }
  memory_ = std::make_unique<TopicMemory>(services_.memory, uuid_, name_, regions);
  ringer_ = BellRinger(&services_.bells, &memory_->marks());
  take_up_uses();
  for (std::uint32_t p = 0; p < partitions(); ++p) {
    const auto kept = segments.find(p);
    Opened opened = take_up_log(p, kept == segments.end() ? -1 : kept->second.get());
    PartitionMemory& memory = memory_->partition(p);
    if (opened.log) ring::raise_written(memory.view.marks, opened.start.log_end);
    // Persisted is what counts: a worker that died in between had not stored it in marks yet.
    memory.marks->granted.store(static_cast<std::uint64_t>(partitions_[p].metadata.granted),
                                std::memory_order_release);
    const auto newest = memory.rings.newest();
    const auto current = memory.rings.find(
        static_cast<Generation>(memory.marks->ring_generation.load(std::memory_order_relaxed)));  // ours
    if (newest && current && newest != current)
      ring::resume_growth(memory.view.marks, current->view, newest->view);
    start_drain(p, std::move(opened.log));
    // The worker before us died before it had granted anything. (watch_grants() sees to memory topics.)
    const auto granted = static_cast<std::uint64_t>(partitions_[p].metadata.granted);
    if (logged() && granted <= opened.start.log_end) raise_grant(p);
  }
  resume_cooling();
  ring_all();
}

/// The worker before us died while it let the topic go: what is fenced cannot be published to any more.
/// Nobody is attached, and whoever comes waits until it has cooled down.
void Topic::resume_cooling() {
  for (std::uint32_t p = 0; p < partitions() && !cooling_; ++p) {
    cooling_ = memory_->ended(p) == ring::FenceReason::stopped;
  }
  if (cooling_) fence_all(ring::FenceReason::stopped);  // those that it did not get to
}

}  // namespace busway::daemon
