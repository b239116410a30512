// A topic of one partition in shared memory with a writer and a reader that do what the client library does
// on its hot paths, and nothing else. The ring's test fixture plays the daemon.
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "bench/micro/limits.hpp"
#include "bus/ring/frame.hpp"
#include "bus/wait/spin.hpp"
#include "bus/wait/waker.hpp"
#include "tests/unit/ring/ring_fixture.hpp"

namespace busway::bench {

class alignas(2 * limits::kCacheLine) RingRoom {
 public:
  RingRoom(std::uint64_t slots, ring::Reclaim reclaim) : topic(slots, reclaim) {}
  ring::test::Topic topic;
};

/// Publishes values of one size. One thread at a time.
class alignas(2 * limits::kCacheLine) RingWriter {
 public:
  RingWriter(RingRoom& room, std::size_t lane_bytes)
      : partition_(room.topic.partition), publisher_(room.topic, lane_bytes / ring::test::kRoomBytes) {}

  /// As a client does: at once, or walking.
  void publish(const std::string& value) noexcept {
    ring::test::StdLedger& ledger = *publisher_.ledgers.back();
    ring::prefetch_commit(ledger);
    auto room = publisher_.find_room(value.size());
    while (room.status != ring::ReserveStatus::reserved) [[unlikely]] {
        pause_as_streaming();
        room = publisher_.find_room(value.size());
      }
    publisher_.lane.take_to_commit(room.units, ledger);
    ring::put_header<memory::StdAtomics>(room.data, {.place = room.place,
                                                     .partition = 0,
                                                     .timestamp_ms = 0,
                                                     .headers_bytes = 0,
                                                     .key_bytes = memory::kNullLength,
                                                     .value_bytes = static_cast<std::int32_t>(value.size()),
                                                     .reserved = 0});
    ring::put_bytes<memory::StdAtomics>(room.data + sizeof(memory::FrameHeader),
                                        reinterpret_cast<const std::byte*>(value.data()), value.size());
    if (ring::publish_at_once(ledger, room.place) == ring::kNotPublished) [[unlikely]]
      publish_walking(room, ledger);
    waker_.wake(partition_.wait.records);
  }

 private:
  void publish_walking(const ring::Room<memory::StdAtomics>& room, ring::test::StdLedger& ledger) noexcept {
    publisher_.lane.give_back(room.units, ledger);
    ring::PublishOutcome outcome = ring::publish(ledger, room.place);
    while (outcome.status != ring::PublishStatus::committed) {
      pause_as_streaming();
      outcome = ring::publish(ledger, room.place);
    }
    publisher_.lane.take(room.units, ledger, outcome.offset);
  }

  const ring::Partition& partition_;
  ring::test::Publisher publisher_;
  memory::MarksHeader marks_{};  // for the waker: nobody sleeps
  wait::Waker waker_{{}, &marks_};
};

/// Reads by copy. One thread at a time. On a topic that blocks, the writer waits for it.
class alignas(2 * limits::kCacheLine) RingReader {
 public:
  explicit RingReader(RingRoom& room, std::size_t value_bytes = 64)
      : topic_(room.topic), ring_(room.topic.ring()), copy_(value_bytes) {
    ring_.enter();
    if (topic_.partition.reclaim == ring::Reclaim::block) {
      cursor_ = &topic_.partition.wait.cursors[0];
      offset_ = ring::register_cursor<memory::StdAtomics>(*cursor_, ring_).offset;
    }
  }

  /// The next record, waited for without a pause.
  void read_one() noexcept {
    const std::byte* const guess = ring::behind_last(topic_.partition, ring_, offset_, topic_.resolver());
    while (look() != ring::ReadStatus::record) ring::prefetch_frame(guess);
    ++offset_;
  }

  /// The next record of a stream; every byte of it.
  std::uint64_t read_next() noexcept {
    while (look() != ring::ReadStatus::record) {
      tell();
      pause_as_streaming();
    }
    ++offset_;
    if (offset_ % 64 == 0) tell();
    return read_every_byte(copy_.data(), found_.body_bytes);
  }

  /// Lets the writer have the bytes of what was read.
  void tell() noexcept {
    if (cursor_ != nullptr) cursor_->store(offset_, std::memory_order_release);  // pairs with reclaimable()
  }

 private:
  ring::ReadStatus look() noexcept {
    return ring::read_copy(topic_.partition, ring_, offset_, topic_.resolver(), copy_.span(), found_);
  }

  ring::test::Topic& topic_;
  ring::Ring ring_;
  TouchedMemory copy_;
  ring::Found found_;
  std::uint64_t offset_ = 0;
  memory::Atomic64* cursor_ = nullptr;
};

}  // namespace busway::bench
