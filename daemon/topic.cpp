#include "daemon/topic.hpp"

#include <algorithm>
#include <future>
#include <thread>
#include <utility>

#include "bus/base/clock.hpp"
#include "bus/log/names.hpp"
#include "daemon/logging.hpp"
#include "daemon/retention.hpp"

namespace busway::daemon {
namespace {

using memory::StdAtomics;

/// How long whoever attaches may hold everybody else up while a topic cools down: a full disk, or what
/// somebody left in its ring, may never let it.
constexpr auto kCoolDownMost = std::chrono::seconds(2);

std::uint64_t unsigned_offset(Offset offset) noexcept { return static_cast<std::uint64_t>(offset); }

std::string partition_name(const std::string& topic, std::uint32_t partition) {
  return topic + "-" + std::to_string(partition);
}

}  // namespace

Topic::Topic(Services& services, std::uint32_t id, std::string name, const TopicMetadata& metadata,
             TopicConfig config)
    : services_(services), id_(id), name_(std::move(name)), uuid_(metadata.uuid), config_(config) {
  partitions_.resize(metadata.partitions);
  for (std::uint32_t p = 0; p < metadata.partitions; ++p) {
    if (p < metadata.state.size()) partitions_[p].metadata = metadata.state[p];
    partitions_[p].log_end = partitions_[p].metadata.granted;
    partitions_[p].log_start = logged() ? 0 : partitions_[p].log_end;
  }
}

std::string Topic::directory(std::uint32_t partition) const {
  return services_.data.partition_path(name_, partition);
}

void Topic::report(const RecoveredLog& recovered) const {
  for (const RecoveryEvent& event : recovered.events)
    log(event.usual() ? LogLevel::info : LogLevel::warning, event.sentence());
}

RecoveredLog Topic::recover(std::uint32_t partition, const RecoveryOptions& options) const {
  try {
    return recover_partition(services_.store.files, directory(partition), options);
  } catch (const Error& error) {
    if (error.error() != errc::disk_full) throw;
    throw Error(errc::disk_full, "partition " + partition_name(name_, partition) +
                                     " has to be mended, and there is no room for that: make some on the "
                                     "daemon's disk (" +
                                     error.sentence() + ")");
  }
}

Topic::Opened Topic::open_log(std::uint32_t partition, const RecoveryOptions& options) {
  RecoveredLog recovered = recover(partition, options);
  report(recovered);
  Opened opened;
  opened.start = {.log_start = unsigned_offset(recovered.log_start),
                  .log_end = unsigned_offset(recovered.log_end),
                  .granted = 0,
                  .epoch = raw(partitions_[partition].metadata.epoch),
                  .ordinal = partitions_[partition].ordinal};
  opened.log = std::make_unique<PartitionLog>(services_.store, partitions_[partition].ordinal, config_,
                                              std::move(recovered), directory(partition));
  return opened;
}

/// What can be told of the log of a partition that nobody has attached since the daemon started, without
/// opening it. A directory or file that cannot be looked at counts nothing: whoever attaches learns why.
void Topic::count_files(std::uint32_t partition) {
  Partition& state = partitions_[partition];
  if (std::exchange(state.counted, true)) return;
  FileSystem& files = services_.store.files;
  std::vector<std::string> names;
  if (files.list(directory(partition), names) != 0) return;
  for (const std::string& name : names) {
    const auto segment = log::parse_segment_file_name(name);
    if (!segment || segment->kind != log::SegmentFile::log) continue;
    if (state.segments++ == 0) state.log_start = std::max(state.log_start, Offset{segment->base_offset});
    const int fd = files.open(directory(partition) + "/" + name, OpenMode::read);
    if (fd < 0) continue;
    state.log_bytes += static_cast<std::uint64_t>(std::max<std::int64_t>(files.size(fd), 0));
    files.close(fd);
  }
}

Topic::Opened Topic::open_cold(std::uint32_t partition) {
  Partition& state = partitions_[partition];
  state.ordinal = services_.ordinals.take();
  const std::uint64_t granted = unsigned_offset(state.metadata.granted);
  if (!logged()) {
    return {nullptr,
            {.log_start = granted,
             .log_end = granted,
             .granted = 0,
             .epoch = raw(state.metadata.epoch),
             .ordinal = state.ordinal}};
  }
  Opened opened =
      open_log(partition, {.clean = false,
                           .offset_limit = state.metadata.granted,
                           .in_rings_from = std::nullopt,
                           .durable = 0,
                           .keeper_fd = -1,
                           .index_interval_bytes = static_cast<std::int32_t>(config_.index_interval_bytes),
                           .progress = {}});
  if (granted > opened.start.log_end) {
    // It was warm when everything went down: published records may be lost, and their offsets must not be
    // given again.
    log_warning("partition " + partition_name(name_, partition) + ": offsets " +
                std::to_string(opened.start.log_end) + " to " + std::to_string(granted - 1) +
                " may have been given to records that were lost with shared memory; the log goes on at " +
                std::to_string(granted) + " under a new epoch");
    opened.log->jump(state.metadata.granted);
    opened.jumped = true;
    state.metadata.epoch = static_cast<Epoch>(raw(state.metadata.epoch) + 1);
    opened.start.log_end = granted;
    opened.start.epoch = raw(state.metadata.epoch);
  }
  return opened;
}

void Topic::set_grants(std::vector<PartitionStart>& starts, std::uint64_t ahead) {
  std::vector<MetadataChange> changes;
  for (std::uint32_t p = 0; p < partitions(); ++p) {
    starts[p].granted = starts[p].log_end + ahead;
    partitions_[p].metadata = {.granted = static_cast<Offset>(starts[p].granted),
                               .epoch = static_cast<Epoch>(starts[p].epoch)};
    changes.emplace_back(PartitionSet{uuid_, p, partitions_[p].metadata});
  }
  services_.metadata.append(std::move(changes));
}

/// What was granted and persisted may be published from now on.
void Topic::hand_out(const std::vector<PartitionStart>& starts) {
  for (std::uint32_t p = 0; p < partitions(); ++p) {
    // release: pairs with the publishers' look at it.
    memory_->partition(p).marks->granted.store(starts[p].granted, std::memory_order_release);
  }
}

void Topic::warm_up(uid_t uid) {
  std::vector<Opened> opened;
  std::vector<PartitionStart> starts;
  bool jumped = false;
  try {
    for (std::uint32_t p = 0; p < partitions(); ++p) {
      opened.push_back(open_cold(p));
      starts.push_back(opened.back().start);
      starts.back().granted = starts.back().log_end;  // nothing, for now
      jumped = jumped || opened.back().jumped;
    }
    if (jumped) set_grants(starts, 0);  // their new epochs, before anybody can see one
    memory_ = std::make_unique<TopicMemory>(services_.memory, uuid_, name_, config_, starts, uid);
    // Only now: a worker that dies before the keeper has all of the memory leaves a topic that nobody was
    // given anything of, and nothing that looks as if records were lost.
    set_grants(starts, granted_step(services_.config, config_.storage));
    hand_out(starts);
  } catch (...) {
    if (memory_) memory_->drop();
    memory_.reset();
    for (std::size_t p = 0; p < opened.size(); ++p) services_.ordinals.give_back(partitions_[p].ordinal);
    services_.drain.run_and_wait([&] { opened.clear(); });  // the logs' staging belongs to the drain thread
    // Nobody was given anything: without this the next attempt would jump over offsets that were never used.
    if (starts.size() == partitions()) set_grants(starts, 0);
    throw;
  }
  ringer_ = BellRinger(&services_.bells, &memory_->marks());
  for (std::uint32_t p = 0; p < partitions(); ++p) start_drain(p, std::move(opened[p].log));
}

void Topic::start_drain(std::uint32_t partition, std::unique_ptr<PartitionLog> log) {
  Partition& state = partitions_[partition];
  if (!log) return;  // a memory topic
  state.files = log->files();
  services_.drain.run_and_wait([&] {
    auto drain = std::make_shared<PartitionDrain>(
        DrainSetup{.memory = memory_->share_partition(partition),
                   .lanes = memory_->lanes(),
                   .log = std::move(log),
                   .config = config_,
                   .ringer = ringer_,
                   .ordinal = state.ordinal,
                   .granted_step = granted_step(services_.config, config_.storage),
                   .epoch = state.metadata.epoch},
        services_.store.disk, services_.store.staging, services_.events);
    state.counters = drain->counters();
    services_.drain.add(std::move(drain));
  });
}

std::vector<std::shared_ptr<PartitionDrain>> Topic::remove_drains() {
  std::vector<std::shared_ptr<PartitionDrain>> removed(partitions());
  if (!logged()) return removed;
  std::size_t left = removed.size();
  std::promise<void> all;
  services_.drain.post([&] {
    for (std::uint32_t p = 0; p < partitions(); ++p) {
      services_.drain.remove(partitions_[p].ordinal, [&, p](std::shared_ptr<PartitionDrain> drain) {
        removed[p] = std::move(drain);
        if (--left == 0) all.set_value();
      });
    }
  });
  all.get_future().wait();
  return removed;
}

bool Topic::drained() {
  if (!logged()) return true;
  bool quiet = true;
  services_.drain.run_and_wait([&] {
    for (const Partition& state : partitions_) {
      PartitionDrain* drain = services_.drain.find(state.ordinal);
      if (drain == nullptr) continue;
      drain->want_sync();
      quiet = quiet && !drain->busy() && !drain->pending();
    }
  });
  return quiet;
}

void Topic::fence_all(ring::FenceReason reason) {
  for (std::uint32_t p = 0; p < partitions(); ++p) {
    if (!memory_->fence(p, reason)) {
      log_error("partition " + partition_name(name_, p) +
                " cannot be ended: one of its publishers wrote to its ring what none does");
    }
  }
  ring_all();
}

void Topic::ring_all() const {
  StdAtomics::fence(std::memory_order_seq_cst);  // what they are rung for was stored before
  for (std::uint32_t p = 0; p < partitions(); ++p) {
    const ring::Partition& view = memory_->partition(p).view;
    ringer_.ring(view.wait.records);
    ringer_.ring(view.wait.space);
    ringer_.ring(view.wait.durable);
  }
}

bool Topic::cool_down(bool wait) {
  if (!warm() || !uses_.empty()) return !warm();
  if (!cooling_) {
    if (!drained()) return false;
    // Nobody is attached: whoever comes waits until this is done (attach calls cool_down with `wait`).
    cooling_ = true;
    fence_all(ring::FenceReason::stopped);
  }
  const auto deadline = std::chrono::steady_clock::now() + kCoolDownMost;
  while (!drained()) {
    if (!wait || std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  if (!close_logs()) return false;
  release_warmth();
  cooling_ = false;
  return true;
}

bool Topic::close_logs() {
  auto drains = remove_drains();
  bool clean = true;
  std::vector<MetadataChange> changes;
  services_.drain.run_and_wait([&] {
    for (std::uint32_t p = 0; p < partitions(); ++p) {
      Partition& state = partitions_[p];
      std::optional<std::uint64_t> end;
      if (!logged()) {
        end = memory_->fence(p, ring::FenceReason::stopped);
        state.log_start = static_cast<Offset>(end.value_or(0));
      } else if (drains[p] && drains[p]->ended() && !drains[p]->busy() && drains[p]->log().close() == 0) {
        end = drains[p]->next_offset();
        state.log_start = state.files->segments.log_start();
        state.log_bytes = state.files->segments.bytes();
        state.segments = static_cast<std::uint32_t>(state.files->segments.snapshot().size());
        state.counted = true;
      }
      drains[p].reset();
      if (!end) {
        clean = false;
        continue;
      }
      state.log_end = static_cast<Offset>(*end);
      state.metadata.granted = state.log_end;
      changes.emplace_back(PartitionSet{uuid_, p, state.metadata});
    }
  });
  services_.metadata.append(std::move(changes));
  return clean;
}

void Topic::release_warmth() {
  memory_->drop();
  memory_.reset();
  for (Partition& state : partitions_) {
    services_.ordinals.give_back(state.ordinal);
    if (state.kept_segment) services_.keeper.drop(*state.kept_segment);
    state.kept_segment.reset();
    state.files.reset();
  }
}

void Topic::destroy() {
  if (warm()) {
    memory_->marks().state.store(static_cast<std::uint32_t>(memory::TopicState::deleted),
                                 std::memory_order_release);
    fence_all(ring::FenceReason::deleted);
    auto drains = remove_drains();
    services_.drain.run_and_wait([&] { drains.clear(); });
    release_warmth();
  }
  for (std::uint32_t p = 0; logged() && p < partitions(); ++p) {
    const std::string aside = set_aside(services_.store.files, directory(p), uuid_.text(), kDeletedSuffix);
    if (aside.empty()) continue;
    services_.store.janitor.submit([&files = services_.store.files, aside] { remove_tree(files, aside); });
  }
}

void Topic::raise_grant(std::uint32_t partition) {
  Partition& state = partitions_[partition];
  if (!warm()) return;
  PartitionMemory& memory = memory_->partition(partition);
  const std::uint64_t step = granted_step(services_.config, config_.storage);
  const std::uint64_t end = memory.rings.known_end().value_or(0);
  const std::uint64_t granted = std::max(unsigned_offset(state.metadata.granted), end) + step;
  state.metadata.granted = static_cast<Offset>(granted);
  services_.metadata.append({PartitionSet{uuid_, partition, state.metadata}});  // persisted first (H34)
  memory.marks->granted.store(granted, std::memory_order_release);  // pairs with the publishers' look at it
  StdAtomics::fence(std::memory_order_seq_cst);                     // then look who sleeps for room
  ringer_.ring(memory.view.wait.space);
  services_.drain.post([this, ordinal = state.ordinal] {
    if (PartitionDrain* drain = services_.drain.find(ordinal)) drain->grant_raised();
  });
}

void Topic::watch_grants() {
  if (!warm() || logged()) return;
  const std::uint64_t step = granted_step(services_.config, config_.storage);
  for (std::uint32_t p = 0; p < partitions(); ++p) {
    const auto newest = memory_->partition(p).rings.newest();
    if (!newest || !newest->view.entered()) continue;
    const std::uint64_t end = newest->view.tail->load(std::memory_order_relaxed);  // a hint is enough here
    if (end + step / 2 > unsigned_offset(partitions_[p].metadata.granted)) raise_grant(p);
  }
}

void Topic::reconfigure(const TopicConfig& config) {
  config_ = config;
  if (!warm()) return;
  memory::MarksHeader& marks = memory_->marks();
  marks.max_message_bytes.store(static_cast<std::uint64_t>(config.max_message_bytes),
                                std::memory_order_relaxed);
  marks.lease_timeout_ms.store(static_cast<std::uint64_t>(config.lease_timeout_ms),
                               std::memory_order_relaxed);
  services_.drain.run_and_wait([&] {
    for (const Partition& state : partitions_) {
      if (PartitionDrain* drain = logged() ? services_.drain.find(state.ordinal) : nullptr)
        drain->reconfigure(config);
    }
  });
}

void Topic::retire() {
  if (!warm()) return;
  memory_->retire([this](const HeldLane& lane) {
    services_.drain.run_and_wait([&] {
      for (const Partition& state : partitions_) {
        if (PartitionDrain* drain = logged() ? services_.drain.find(state.ordinal) : nullptr) {
          drain->forget_lane(lane.id);
        }
      }
    });
  });
}

void Topic::keep_segment(std::uint32_t partition, Offset base, const std::string& path) {
  Partition& state = partitions_[partition];
  if (!warm()) return;
  const int fd = services_.store.files.open(path, OpenMode::write);
  if (fd < 0) return;  // retention or a rewrite was faster: the next segment is announced too
  const File file(services_.store.files, fd, path);
  const EntryIndex kept = services_.keeper.deposit({.kind = memory::ManifestKind::segment,
                                                    .topic = uuid_,
                                                    .index = partition,
                                                    .aux = static_cast<std::uint64_t>(base),
                                                    .fd = fd});
  if (state.kept_segment) services_.keeper.drop(*state.kept_segment);
  state.kept_segment = kept;
}

void Topic::apply_retention(std::int64_t now_ms) {
  if (!warm() || !logged()) return;
  for (std::uint32_t p = 0; p < partitions(); ++p) {
    // The memory is kept alive by the job: marks may only be unmapped after it.
    services_.store.janitor.submit(
        [files = partitions_[p].files, memory = memory_->share_partition(p), config = config_, now_ms] {
          static_cast<void>(busway::daemon::apply_retention(*files, config, now_ms, [&](Offset log_start) {
            memory->marks->log_start.store(static_cast<std::uint64_t>(log_start), std::memory_order_release);
          }));
        });
  }
}

control::PartitionDescription Topic::describe(std::uint32_t partition) {
  if (!warm() && logged()) count_files(partition);
  const Partition& state = partitions_[partition];
  control::PartitionDescription about{.partition = partition,
                                      .log_start = state.log_start,
                                      .log_end = state.log_end,
                                      .written = state.log_end,
                                      .durable = state.log_end,
                                      .epoch = state.metadata.epoch,
                                      .log_bytes = state.log_bytes,
                                      .segments = state.segments,
                                      .state = "cold"};
  if (!warm()) return about;
  PartitionMemory& memory = memory_->partition(partition);
  const auto ring = memory.current_ring();
  const auto health =
      static_cast<memory::PartitionState>(memory.marks->state.load(std::memory_order_relaxed));
  const auto end = ring ? ring::known_log_end(ring->view) : std::nullopt;
  about.log_end = end ? static_cast<Offset>(*end) : state.log_end;
  about.written = logged() ? static_cast<Offset>(memory.marks->written.load(std::memory_order_relaxed)) : 0;
  about.durable = logged() ? static_cast<Offset>(memory.marks->durable.load(std::memory_order_relaxed)) : 0;
  about.ring_generation = static_cast<Generation>(ring ? ring->view.generation : 0);
  about.ring_slots = ring ? static_cast<std::uint32_t>(ring->view.size()) : 0;
  about.state = health == memory::PartitionState::active      ? "active"
                : health == memory::PartitionState::disk_full ? "disk full"
                                                              : "failed";
  if (state.files) {
    about.log_start = state.files->segments.log_start();
    about.log_bytes = state.files->segments.bytes();
    about.segments = static_cast<std::uint32_t>(state.files->segments.snapshot().size());
  } else if (ring) {
    about.log_start = static_cast<Offset>(ring->view.reclaimed->load(std::memory_order_relaxed));
  }
  return about;
}

}  // namespace busway::daemon
