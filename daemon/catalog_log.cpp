// Requests about the log, and statistics.
#include <algorithm>

#include <fcntl.h>
#include <unistd.h>

#include "bus/base/clock.hpp"
#include "bus/log/segment_reader.hpp"
#include "daemon/acl.hpp"
#include "daemon/catalog.hpp"
#include "daemon/version.hpp"

namespace busway::daemon {
namespace {

void check_partition(const Topic& topic, std::uint32_t partition) {
  if (partition < topic.partitions()) return;
  throw Error(errc::invalid_partition,
              "topic " + topic.name() + " has " + std::to_string(topic.partitions()) +
                  " partitions; there is none numbered " + std::to_string(partition));
}

/// Stands for an index that does not exist yet: an empty file, so the reader searches from the segment's
/// start.
Fd no_index() { return Fd(check_errno(::open("/dev/null", O_RDONLY | O_CLOEXEC), "opening /dev/null")); }

void require_log(const Topic& topic) {
  if (topic.logged()) return;
  throw Error(errc::unsupported, "topic " + topic.name() + " has storage=memory: it has no log");
}

}  // namespace

Answer<control::Segments> Catalog::get_segments(const SessionInfo& session,
                                                const control::GetSegments& request) {
  Topic& topic = attached_topic(session, request.topic, control::Role::subscriber);
  check_partition(topic, request.partition);
  require_log(topic);
  Answer<control::Segments> answer;
  auto segments = topic.files(request.partition)
                      ->segments.open_from(services_.store.files, request.offset, control::kSegmentsPerPage);
  for (SegmentForReader& segment : segments) {
    const bool has_time_index = static_cast<bool>(segment.time_index);
    answer.body.segments.push_back(
        {.base = segment.base,
         .next_base = segment.next_base == SegmentInfo::kOpenEnd ? INT64_MAX : segment.next_base,
         .has_time_index = has_time_index});
    answer.give(Fd(segment.log.release()));
    answer.give(segment.index ? Fd(segment.index.release()) : no_index());
    if (has_time_index) answer.give(Fd(segment.time_index.release()));
  }
  return answer;
}

Answer<control::OffsetFound> Catalog::offset_for_time(const SessionInfo& session,
                                                      const control::OffsetForTime& request) {
  Topic& topic = attached_topic(session, request.topic, control::Role::subscriber);
  check_partition(topic, request.partition);
  require_log(topic);
  const auto written = static_cast<std::int64_t>(
      topic.memory().partition(request.partition).marks->written.load(std::memory_order_acquire));
  const SegmentList& list = topic.files(request.partition)->segments;
  control::OffsetFound found;
  const auto segments =
      list.open_from_time(services_.store.files, request.timestamp_ms, control::kSegmentsPerPage);
  for (const SegmentForReader& segment : segments) {
    log::SegmentReader reader({.log = segment.log.fd(),
                               .index = segment.index.fd(),
                               .time_index = segment.time_index.fd(),
                               .base_offset = segment.base});
    log::RecordView record;
    if (reader.seek_time(request.timestamp_ms, written) != log::ReadStatus::ok) continue;
    if (reader.next(written, record) != log::ReadStatus::ok) continue;
    found.offset = record.offset;
    found.timestamp_ms = record.timestamp_ms;
    break;
  }
  return found;
}

/// Series in Prometheus' spelling: a topic's name needs no escaping there.
control::NamedTexts Catalog::all_stats() const {
  control::NamedTexts all;
  const auto add = [&](std::string name, std::uint64_t value) {
    all.emplace_back(std::move(name), std::to_string(value));
  };
  const Server::Counters server = server_->counters();
  add("busway_memory_bytes", services_.budget.used());
  add("busway_memory_max_bytes", services_.budget.most());
  add("busway_requests_total", server.requests);
  add("busway_requests_failed_total", server.errors);
  add("busway_connections_accepted_total", server.accepted);
  add("busway_connections_refused_total", server.refused);
  add("busway_bad_messages_total", server.bad_messages);
  add("busway_sessions", server.sessions);
  add("busway_sessions_detached", server.detached);
  add("busway_topics", topics_.size());
  add("busway_worker_starts_total", services_.keeper.worker_starts());
  for (const auto& [name, topic] : topics_) {
    for (std::uint32_t p = 0; p < topic->partitions(); ++p) {
      const std::string of = "{topic=\"" + name + "\",partition=\"" + std::to_string(p) + "\"}";
      const control::PartitionDescription about = topic->describe(p);
      add("busway_log_start" + of, static_cast<std::uint64_t>(about.log_start));
      add("busway_log_end" + of, static_cast<std::uint64_t>(about.log_end));
      add("busway_written" + of, static_cast<std::uint64_t>(about.written));
      add("busway_durable" + of, static_cast<std::uint64_t>(about.durable));
      add("busway_log_bytes" + of, about.log_bytes);
      add("busway_segments" + of, about.segments);
      const auto counters = topic->counters(p);
      if (!counters) continue;
      add("busway_drained_records_total" + of, counters->records.load(std::memory_order_relaxed));
      add("busway_drained_bytes_total" + of, counters->bytes.load(std::memory_order_relaxed));
      add("busway_drained_batches_total" + of, counters->batches.load(std::memory_order_relaxed));
      add("busway_skipped_total" + of, counters->skipped.load(std::memory_order_relaxed));
      add("busway_syncs_total" + of, counters->syncs.load(std::memory_order_relaxed));
      add("busway_clamped_timestamps_total" + of,
          counters->clamped_timestamps.load(std::memory_order_relaxed));
    }
    const std::string of = "{topic=\"" + name + "\"}";
    add("busway_topic_sessions" + of, topic->uses().size());
    add("busway_topic_memory_bytes" + of, topic->warm() ? topic->memory().bytes() : 0);
  }
  std::sort(all.begin(), all.end());
  return all;
}

Answer<control::StatsPage> Catalog::stats(const SessionInfo& session, const control::Stats& request) {
  require(session, "*", Right::admin);
  control::StatsPage page;
  for (auto& value : all_stats()) {
    if (value.first <= request.after) continue;
    if (page.values.size() == control::kStatsPerPage) {
      page.more = true;
      break;
    }
    page.values.push_back(std::move(value));
  }
  return page;
}

Answer<control::DaemonDescription> Catalog::daemon_info(const SessionInfo&, const control::DaemonInfo&) {
  control::DaemonDescription about{.version = kVersion,
                                   .instance = services_.bells.identity.owner,
                                   .pid = ::getpid(),
                                   .started_unix_ms = started_ms_};
  about.details = {{"data.dir", services_.data.path()},
                   {"disk.backend", std::string(services_.store.disk.name())},
                   {"memory.max.bytes", std::to_string(services_.budget.most())},
                   {"memory.used.bytes", std::to_string(services_.budget.used())},
                   {"topics", std::to_string(topics_.size())}};
  return about;
}

}  // namespace busway::daemon
