// One topic as one session is attached to it: its marks and wait memory, rings and lanes, and the ids under
// which the daemon knows all that.
//
// Invariants: what is mapped here stays mapped while the link lives; a link that became stale (the topic was
// created anew, the service restarted, the session was lost) stays readable but gets nothing new: its users
// attach anew. Thread safety: every call from any thread; publishers and subscribers cache what they need, so
// nothing here is on their hot path.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "bus/client/bus_core.hpp"
#include "bus/control/messages.hpp"
#include "bus/memory/region.hpp"
#include "bus/read/source.hpp"
#include "bus/ring/views.hpp"
#include "bus/wait/sleeper.hpp"
#include "bus/wait/waker.hpp"

namespace busway::client {

/// One publisher's or subscriber's place in the daemon's books.
struct Attachment {
  control::AttachmentId id{};  // changes when the worker was restarted; read and written with the gate held
  control::Role role = control::Role::subscriber;
  std::optional<std::uint32_t> lease_cell{};
};

/// An attachment while somebody needs it: a publisher, a subscriber, a receipt that outlives its publisher.
/// The last one to let go detaches. Thread safe.
class Use {
 public:
  Use(std::shared_ptr<TopicLink> link, std::shared_ptr<Attachment> attachment) noexcept
      : link_(std::move(link)), attachment_(std::move(attachment)) {}
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;
  ~Use();
  TopicLink& link() const noexcept { return *link_; }
  const std::shared_ptr<TopicLink>& shared_link() const noexcept { return link_; }
  const Attachment& attachment() const noexcept { return *attachment_; }

 private:
  std::shared_ptr<TopicLink> link_;
  std::shared_ptr<Attachment> attachment_;
};

/// A ring in this process.
struct MappedRing {
  memory::Region region;
  ring::Ring view;
  bool writable = false;
};

/// A lane of our own, writable.
struct OwnLane {
  memory::Region region;
  control::LaneInfo info;
};

/// errc::no_daemon in the middle of asking about a topic: the service was restarted, and the daemon there is
/// now does not know this attachment. Attaching anew mends it.
class Restarted : public Error {
 public:
  explicit Restarted(const std::string& topic)
      : Error(errc::no_daemon, "the service was restarted since topic " + topic + " was attached") {}
};

/// What `make` makes of a topic; again if the service is restarted under its hands.
template <class Make>
auto make_attached(const Deadline& deadline, Make&& make) {
  for (;;) {
    try {
      return make();
    } catch (const Restarted&) {
      if (deadline.passed()) throw;
    }
  }
}

class TopicLink : public std::enable_shared_from_this<TopicLink> {
 public:
  /// Throws errc::corrupt when what the daemon sent does not fit together.
  TopicLink(std::shared_ptr<BusCore> core, std::string name, std::shared_ptr<Bells> bells,
            control::Answered<control::Attached>& attached);

  const std::string& name() const noexcept { return name_; }
  const Uuid& uuid() const noexcept { return uuid_; }
  BusCore& core() const noexcept { return *core_; }
  std::uint32_t partitions() const noexcept { return partitions_; }
  bool logged() const noexcept { return logged_; }
  const Settings& settings() const noexcept { return settings_; }
  std::optional<std::uint32_t> sleeper_bit() const noexcept { return sleeper_bit_; }
  /// What the daemon calls the topic now. Read it with the gate held: inside BusCore::connected.
  control::TopicId id() const noexcept { return id_; }

  memory::MarksHeader& marks() const noexcept { return *marks_.as<memory::MarksHeader>(); }
  const memory::PartitionMarks& marks(std::uint32_t partition) const noexcept {
    return memory::marks_partitions(&marks())[partition];
  }
  ring::Partition partition(std::uint32_t number) const;
  wait::Sleeper& sleeper() noexcept { return sleeper_; }
  const wait::Waker& waker() const noexcept { return waker_; }
  memory::Atomic32& bell() const noexcept { return bells_->view.own(); }
  const Bells& bells() const noexcept { return *bells_; }

  /// True once nothing new can come from this link.
  bool stale() const noexcept { return stale_.load(std::memory_order_acquire); }
  const std::atomic<bool>& stale_flag() const noexcept { return stale_; }
  void make_stale() noexcept { stale_.store(true, std::memory_order_release); }

  /// Rings of a partition, the one of generation `wanted` among them (0: all that the daemon still has): see
  /// read::Source::rings. Writable ones for Role::publisher.
  std::vector<read::HeldRing> rings(std::uint32_t partition, std::uint32_t wanted, control::Role role,
                                    const Deadline& deadline);
  /// Asks for the rings of all partitions, so that the readers need not ask one by one.
  void fetch_all_rings(control::Role role, const Deadline& deadline);
  /// See read::Source::lane.
  read::HeldLane lane(std::uint32_t lane, std::uint32_t generation, const Deadline& deadline);
  /// Asks for all lanes in use, so that the first records need not wait for them.
  void fetch_lanes(const Deadline& deadline);
  std::vector<read::OpenSegment> segments(std::uint32_t partition, std::uint64_t offset,
                                          const Deadline& deadline);
  /// Lets mappings of lanes go whose id means another lane by now.
  void purge_lanes() noexcept;
  OwnLane new_lane(std::uint64_t least_record_bytes, const Deadline& deadline);
  // Not done, and an error, when the connection is not intact.
  void drop_lane(const control::LaneInfo& lane, const Deadline& deadline);
  void grow_ring(std::uint32_t partition, std::uint32_t generation, const Deadline& deadline);
  /// The first offset at or after that time, as far as the log tells.
  std::optional<Offset> offset_for_time(std::uint32_t partition, std::int64_t unix_ms,
                                        const Deadline& deadline);

  // For BusCore, with the gate or its links' mutex held.
  void add(std::shared_ptr<Attachment> attachment);
  void remove(const Attachment& attachment);
  void attach_again(control::ClientSession& session, const Deadline& deadline);
  void take_offer(const control::LaneOffer& offer, std::vector<Fd>&& fds);
  void take_offer(const control::RingOffer& offer, std::vector<Fd>&& fds);

 private:
  void keep_ring(const control::RingInfo& info, Fd fd);
  void keep_lane(const control::LaneInfo& info, Fd fd);
  void fetch_rings(std::uint32_t partition, std::uint32_t newer_than, control::Role role,
                   const Deadline& deadline);
  std::vector<read::HeldRing> known_rings(std::uint32_t partition, bool writable);
  read::HeldLane known_lane(std::uint32_t lane, std::uint32_t generation);
  template <class Work>
  auto unless_stale(Work&& work);

  struct KnownLane {
    std::uint32_t generation = 0;
    ring::LaneSpan span;
    std::shared_ptr<const memory::Region> region;
  };

  const std::shared_ptr<BusCore> core_;
  const std::string name_;
  const std::shared_ptr<Bells> bells_;
  const Uuid uuid_;
  const std::uint32_t partitions_;
  const bool logged_;
  const std::optional<std::uint32_t> sleeper_bit_;
  const Settings settings_;
  control::TopicId id_;  // guarded by the gate
  memory::Region marks_;
  memory::Region wait_;
  wait::Sleeper sleeper_;
  wait::Waker waker_;
  std::atomic<bool> stale_{false};

  std::mutex mutex_;  // guards what follows
  std::vector<std::shared_ptr<Attachment>> attachments_;
  /// By partition. The newest is held, older ones live as long as somebody reads them.
  std::vector<std::vector<std::shared_ptr<MappedRing>>> rings_;
  std::vector<KnownLane> lanes_;  // by lane id
};

}  // namespace busway::client
