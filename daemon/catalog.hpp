// The catalogue: every topic of this daemon, and the answers to every request about them.
//
// Threads: everything on the control thread, except DrainEvents, which the drain calls and which are passed
// on to the control thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "daemon/logging.hpp"
#include "daemon/server_handler.hpp"
#include "daemon/services.hpp"
#include "daemon/topic.hpp"

namespace busway::daemon {

/// Passes what the drain reports on to the control thread.
class DrainReports final : public DrainEvents {
 public:
  class Receiver {
   public:
    Receiver() = default;
    Receiver(const Receiver&) = delete;
    Receiver& operator=(const Receiver&) = delete;
    virtual ~Receiver() = default;
    virtual void on_grant_running_out(std::uint32_t ordinal) = 0;
    virtual void on_bad_frame(std::uint32_t ordinal, std::uint64_t offset, std::uint32_t lane) = 0;
    virtual void on_gap(std::uint32_t ordinal, std::uint64_t from, std::uint64_t to) = 0;
    virtual void on_health(std::uint32_t ordinal, LogHealth health, int cause) = 0;
    virtual void on_active_segment(std::uint32_t ordinal, Offset base, const std::string& path) = 0;
  };
  /// Runs work on the control thread; any thread may call it.
  using Post = std::function<void(std::function<void()>)>;

  /// Before the drain starts.
  void connect(Post post, Receiver& receiver);

  void grant_running_out(std::uint32_t ordinal) override;
  void bad_frame(std::uint32_t ordinal, std::uint64_t offset, std::uint32_t lane) override;
  void gap(std::uint32_t ordinal, std::uint64_t from, std::uint64_t to) override;
  void health_changed(std::uint32_t ordinal, LogHealth health, int cause) override;
  void active_segment(std::uint32_t ordinal, Offset base, const std::string& path) override;

 private:
  Post post_;
  Receiver* receiver_ = nullptr;
};

class Catalog final : public RequestHandler, private DrainReports::Receiver {
 public:
  Catalog(Services& services, int bells_fd);

  /// Offers and evictions go through it. Before the server runs.
  void set_server(Server& server) noexcept { server_ = &server; }
  DrainReports::Receiver& reports() noexcept { return *this; }

  /// Takes up the topics' memory and the sessions that an earlier worker left with the keeper.
  void take_up();
  /// New settings of a reloaded configuration are in force.
  void reconfigured();

  /// Work by the clock: grants of memory topics.
  void tick();
  /// Work by the slow clock: retirement, cooling, retention.
  void slow_tick();

  /// Stopping: fences everything. Then the drain finishes, then close_all().
  void fence_all();
  /// True when everything is durable, and set back so that the next start finds a clean stop.
  bool close_all();

  void session_opened(const SessionInfo& session) override;
  void session_resumed(const SessionInfo& session) override;
  void session_detached(const SessionInfo& session) noexcept override;
  void session_ended(const SessionInfo& session, SessionEnd end) noexcept override;
  int bells_fd() noexcept override { return bells_fd_; }

  Answer<control::Ok> create_topic(const SessionInfo&, const control::CreateTopic&) override;
  Answer<control::Ok> alter_topic(const SessionInfo&, const control::AlterTopic&) override;
  Answer<control::Ok> delete_topic(const SessionInfo&, const control::DeleteTopic&) override;
  Answer<control::TopicList> list_topics(const SessionInfo&, const control::ListTopics&) override;
  Answer<control::TopicDescription> describe_topic(const SessionInfo&,
                                                   const control::DescribeTopic&) override;
  Answer<control::Attached> attach(const SessionInfo&, const control::Attach&) override;
  Answer<control::Ok> detach(const SessionInfo&, const control::Detach&) override;
  Answer<control::Rings> get_rings(const SessionInfo&, const control::GetRings&) override;
  Answer<control::Lanes> get_lanes(const SessionInfo&, const control::GetLanes&) override;
  Answer<control::Lane> get_lane(const SessionInfo&, const control::GetLane&) override;
  Answer<control::Lane> new_lane(const SessionInfo&, const control::NewLane&) override;
  Answer<control::Ok> drop_lane(const SessionInfo&, const control::DropLane&) override;
  Answer<control::Ok> grow_ring(const SessionInfo&, const control::GrowRing&) override;
  Answer<control::Segments> get_segments(const SessionInfo&, const control::GetSegments&) override;
  Answer<control::OffsetFound> offset_for_time(const SessionInfo&, const control::OffsetForTime&) override;
  Answer<control::StatsPage> stats(const SessionInfo&, const control::Stats&) override;
  Answer<control::DaemonDescription> daemon_info(const SessionInfo&, const control::DaemonInfo&) override;

 private:
  struct Attachment {
    std::uint32_t topic = 0;
    control::Role role = control::Role::subscriber;
    std::optional<std::uint32_t> cell;
  };

  void on_grant_running_out(std::uint32_t ordinal) override;
  void on_bad_frame(std::uint32_t ordinal, std::uint64_t offset, std::uint32_t lane) override;
  void on_gap(std::uint32_t ordinal, std::uint64_t from, std::uint64_t to) override;
  void on_health(std::uint32_t ordinal, LogHealth health, int cause) override;
  void on_active_segment(std::uint32_t ordinal, Offset base, const std::string& path) override;

  Topic& add_topic(const std::string& name, const TopicMetadata& metadata);
  void go_on_with_deletions();
  void sweep_data_directory();
  void set_orphans_aside(const std::string& name, const TopicMetadata& metadata);
  void make_topic(const std::string& name, std::uint32_t partitions, const Settings& settings);
  Topic& find_or_create(const SessionInfo& session, const control::Attach& request);
  Topic& topic_named(const std::string& name);
  /// The topic of that id, on which the session must be attached in that role (either, if none is given).
  Topic& attached_topic(const SessionInfo& session, control::TopicId id,
                        std::optional<control::Role> role = {});
  struct Place {
    Topic* topic = nullptr;
    std::uint32_t partition = 0;
  };
  /// Whose partition has that ordinal; a null topic: it is gone.
  Place place_of(std::uint32_t ordinal);
  std::string name_of(const Place& place) const;
  void require(const SessionInfo& session, const std::string& topic, Right right) const;
  void warm_up(Topic& topic, uid_t uid);
  void offer_lane(Topic& topic, const HeldLane& lane);
  void offer_ring(Topic& topic, std::uint32_t partition, const HeldRing& ring);
  std::uint64_t lanes_of(uid_t uid) const;
  void take_up_sessions();
  void take_up_topics();
  control::NamedTexts all_stats() const;

  Services& services_;
  bool stopping_ = false;  ///< everything is fenced
  Server* server_ = nullptr;
  int bells_fd_;
  std::map<std::string, std::unique_ptr<Topic>> topics_;
  std::map<std::uint32_t, Topic*> by_id_;
  std::uint32_t next_topic_id_ = 1;
  std::map<std::uint32_t, EntryIndex> session_entries_;
  std::map<std::uint32_t, std::map<std::uint32_t, Attachment>> attachments_;  ///< by session, attachment id
  std::uint32_t next_attachment_ = 1;
  std::int64_t started_ms_;
  std::int64_t retention_checked_ms_ = 0;
  LogLimit bad_frames_;
};

}  // namespace busway::daemon
