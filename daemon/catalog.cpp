// Topics: create, alter, delete, list, describe; the clock's work; start and stop.
#include "daemon/catalog.hpp"

#include <algorithm>

#include "bus/base/clock.hpp"
#include "bus/log/names.hpp"
#include "daemon/acl.hpp"
#include "daemon/logging.hpp"
#include "daemon/retention.hpp"

namespace busway::daemon {
namespace {

/// Names that the data directory uses itself.
bool reserved_name(const std::string& name) { return name.starts_with("__busway"); }

}  // namespace

Catalog::Catalog(Services& services, int bells_fd)
    : services_(services), bells_fd_(bells_fd), started_ms_(precise_unix_ms()) {
  for (const auto& [name, metadata] : services_.metadata.state()) add_topic(name, metadata);
  go_on_with_deletions();
  sweep_data_directory();
}

/// Of topics that were deleted just before a daemon was killed. One of the same name was created only after
/// the directories of the old one had gone.
void Catalog::go_on_with_deletions() {
  std::vector<MetadataChange> done;
  for (const DeletionSet& deletion : services_.metadata.deletions()) {
    for (std::uint32_t p = 0; p < deletion.partitions && !topics_.contains(deletion.name); ++p)
      set_aside(services_.store.files, services_.data.partition_path(deletion.name, p), deletion.topic.text(),
                kDeletedSuffix);
    done.emplace_back(DeletionDone{deletion.topic});
  }
  if (!done.empty()) services_.metadata.append(std::move(done));
}

/// What was on its way out goes; logs of no topic are told of.
void Catalog::sweep_data_directory() {
  FileSystem& files = services_.store.files;
  std::vector<std::string> names;
  check_file(files.list(services_.data.path(), names), "cannot list", services_.data.path());
  for (const std::string& name : names) {
    const std::string path = services_.data.path() + "/" + name;
    if (name.ends_with(kDeletedSuffix)) {
      services_.store.janitor.submit([&files, path] { remove_tree(files, path); });
      continue;
    }
    const auto partition = log::parse_partition_directory(name);
    if (partition && !topics_.contains(partition->topic) && !reserved_name(partition->topic))
      log_warning("directory " + path + " belongs to no topic: remove it, or move it elsewhere");
  }
}

/// A log that is there though its topic is not (somebody copied it there) is not the new topic's,
/// whose recovery would cut it off.
void Catalog::set_orphans_aside(const std::string& name, const TopicMetadata& metadata) {
  for (std::uint32_t p = 0; p < metadata.partitions; ++p) {
    const std::string directory = services_.data.partition_path(name, p);
    const std::string aside =
        set_aside(services_.store.files, directory, metadata.uuid.text(), kOrphanSuffix);
    if (!aside.empty())
      log_warning("directory " + directory + " was there before topic " + name +
                  " was created: it is kept as " + aside);
  }
}

Topic& Catalog::add_topic(const std::string& name, const TopicMetadata& metadata) {
  const TopicConfig config = parse_topic_config(name, metadata.settings, services_.config.topic_defaults);
  auto topic = std::make_unique<Topic>(services_, next_topic_id_++, name, metadata, config);
  Topic& added = *topic;
  by_id_[added.id()] = &added;
  topics_[name] = std::move(topic);
  return added;
}

void Catalog::require(const SessionInfo& session, const std::string& topic, Right right) const {
  require_right(services_.config.acl, session.peer, topic, right);
}

Topic& Catalog::topic_named(const std::string& name) {
  const auto found = topics_.find(name);
  if (found == topics_.end()) {
    log::check_topic_name(name);
    throw Error(errc::unknown_topic, "there is no topic " + name);
  }
  return *found->second;
}

void Catalog::make_topic(const std::string& name, std::uint32_t partitions, const Settings& settings) {
  log::check_topic_name(name);
  if (reserved_name(name)) {
    throw Error(errc::invalid_topic_name,
                "topic name " + name + " begins with __busway, which is the daemon's own");
  }
  if (topics_.contains(name)) throw Error(errc::topic_exists, "there is a topic " + name + " already");
  if (partitions == 0 || partitions > limits::kPartitionsPerTopic) {
    throw Error(errc::invalid_setting, "topic " + name + ": " + std::to_string(partitions) +
                                           " partitions are not between 1 and " +
                                           std::to_string(limits::kPartitionsPerTopic));
  }
  if (static_cast<std::int64_t>(topics_.size()) >= services_.config.topics_max) {
    throw Error(errc::limit_reached,
                "there are " + std::to_string(topics_.size()) + " topics, the most that topics.max allows");
  }
  parse_topic_config(name, settings, services_.config.topic_defaults);
  TopicMetadata metadata{.uuid = Uuid::random(), .partitions = partitions, .settings = settings, .state = {}};
  metadata.state.resize(partitions);
  set_orphans_aside(name, metadata);
  services_.metadata.append({TopicSet{name, metadata.uuid, partitions, settings}});
  add_topic(name, metadata);
}

Answer<control::Ok> Catalog::create_topic(const SessionInfo& session, const control::CreateTopic& request) {
  require(session, request.name, Right::admin);
  make_topic(request.name, request.partitions, request.settings);
  log_info("topic " + request.name + " created by uid " + std::to_string(session.peer.uid));
  return control::Ok{};
}

Answer<control::Ok> Catalog::alter_topic(const SessionInfo& session, const control::AlterTopic& request) {
  require(session, request.name, Right::admin);
  Topic& topic = topic_named(request.name);
  const TopicConfig config = alter_topic_config(request.name, request.settings, topic.config());
  const Settings settings = print_topic_overrides(config, services_.config.topic_defaults);
  services_.metadata.append({TopicSet{topic.name(), topic.uuid(), topic.partitions(), settings}});
  topic.reconfigure(config);
  return control::Ok{};
}

Answer<control::Ok> Catalog::delete_topic(const SessionInfo& session, const control::DeleteTopic& request) {
  require(session, request.name, Right::admin);
  Topic& topic = topic_named(request.name);
  services_.metadata.append(
      {TopicDeleted{topic.name()}, DeletionSet{topic.uuid(), topic.name(), topic.partitions()}});
  topic.destroy();
  services_.metadata.queue({DeletionDone{topic.uuid()}}, [](int) {});  // if that fails it is done once more
  server_->notify_all(control::TopicGone{static_cast<control::TopicId>(topic.id()), topic.uuid()});
  by_id_.erase(topic.id());
  topics_.erase(request.name);
  log_info("topic " + request.name + " deleted by uid " + std::to_string(session.peer.uid));
  return control::Ok{};
}

Answer<control::TopicList> Catalog::list_topics(const SessionInfo& session,
                                                const control::ListTopics& request) {
  control::TopicList list;
  for (auto at = topics_.upper_bound(request.after); at != topics_.end(); ++at) {
    const Acl& acl = services_.config.acl;
    const auto may = [&](Right right) {
      return acl.allows(session.peer.uid, session.peer.groups, at->first, right);
    };
    if (!may(Right::subscribe) && !may(Right::publish) && !may(Right::admin)) continue;
    if (list.names.size() == control::kTopicNamesPerPage) {
      list.more = true;
      break;
    }
    list.names.push_back(at->first);
  }
  return list;
}

Answer<control::TopicDescription> Catalog::describe_topic(const SessionInfo& session,
                                                          const control::DescribeTopic& request) {
  Topic& topic = topic_named(request.name);
  const Acl& acl = services_.config.acl;
  if (!acl.allows(session.peer.uid, session.peer.groups, request.name, Right::publish)) {
    require(session, request.name, Right::subscribe);
  }
  control::TopicDescription about{.name = topic.name(),
                                  .uuid = topic.uuid(),
                                  .settings = print_topic_config(topic.config()),
                                  .partition_count = topic.partitions()};
  std::uint32_t p = request.from_partition;
  for (; p < topic.partitions() && about.partitions.size() < control::kPartitionsPerPage; ++p) {
    about.partitions.push_back(topic.describe(p));
  }
  about.more = p < topic.partitions();
  return about;
}

void Catalog::reconfigured() {
  for (const auto& [name, topic] : topics_) {
    const TopicMetadata metadata = services_.metadata.state()[name];
    topic->reconfigure(parse_topic_config(name, metadata.settings, services_.config.topic_defaults));
  }
}

void Catalog::tick() {
  for (const auto& [name, topic] : topics_) topic->watch_grants();
}

void Catalog::slow_tick() {
  const std::int64_t now_ms = coarse_unix_ms();
  const bool retention = now_ms - retention_checked_ms_ >= services_.config.retention_check_ms;
  if (retention) retention_checked_ms_ = now_ms;
  for (const auto& [name, topic] : topics_) {
    if (!topic->warm()) continue;
    topic->retire();
    if (retention) topic->apply_retention(now_ms);
    if (topic->uses().empty()) topic->cool_down(false);
  }
}

void Catalog::fence_all() {
  stopping_ = true;
  for (const auto& [name, topic] : topics_) {
    if (!topic->warm()) continue;
    topic->memory().marks().state.store(static_cast<std::uint32_t>(memory::TopicState::stopped),
                                        std::memory_order_release);  // pairs with clients that meet the fence
    topic->fence_all(ring::FenceReason::stopped);
  }
}

bool Catalog::close_all() {
  bool clean = true;
  for (const auto& [name, topic] : topics_) {
    if (topic->warm() && !topic->close_logs()) {
      log_error("topic " + name + " could not be made durable before the stop");
      clean = false;
    }
  }
  return clean;
}

Catalog::Place Catalog::place_of(std::uint32_t ordinal) {
  for (const auto& [name, topic] : topics_) {
    if (!topic->warm()) continue;
    for (std::uint32_t p = 0; p < topic->partitions(); ++p) {
      if (topic->memory().partition(p).marks->ordinal.load(std::memory_order_relaxed) == ordinal) {
        return {topic.get(), p};
      }
    }
  }
  return {};
}

std::string Catalog::name_of(const Place& place) const {
  return place.topic->name() + "-" + std::to_string(place.partition);
}

void Catalog::on_grant_running_out(std::uint32_t ordinal) {
  const Place place = place_of(ordinal);
  if (place.topic != nullptr) place.topic->raise_grant(place.partition);
}

void Catalog::on_bad_frame(std::uint32_t ordinal, std::uint64_t offset, std::uint32_t lane) {
  const Place place = place_of(ordinal);
  if (place.topic == nullptr) return;
  bad_frames_.log(LogLevel::error, "partition " + name_of(place) + ": offset " + std::to_string(offset) +
                                       " names a frame in lane " + std::to_string(lane) +
                                       " that does not check out; the offset is skipped");
  const auto held = place.topic->memory().lanes()->find(static_cast<LaneId>(lane));
  if (!held) return;
  server_->evict(held->session, errc::corrupt,
                 "a record published to " + name_of(place) + " at offset " + std::to_string(offset) +
                     " does not check out");
}

void Catalog::on_gap(std::uint32_t ordinal, std::uint64_t from, std::uint64_t to) {
  const Place place = place_of(ordinal);
  if (place.topic == nullptr) return;
  log_error("partition " + name_of(place) + ": offsets " + std::to_string(from) + " to " +
            std::to_string(to) + " were overwritten before they could be written; they are lost");
}

void Catalog::on_health(std::uint32_t ordinal, LogHealth health, int cause) {
  const Place place = place_of(ordinal);
  if (place.topic == nullptr) return;
  const std::string why = std::generic_category().message(cause);
  if (health == LogHealth::running) return log_info("partition " + name_of(place) + ": writing goes on");
  if (health == LogHealth::stalled)
    return log_error("partition " + name_of(place) + ": cannot write: " + why);
  log_error("partition " + name_of(place) + " has failed: " + why + "; it can be read, not published to");
  place.topic->memory().fence(place.partition, ring::FenceReason::failed);
  place.topic->ring_all();
}

void Catalog::on_active_segment(std::uint32_t ordinal, Offset base, const std::string& path) {
  const Place place = place_of(ordinal);
  if (place.topic != nullptr) place.topic->keep_segment(place.partition, base, path);
}

void DrainReports::connect(Post post, Receiver& receiver) {
  post_ = std::move(post);
  receiver_ = &receiver;
}

void DrainReports::grant_running_out(std::uint32_t ordinal) {
  post_([this, ordinal] { receiver_->on_grant_running_out(ordinal); });
}

void DrainReports::bad_frame(std::uint32_t ordinal, std::uint64_t offset, std::uint32_t lane) {
  post_([=, this] { receiver_->on_bad_frame(ordinal, offset, lane); });
}

void DrainReports::gap(std::uint32_t ordinal, std::uint64_t from, std::uint64_t to) {
  post_([=, this] { receiver_->on_gap(ordinal, from, to); });
}

void DrainReports::health_changed(std::uint32_t ordinal, LogHealth health, int cause) {
  post_([=, this] { receiver_->on_health(ordinal, health, cause); });
}

void DrainReports::active_segment(std::uint32_t ordinal, Offset base, const std::string& path) {
  post_([=, this] { receiver_->on_active_segment(ordinal, base, path); });
}

}  // namespace busway::daemon
