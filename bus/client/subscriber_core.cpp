// Attaching, reading and waiting of a subscriber.
#include "bus/client/subscriber_core.hpp"

#include <algorithm>
#include <utility>

#include "bus/client/subscriber_watcher.hpp"
#include "bus/wait/futex.hpp"
#include "bus/wait/spin.hpp"

namespace busway::client {
namespace {

/// A reader that took so many records at once, and all there were, reads a stream.
constexpr std::size_t kStream = 16;
/// How far behind its publisher it stays, if it may wait so long.
constexpr auto kDistance = std::chrono::microseconds{4};
/// What a request to the daemon may take even when the caller does not want to wait: it answers in
/// microseconds, and a lane or ring that is missing must not be taken for "nothing yet".
constexpr auto kRequestLeast = std::chrono::milliseconds{200};
constexpr auto kNapFirst = std::chrono::milliseconds{1};
constexpr auto kNapMost = std::chrono::milliseconds{250};
/// Polls between two looks for lanes that are no more.
constexpr std::uint32_t kPurgeEvery = 4096;
/// Of a whole attempt to attach anew, by somebody who would rather wait for records.
constexpr auto kMoveFor = std::chrono::milliseconds{1000};

read::ReaderOptions reader_options(const SubscriberOptions& options) noexcept {
  read::ReaderOptions result;
  result.durable_only = options.durable_only;
  result.policy = options.on_loss == OnLoss::to_latest ? read::Policy::to_latest
                  : options.on_loss == OnLoss::error   ? read::Policy::error
                                                       : read::Policy::to_earliest;
  return result;
}

void add(read::ReaderCounters& sum, const read::ReaderCounters& more) noexcept {
  sum.delivered += more.delivered;
  sum.lost += more.lost;
  sum.corrupt += more.corrupt;
  sum.skipped += more.skipped;
  sum.from_log += more.from_log;
}

bool means_no_daemon(errc code) noexcept {
  return code == errc::no_daemon || code == errc::deadline_exceeded || code == errc::stopped;
}

}  // namespace

SubscriberCore::SubscriberCore(std::shared_ptr<BusCore> core, std::string topic,
                               const SubscriberOptions& options)
    : core_(std::move(core)), topic_(std::move(topic)), options_(options), batch_(options.max_poll_records) {
  const Deadline deadline = core_->usual_deadline();
  make_attached(deadline, [&] {
    station_ = make_station(deadline);
    for (const auto& seat : station_->seats) seat->reader.seek(resolve(*seat, options_.from, deadline));
  });
}

SubscriberCore::~SubscriberCore() { disarm(); }

void SubscriberCore::choose_partitions(const TopicLink& link) {
  numbers_ = options_.partitions;
  std::sort(numbers_.begin(), numbers_.end());
  numbers_.erase(std::unique(numbers_.begin(), numbers_.end()), numbers_.end());
  if (numbers_.empty())
    for (std::uint32_t number = 0; number < link.partitions(); ++number)
      numbers_.push_back(static_cast<std::int32_t>(number));
  for (const std::int32_t number : numbers_) {
    if (number >= 0 && static_cast<std::uint32_t>(number) < link.partitions()) continue;
    throw Error(errc::invalid_partition, "topic " + topic_ + " has no partition " + std::to_string(number) +
                                             ": it has partitions 0 to " +
                                             std::to_string(link.partitions() - 1));
  }
  spots_.clear();
  for (const std::int32_t number : numbers_)
    spots_.push_back({.partition = static_cast<std::uint32_t>(number),
                      .line = options_.durable_only ? wait::Line::durable : wait::Line::records});
}

std::unique_ptr<SubscriberCore::Station> SubscriberCore::make_station(const Deadline& deadline) {
  auto station = std::make_unique<Station>();
  station->use = core_->attach(topic_, control::Role::subscriber, deadline);
  station->link = station->use->shared_link();
  station->source = std::make_unique<LinkSource>(station->link);
  station->source->set_deadline(deadline);
  if (options_.durable_only && !station->link->logged())
    throw Error(errc::unsupported,
                "topic " + topic_ + " has storage=memory: nothing of it ever becomes durable");
  choose_partitions(*station->link);
  station->link->fetch_all_rings(control::Role::subscriber, deadline);
  station->link->fetch_lanes(deadline);
  for (const std::int32_t number : numbers_) add_seat(*station, static_cast<std::uint32_t>(number));
  return station;
}

void SubscriberCore::add_seat(Station& station, std::uint32_t partition) {
  station.seats.push_back(std::make_unique<Seat>(station.link->partition(partition), reader_options(options_),
                                                 *station.source, station.lanes));
  Seat& seat = *station.seats.back();
  const ring::Partition& view = seat.reader.partition();
  const std::optional<std::uint32_t> cell = station.use->attachment().lease_cell;
  if (!cell || *cell >= view.wait.cells) return;
  seat.lease.emplace(view.wait.leases[*cell]);
  if (view.reclaim != ring::Reclaim::block) return;
  seat.cursor = &view.wait.cursors[*cell];
  seat.cursor_at = seat.reader.register_cursor(*seat.cursor);
}

/// The service was restarted: attaches anew and goes on where it stood. False: not now.
bool SubscriberCore::move_station() {
  std::unique_ptr<Station> station;
  try {
    station = make_station(Deadline::after(kMoveFor));
  } catch (const Error& error) {
    if (means_no_daemon(error.error())) return false;
    if (error.error() == errc::unknown_topic)
      throw Error(errc::topic_deleted, "topic " + topic_ + " was deleted");
    throw;
  }
  if (station->link->uuid() != station_->link->uuid())
    throw Error(errc::topic_deleted, "topic " + topic_ + " was deleted and created anew: subscribe anew");
  for (std::size_t i = 0; i < station->seats.size(); ++i) {
    station->seats[i]->reader.seek(station_->seats[i]->reader.offset());
    add(counted_before_, station_->seats[i]->reader.counters());
  }
  station_ = std::move(station);
  return true;
}

// ---- where to start

std::uint64_t SubscriberCore::resolve(Seat& seat, StartAt where, const Deadline& deadline) {
  station_->source->set_deadline(deadline);
  switch (where.kind()) {
    case StartAt::Kind::earliest:
      return seat.reader.earliest();
    case StartAt::Kind::latest:
      return seat.cursor != nullptr ? std::max(seat.cursor_at, seat.reader.log_end()) : seat.reader.log_end();
    case StartAt::Kind::offset:
      if (where.value() < 0)
        throw Error(
            errc::offset_out_of_range,
            "a subscriber of topic " + topic_ + " cannot start at offset " + std::to_string(where.value()));
      return static_cast<std::uint64_t>(where.value());
    case StartAt::Kind::time:
      break;
  }
  return first_at_time(seat, where.value(), deadline);
}

/// The log answers for what is written; what is younger is looked through here.
std::uint64_t SubscriberCore::first_at_time(Seat& seat, std::int64_t unix_ms, const Deadline& deadline) {
  const ring::Partition& partition = seat.reader.partition();
  std::uint64_t from = seat.reader.earliest();
  if (station_->link->logged()) {
    // Before the question: what is written afterwards is looked through, too. acquire: as for every reader.
    from = partition.marks.written->load(std::memory_order_acquire);
    const auto found = station_->link->offset_for_time(partition.number, unix_ms, deadline);
    if (found) return static_cast<std::uint64_t>(*found);
  }
  read::ReaderOptions options = reader_options(options_);
  options.policy = read::Policy::to_earliest;
  read::PartitionReader scout(partition, options, *station_->source, station_->lanes);
  read::RecordBatch batch(options_.max_poll_records);
  scout.seek(from);
  const std::uint64_t end = scout.log_end();
  while (scout.offset() < end && !deadline.passed()) {
    batch.clear();
    const read::Progress progress = scout.read(batch);
    for (const Record& record : batch.records())
      if (record.timestamp_ms() >= unix_ms) return static_cast<std::uint64_t>(record.offset());
    if (progress != read::Progress::records && progress != read::Progress::later) break;
  }
  return scout.offset();
}

void SubscriberCore::seek(std::int32_t partition, StartAt where) {
  fork_mark_.check();
  const Deadline deadline = core_->usual_deadline();
  make_attached(deadline, [&] {
    if (station_->link->stale()) static_cast<void>(move_station());
    Seat& seat = seat_of(partition);
    seat.reader.seek(resolve(seat, where, deadline));
  });
}

SubscriberCore::Seat& SubscriberCore::seat_of(std::int32_t partition) const {
  const auto found = std::lower_bound(numbers_.begin(), numbers_.end(), partition);
  if (found == numbers_.end() || *found != partition)
    throw Error(errc::invalid_partition, "this subscriber of topic " + topic_ + " does not read partition " +
                                             std::to_string(partition));
  return *station_->seats[static_cast<std::size_t>(found - numbers_.begin())];
}

Offset SubscriberCore::position(std::int32_t partition) const {
  return static_cast<Offset>(seat_of(partition).reader.offset());
}

Offset SubscriberCore::end_offset(std::int32_t partition) const {
  station_->source->set_deadline(core_->usual_deadline());
  return static_cast<Offset>(seat_of(partition).reader.log_end());
}

SubscriberCounters SubscriberCore::counters() const noexcept {
  read::ReaderCounters sum = counted_before_;
  for (const auto& seat : station_->seats) add(sum, seat->reader.counters());
  return {.delivered = sum.delivered,
          .lost = sum.lost,
          .corrupt = sum.corrupt,
          .skipped = sum.skipped,
          .from_log = sum.from_log};
}

// ---- reading

void SubscriberCore::Round::note(read::Progress progress) noexcept {
  stalled = stalled || progress == read::Progress::stalled;
  stopped = stopped || progress == read::Progress::stopped;
  later = later || progress == read::Progress::later;
}

/// Ends the poll with an exception where reading cannot go on.
void SubscriberCore::judge(const Seat& seat, read::Progress progress) {
  if (progress == read::Progress::deleted || progress == read::Progress::lost ||
      progress == read::Progress::corrupt) [[unlikely]]
    condemn(seat, progress);
}

[[gnu::cold, gnu::noinline]] void SubscriberCore::condemn(const Seat& seat, read::Progress progress) {
  if (progress == read::Progress::deleted)
    throw Error(errc::topic_deleted, "topic " + topic_ + " was deleted");
  const std::string record = "record " + std::to_string(seat.reader.offset()) + " of partition " +
                             std::to_string(seat.reader.number()) + " of topic " + topic_;
  if (progress == read::Progress::lost)
    throw Error(errc::offset_out_of_range,
                record +
                    " is gone (retention.ms, retention.bytes), and this subscriber is to stop then: "
                    "seek to go on");
  throw Error(errc::corrupt, record + " cannot be read: the ring or the log does not check out");
}

/// One round over the partitions. True: there are records.
bool SubscriberCore::collect(const LazyDeadline& deadline) {
  batch_.clear();
  next_index_ = 0;
  round_ = {};
  if (station_->link->stale()) [[unlikely]] {
    if (!move_station()) {
      round_.stopped = true;
      return false;
    }
  }
  station_->source->set_deadline(deadline, kRequestLeast);
  if (++polls_ % kPurgeEvery == 0) purge();
  const std::size_t count = station_->seats.size();
  if (++turn_ >= count) turn_ = 0;
  for (std::size_t i = 0; i < count && !batch_.full(); ++i) {
    Seat& seat = *station_->seats[turn_ + i < count ? turn_ + i : turn_ + i - count];
    const read::Progress progress = seat.reader.read(batch_);
    if (progress == read::Progress::records) {
      if (seat.cursor != nullptr) after_reading(seat);
      continue;
    }
    round_.note(progress);
    // What is wrong with one partition waits until the others' records are out.
    if (batch_.empty()) judge(seat, progress);
  }
  streaming_ = batch_.size() > 1;
  caught_up_ = batch_.size() >= kStream && !batch_.full();
  return !batch_.empty();
}

/// A reader on the heels of a publisher that streams takes each line away from it while it is written. Who
/// has read a good many records, and all there were, lets it get kDistance ahead before the next look, if
/// he may wait.
void SubscriberCore::keep_distance(std::chrono::nanoseconds timeout) const noexcept {
  constexpr int kQuarters = kDistance / std::chrono::nanoseconds{250};
  if (!caught_up_ || timeout < kDistance) return;
  for (int i = 0; i < kQuarters; ++i) wait::pause_quarter_us();
}

/// overflow=block: what was copied may be overwritten.
void SubscriberCore::after_reading(Seat& seat) noexcept {
  if (seat.cursor_at >= seat.reader.offset()) return;
  seat.cursor_at = seat.reader.offset();
  seat.cursor->store(seat.cursor_at, std::memory_order_release);  // pairs with reclaimable()
  // Either a publisher that goes to sleep for space sees the cursor, or we see its bit.
  memory::StdAtomics::fence(std::memory_order_seq_cst);
  station_->link->waker().wake(seat.reader.partition().wait.space);
}

/// The records of the batch from `index` on have not been seen by anybody: they are read again.
void SubscriberCore::give_back(std::size_t index) noexcept {
  const std::span<const Record> records = batch_.records();
  for (std::size_t last = records.size(); last > index; --last) {
    const Record& record = records[last - 1];
    const auto found = std::lower_bound(numbers_.begin(), numbers_.end(), record.partition());
    station_->seats[static_cast<std::size_t>(found - numbers_.begin())]->reader.give_back(
        static_cast<std::uint64_t>(record.offset()));
  }
}

bool SubscriberCore::any_ready() const noexcept {
  return std::any_of(station_->seats.begin(), station_->seats.end(),
                     [](const auto& seat) { return seat->reader.ready(); });
}

/// Spins, then sleeps, until `collect(deadline)` gives something or the time is up.
template <class Collect>
bool SubscriberCore::wait_for_records(std::chrono::nanoseconds timeout, Collect&& collect) {
  LazyDeadline deadline(timeout);
  wait::Spinner spinner(std::min<std::chrono::nanoseconds>(options_.spin, timeout),
                        streaming_ ? wait::Pace::stream : wait::Pace::eager);
  while (spinner.turn()) {
    if (any_ready() && collect(deadline)) return true;
    if (streaming_) continue;
    for (const auto& seat : station_->seats) seat->reader.expect();
  }
  wait::Backoff backoff = wait::sleep_backoff();
  wait::Backoff nap(kNapFirst, kNapMost);
  while (!deadline.get().passed()) {
    if (!sleep_turn(deadline.get(), backoff, nap)) look_after_link();
    if (collect(deadline)) return true;
  }
  return false;
}

/// False: it was a quiet turn; a chance to look after other things.
bool SubscriberCore::sleep_turn(const Deadline& deadline, wait::Backoff& backoff, wait::Backoff& nap) {
  TopicLink& link = *station_->link;
  if (round_.later) return true;
  if (round_.stalled || round_.stopped) {
    // Nobody rings for what we wait for now: a daemon that answers.
    wait::futex_wait(link.bell(), link.bell().load(std::memory_order_relaxed),
                     std::min(deadline.left(), nap.next()));
    return false;
  }
  nap.reset();
  return link.sleeper().sleep(
      link.bell(), spots_, [&] { return any_ready() || link.stale(); },
      std::min(deadline.left(), backoff.next()));
}

/// Lets lanes go that are no more.
void SubscriberCore::purge() noexcept {
  station_->lanes.purge(station_->seats.front()->reader.partition().marks);
  station_->link->purge_lanes();
}

void SubscriberCore::look_after_link() {
  TopicLink& link = *station_->link;
  core_->tend();
  purge();
  // acquire: pairs with the daemon's release store. A ring's fence says it, too; this is for partitions that
  // have no ring.
  const auto state = static_cast<memory::TopicState>(link.marks().state.load(std::memory_order_acquire));
  if (state == memory::TopicState::deleted && !any_ready())
    judge(*station_->seats.front(), read::Progress::deleted);
}

std::span<const Record> SubscriberCore::poll(std::chrono::nanoseconds timeout) {
  fork_mark_.check();
  keep_distance(timeout);
  const auto collecting = [this](const LazyDeadline& deadline) { return collect(deadline); };
  if (std::exchange(batch_is_for_next_, false)) give_back(next_index_);
  bool found = collect({});
  while (!found && round_.later) found = collect({});
  if (!found && timeout > std::chrono::nanoseconds::zero()) found = wait_for_records(timeout, collecting);
  if (watcher_ != nullptr) rearm();
  return batch_.records();
}

Result<std::span<const Record>> SubscriberCore::try_poll() noexcept {
  try {
    return poll({});
  } catch (const Error& error) {
    return error.error();
  } catch (const std::exception&) {
    return errc::io;
  }
}

// ---- in place

bool SubscriberCore::show_round(const LazyDeadline& deadline, const std::function<void(const Record&)>& each,
                                Subscriber::InPlace& result) {
  round_ = {};
  if (station_->link->stale() && !move_station()) {
    round_.stopped = true;
    return false;
  }
  station_->source->set_deadline(deadline, kRequestLeast);
  const std::size_t count = station_->seats.size();
  if (++turn_ >= count) turn_ = 0;
  for (std::size_t i = 0; i < count; ++i) {
    Seat& seat = *station_->seats[turn_ + i < count ? turn_ + i : turn_ + i - count];
    struct Looking {
      SubscriberCore& core;
      ~Looking() { core.lease_ = nullptr; }
    } const looking{*this};
    ring::Lease<memory::StdAtomics>* lease = seat.lease ? &*seat.lease : nullptr;
    lease_ = lease;
    const auto shown = seat.reader.show(lease, options_.max_poll_records, batch_, each);
    if (shown.records > 0) {
      if (lease != nullptr) station_->link->waker().wake(seat.reader.partition().wait.space);
      if (seat.cursor != nullptr) after_reading(seat);
      streaming_ = shown.records > 1;
      caught_up_ = shown.records >= kStream && shown.records < options_.max_poll_records;
      result = {.records = shown.records, .valid = shown.valid};
      return true;
    }
    round_.note(shown.progress);
    judge(seat, shown.progress);
  }
  return false;
}

Subscriber::InPlace SubscriberCore::poll_in_place(std::chrono::nanoseconds timeout,
                                                  const std::function<void(const Record&)>& each) {
  fork_mark_.check();
  Subscriber::InPlace result;
  keep_distance(timeout);
  if (std::exchange(batch_is_for_next_, false)) give_back(next_index_);
  batch_.clear();
  const auto show = [&](const LazyDeadline& deadline) { return show_round(deadline, each, result); };
  bool found = show({});
  if (!found && timeout > std::chrono::nanoseconds::zero()) found = wait_for_records(timeout, show);
  batch_.clear();
  if (watcher_ != nullptr) rearm();
  return result;
}

}  // namespace busway::client
