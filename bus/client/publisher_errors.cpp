// What a publisher's error codes say to a person.
#include <string>

#include "bus/base/murmur2.hpp"
#include "bus/client/header_encoding.hpp"
#include "bus/client/publisher_core.hpp"

namespace busway::client {

/// Whom a full ring waits for: the daemon, or a subscriber.
std::string PublisherCore::held_up_by(const PartitionSeat& seat) {
  if (seat.partition.reclaim == ring::Reclaim::block)
    return ": overflow=block, and a subscriber does not read on";
  const std::uint64_t end = seat.published_end();
  // relaxed: for a person.
  const std::uint64_t written = seat.partition.marks.written->load(std::memory_order_relaxed);
  if (seat.partition.reclaim != ring::Reclaim::logged || written >= end) return "";
  return ": the daemon has written what is below offset " + std::to_string(written) + ", " +
         std::to_string(end - written) + " records behind; it is stopped, or its disk is slow";
}

void PublisherCore::fail(errc code, const NewRecord& record) const {
  const std::size_t payload = encoded_headers_bytes(record.headers) + record.key.size() + record.value.size();
  std::int64_t partition = sticky_;
  if (record.partition)
    partition = *record.partition;
  else if (!record.key.is_null())
    partition = partition_of_key(record.key.data(), record.key.size(), partitions_);
  fail(code, payload, partition);
}

void PublisherCore::fail(errc code, std::size_t payload, std::int64_t partition) const {
  const bool known = partition >= 0 && partition < partitions_;
  const std::string topic = "topic " + topic_;
  const std::string place = known ? "partition " + std::to_string(partition) + " of " + topic : topic;
  const std::string cause = known ? cause_of(*seats_[partition].marks) : "unknown cause";
  const std::string no_room =
      "no room in " + place + " within the timeout of " + std::to_string(options_.max_block.count()) + " ms";
  switch (code) {
    case errc::record_too_large:
      throw Error(code, "a record of " + std::to_string(payload) +
                            " bytes (key, value and headers) is larger than the " +
                            std::to_string(marks_->max_message_bytes.load(std::memory_order_relaxed)) +
                            " bytes that max.message.bytes of " + topic + " allows; `busway topic alter " +
                            topic_ + " --config max.message.bytes=BYTES` raises that");
    case errc::invalid_partition:
      throw Error(code, topic + " has no partition " + std::to_string(partition) +
                            ": it has partitions 0 to " + std::to_string(partitions_ - 1));
    case errc::deadline_exceeded:
      throw Error(code,
                  no_room + (known ? held_up_by(seats_[partition]) : "") + "; the record was not published");
    case errc::no_daemon:
      throw Error(code, no_room + ", and no daemon answers at " + core_->socket_path() +
                            ": start it; the record was not published");
    case errc::disk_full:
      throw Error(code,
                  no_room + ": the daemon's disk is full (" + cause + "); the record was not published");
    case errc::partition_failed:
      throw Error(code, place + " takes no records: its log failed (" + cause + ")");
    case errc::topic_deleted:
      throw Error(code, topic + " was deleted");
    case errc::lane_exhausted:
      throw Error(code, "open loans hold all of the publisher's memory for " + topic +
                            ": publish or abandon some of them");
    case errc::unsupported:
      throw Error(code, topic + " has storage=memory: nothing of it ever becomes durable");
    case errc::corrupt:
      throw Error(code, "the slot ring of " + place + " holds what no publisher writes");
    default:
      throw Error(code, "publishing to " + place + " failed: " + make_error_code(code).message());
  }
}

}  // namespace busway::client
