// The public Bus: requests to the daemon, publishers, subscribers.
#include <utility>

#include <busway/bus.hpp>

#include "bus/client/bus_core.hpp"
#include "bus/client/publisher_core.hpp"
#include "bus/client/subscriber_core.hpp"

namespace busway {
namespace {

PartitionInfo info_of(const control::PartitionDescription& partition) {
  return {.partition = static_cast<std::int32_t>(partition.partition),
          .log_start = partition.log_start,
          .log_end = partition.log_end,
          .written = partition.written,
          .durable = partition.durable,
          .epoch = raw(partition.epoch),
          .ring_slots = partition.ring_slots,
          .log_bytes = partition.log_bytes,
          .segments = partition.segments,
          .state = partition.state};
}

/// A request that must not be done twice. When the worker died before it answered, `done_before` from the
/// next one means that the first had done it.
template <class R>
void ask_once(client::BusCore& core, const R& request, errc done_before) {
  const Deadline deadline = core.usual_deadline();
  bool maybe_done = false;
  core.connected(deadline, [&](control::ClientSession& session) {
    try {
      session.request(request, deadline);
    } catch (const control::ConnectionLost& lost) {
      maybe_done = maybe_done || lost.sent();
      throw;
    } catch (const Error& error) {
      if (!maybe_done || error.error() != done_before) throw;
    }
  });
}

}  // namespace

Bus connect(const ConnectOptions& options) { return Bus(client::BusCore::connect(options)); }

Bus::Bus(std::shared_ptr<client::BusCore> core) noexcept : core_(std::move(core)) {}

void Bus::create_topic(std::string_view name, const TopicSpec& spec) {
  if (spec.partitions < 1)
    throw Error(errc::invalid_partition, "topic " + std::string(name) + " cannot have " +
                                             std::to_string(spec.partitions) + " partitions; the least is 1");
  ask_once(*core_,
           control::CreateTopic{.name = std::string(name),
                                .partitions = static_cast<std::uint32_t>(spec.partitions),
                                .settings = spec.config},
           errc::topic_exists);
}

void Bus::alter_topic(std::string_view name, const Settings& settings) {
  core_->ask(control::AlterTopic{.name = std::string(name), .settings = settings}, core_->usual_deadline());
}

void Bus::delete_topic(std::string_view name) {
  ask_once(*core_, control::DeleteTopic{.name = std::string(name)}, errc::unknown_topic);
}

std::vector<std::string> Bus::topics() {
  const Deadline deadline = core_->usual_deadline();
  std::vector<std::string> names;
  bool more = true;
  while (more) {
    auto page =
        core_->ask(control::ListTopics{.after = names.empty() ? std::string() : names.back()}, deadline);
    more = page.body.more && !page.body.names.empty();
    std::move(page.body.names.begin(), page.body.names.end(), std::back_inserter(names));
  }
  return names;
}

TopicInfo Bus::describe_topic(std::string_view name) {
  const Deadline deadline = core_->usual_deadline();
  TopicInfo info;
  bool more = true;
  while (more) {
    auto page = core_->ask(
        control::DescribeTopic{.name = std::string(name),
                               .from_partition = static_cast<std::uint32_t>(info.partitions.size())},
        deadline);
    info.name = page.body.name;
    info.uuid = page.body.uuid.text();
    info.config = std::move(page.body.settings);
    for (const auto& partition : page.body.partitions) info.partitions.push_back(info_of(partition));
    more = page.body.more && !page.body.partitions.empty();
  }
  return info;
}

bool Bus::connected() const noexcept { return core_->has_daemon(); }

std::vector<std::pair<std::string, std::string>> Bus::stats() {
  const Deadline deadline = core_->usual_deadline();
  std::vector<std::pair<std::string, std::string>> values;
  bool more = true;
  while (more) {
    auto page =
        core_->ask(control::Stats{.after = values.empty() ? std::string() : values.back().first}, deadline);
    more = page.body.more && !page.body.values.empty();
    std::move(page.body.values.begin(), page.body.values.end(), std::back_inserter(values));
  }
  return values;
}

Publisher Bus::publisher(std::string_view topic, const PublisherOptions& options) {
  return Publisher(std::make_unique<client::PublisherCore>(core_, std::string(topic), options));
}

Subscriber Bus::subscriber(std::string_view topic, const SubscriberOptions& options) {
  return Subscriber(std::make_unique<client::SubscriberCore>(core_, std::string(topic), options));
}

}  // namespace busway
