// Making, changing and leaving berths: attaching, lanes, the move after a restart of the service; loans.
#include <algorithm>
#include <cstdlib>
#include <utility>

#include "bus/client/header_encoding.hpp"
#include "bus/client/publisher_core.hpp"
#include "bus/ring/frame.hpp"
#include "bus/wait/futex.hpp"

namespace busway::client {
namespace {

constexpr auto kLaneFarewell = std::chrono::milliseconds{500};
constexpr std::uint64_t kLeaseTimeoutMost = 3'600'000;  // ms; whatever the daemon says
constexpr auto kReattachEvery = std::chrono::milliseconds{50};

/// Zeroed pages that cost nothing until they are touched: the book of a large lane is seldom full.
std::unique_ptr<ring::Remembered<Atomics>, void (*)(void*)> make_book(std::size_t entries) {
  static_assert(std::is_aggregate_v<ring::Remembered<Atomics>> &&
                std::is_trivially_destructible_v<ring::Remembered<Atomics>>);
  void* book = std::calloc(entries, sizeof(ring::Remembered<Atomics>));
  if (book == nullptr) throw std::bad_alloc();
  return {static_cast<ring::Remembered<Atomics>*>(book), std::free};
}

}  // namespace

LaneSeat::LaneSeat(OwnLane own)
    : lane(std::move(own)),
      book(make_book(ring::LaneWriter<Atomics>::book_size(lane.info.bytes))),
      writer(raw(lane.info.lane), lane.region.as<std::byte>(), lane.info.bytes,
             {book.get(), ring::LaneWriter<Atomics>::book_size(lane.info.bytes)}) {}

std::unique_ptr<Berth> PublisherCore::make_berth(const Deadline& deadline) {
  auto berth = std::make_unique<Berth>();
  berth->use = core_->attach(topic_, control::Role::publisher, deadline);
  berth->link = &berth->use->link();
  berth->seats.resize(berth->link->partitions());
  for (std::uint32_t number = 0; number < berth->link->partitions(); ++number) {
    berth->seats[number].partition = berth->link->partition(number);
    berth->seats[number].marks = &berth->link->marks(number);
    berth->seats[number].position.partition = static_cast<std::int32_t>(number);
  }
  add_lane(*berth, 0, deadline);
  return berth;
}

void PublisherCore::take_up(std::unique_ptr<Berth> berth) {
  if (berth_ != nullptr) {
    for (std::size_t i = 0; i < std::min(berth->seats.size(), berth_->seats.size()); ++i) {
      berth->seats[i].end = berth_->seats[i].published_end();  // flush() still answers for them
      berth->seats[i].position.epoch = berth_->seats[i].position.epoch;
    }
    left_.push_back(std::move(berth_));
    unsettled_ = true;
  }
  berth_ = std::move(berth);
  here_ = berth_.get();
  seats_ = here_->seats.data();
  lane_ = here_->lanes.back().get();
  marks_ = &here_->link->marks();
  stale_ = &here_->link->stale_flag();
  waker_ = here_->link->waker();
  logged_ = here_->link->logged();
  partitions_ = here_->link->partitions();
  several_partitions_ = partitions_ != 1;
  stick_to(sticky_ % partitions_);
  unwoken_.clear();
  unwoken_.reserve(partitions_);
  learn_settings();
}

void PublisherCore::learn_settings() noexcept {
  // relaxed, both: a setting, altered at any time.
  const std::uint64_t ms = marks_->lease_timeout_ms.load(std::memory_order_relaxed);
  lease_timeout_ns_ = static_cast<std::int64_t>(std::min(ms, kLeaseTimeoutMost)) * 1'000'000;
  const std::uint64_t most = marks_->max_message_bytes.load(std::memory_order_relaxed);
  short_most_ = std::min<std::uint64_t>(most, ring::kShortMost);
}

void PublisherCore::add_lane(Berth& berth, std::uint64_t least_record_bytes, const Deadline& deadline) {
  berth.lanes.push_back(std::make_unique<LaneSeat>(berth.link->new_lane(least_record_bytes, deadline)));
  if (&berth != here_) return;
  lane_ = berth.lanes.back().get();
  unsettled_ = true;
}

void PublisherCore::leave(Berth& berth) noexcept {
  if (fork_mark_.forked() || berth.link->stale()) return;
  try {
    const Deadline deadline = Deadline::after(kLaneFarewell);
    for (const auto& lane : berth.lanes) berth.link->drop_lane(lane->lane.info, deadline);
  } catch (const std::exception&) {
    return;  // the daemon takes the lanes back when the session ends
  }
}

/// Lets go of the seat's rings that no frame names any more, but for one.
void PublisherCore::forget_rings(const Berth& berth, PartitionSeat& seat, const RingSeat* but) noexcept {
  std::erase_if(seat.rings, [&](const auto& ring) {
    return ring.get() != but && std::none_of(berth.lanes.begin(), berth.lanes.end(), [&](const auto& lane) {
             return lane->writer.names(ring->ledger);
           });
  });
}

/// Lets go of what is no longer needed: lanes that were outgrown, rings left behind, old berths.
void PublisherCore::settle() noexcept {
  std::erase_if(left_, [](const auto& berth) { return berth->open_loans == 0; });
  auto& lanes = here_->lanes;
  for (std::size_t i = 0; i + 1 < lanes.size();) {
    lanes[i]->writer.settle(lease_patience());
    if (!lanes[i]->writer.empty()) {
      ++i;
      continue;
    }
    try {
      here_->link->drop_lane(lanes[i]->lane.info, Deadline::after(kLaneFarewell));
    } catch (const std::exception&) {
      break;  // no daemon for now
    }
    lanes.erase(lanes.begin() + static_cast<std::ptrdiff_t>(i));
  }
  bool more = lanes.size() > 1 || !left_.empty();
  for (PartitionSeat& seat : here_->seats) {
    forget_rings(*here_, seat, seat.ring);
    more = more || seat.rings.size() > 1;
  }
  unsettled_ = more;
}

/// The service was restarted, or the daemon does not know our session any more: attaches anew. Frames and
/// loans in hand stay where they are until they are carried over.
errc PublisherCore::move_berth(Patience& patience) {
  wake_unwoken();
  while (true) {
    try {
      std::unique_ptr<Berth> berth = make_berth(ask_deadline(patience));
      if (berth->link->uuid() != here_->link->uuid()) {
        leave(*berth);
        return errc::topic_deleted;
      }
      take_up(std::move(berth));
      return errc::ok;
    } catch (const Error& error) {
      if (error.error() == errc::unknown_topic) return errc::topic_deleted;
      const bool passes = error.error() == errc::no_daemon || error.error() == errc::stopped ||
                          error.error() == errc::deadline_exceeded;
      if (!passes) throw;
      if (!patience.waits) return errc::would_block;
      if (begin_waiting(patience).deadline.passed()) return out_of_time();
    }
    const memory::Atomic32 nobody_rings{0};
    wait::futex_wait(nobody_rings, 0, kReattachEvery);
  }
}

/// Copies a frame that lies in a lane of an old berth into the present one.
errc PublisherCore::carry_over(Frame& frame, Patience& patience) {
  Frame fresh;
  fresh.partition = frame.partition;
  if (const errc code = reserve_slowly(frame.bytes - sizeof(memory::FrameHeader), fresh, patience);
      code != errc::ok)
    return code;
  memory::FrameHeader header{};
  Atomics::copy_from_shared(&header, frame.data, sizeof header);
  header.place = fresh.place;
  Atomics::copy_to_shared(fresh.data, &header, sizeof header);
  Atomics::copy_to_shared(fresh.data + sizeof header, frame.data + sizeof header,
                          frame.bytes - sizeof header);
  frame.lane->writer.abandon(frame.handle);
  fresh.loaned = frame.loaned;
  if (frame.loaned) {
    --frame.berth->open_loans;
    ++fresh.berth->open_loans;
  }
  frame = fresh;
  return errc::ok;
}

// ---- loans

Loan PublisherCore::loan(std::size_t bytes, const LoanOptions& options) {
  enter();
  const std::size_t headers_bytes = encoded_headers_bytes(options.headers);
  const std::size_t payload = headers_bytes + options.key.size() + bytes;
  const std::int64_t wanted = options.partition.value_or(-1);
  if (bytes > limits::kLaneBytesMost || payload > marks_->max_message_bytes.load(std::memory_order_relaxed))
    fail(errc::record_too_large, payload, wanted);
  Patience patience(true);
  OpenLoan loan;
  errc code = choose_partition(options.key, options.partition, loan.frame.partition);
  if (code == errc::ok) code = reserve_slowly(payload, loan.frame, patience);
  if (code != errc::ok) fail(code, payload, wanted);
  write_frame({.data = loan.frame.data, .place = loan.frame.place, .partition = loan.frame.partition},
              {.key = options.key,
               .value = BytesView(nullptr, bytes),  // a length; the bytes are the caller's to fill in
               .headers = options.headers,
               .headers_bytes = headers_bytes,
               .timestamp_ms = options.timestamp_ms.value_or(0)});
  loan.timestamp_ms = options.timestamp_ms;
  loan.value_bytes = bytes;
  loan.open = true;
  loan.frame.loaned = true;
  ++loan.frame.berth->open_loans;
  std::size_t ticket = 0;
  while (ticket < loans_.size() && loans_[ticket].open) ++ticket;
  if (ticket == loans_.size()) loans_.emplace_back();
  std::byte* value = loan.frame.data + loan.frame.bytes - bytes;
  loans_[ticket] = loan;
  return Loan(this, {value, bytes}, ticket);
}

Position PublisherCore::publish_loan(std::uint64_t ticket, std::size_t bytes) {
  enter();
  OpenLoan& loan = loans_.at(ticket);
  if (!loan.open) throw Error(errc::usage, "a loan was published twice");
  if (bytes > loan.value_bytes)
    throw Error(errc::usage, "a loan of " + std::to_string(loan.value_bytes) + " bytes cannot publish " +
                                 std::to_string(bytes));
  memory::FrameHeader header{};
  Atomics::copy_from_shared(&header, loan.frame.data, sizeof header);
  header.value_bytes = static_cast<std::int32_t>(bytes);
  const std::int64_t now = now_ms();
  header.timestamp_ms = loan.timestamp_ms.value_or(now);
  Atomics::copy_to_shared(loan.frame.data, &header, sizeof header);
  Patience patience(true);
  Position position;
  errc code = attend_in_time(now, patience);
  if (code == errc::ok && loan.frame.berth != here_) code = carry_over(loan.frame, patience);
  if (code == errc::ok) code = commit_slowly(loan.frame, attempt(loan.frame), patience, position);
  if (code != errc::ok) fail(code, loan.frame.bytes, loan.frame.partition);
  loan.open = false;
  --loan.frame.berth->open_loans;
  wake_partition(loan.frame.partition);
  return position;
}

void PublisherCore::abandon_loan(std::uint64_t ticket) noexcept {
  OpenLoan& loan = loans_[ticket];
  if (!std::exchange(loan.open, false)) return;
  loan.frame.lane->writer.abandon(loan.frame.handle);
  --loan.frame.berth->open_loans;
}

}  // namespace busway::client
