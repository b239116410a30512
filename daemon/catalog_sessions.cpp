// Sessions, and what a new worker takes up from the one before it.
#include <algorithm>

#include "daemon/catalog.hpp"

namespace busway::daemon {
namespace {

/// Do the entries of a topic have everything that its first client was given: marks, wait, a ring for each
/// partition?
bool whole(KeeperLink& keeper, const std::vector<EntryIndex>& entries, std::uint32_t partitions) {
  bool marks = false;
  bool wait = false;
  std::set<std::uint32_t> rings;
  for (const EntryIndex index : entries) {
    const memory::ManifestEntry& entry = keeper.entry(index);
    marks = marks || entry.kind == memory::ManifestKind::marks;
    wait = wait || entry.kind == memory::ManifestKind::wait;
    if (entry.kind == memory::ManifestKind::ring) rings.insert(entry.index);
  }
  return marks && wait && rings.size() == partitions;
}

}  // namespace

void Catalog::session_opened(const SessionInfo& session) {
  session_entries_[session.number] = services_.keeper.deposit({.kind = memory::ManifestKind::session,
                                                               .index = session.number,
                                                               .owner_uid = session.peer.uid,
                                                               .owner_session = session.number,
                                                               .owner_pid = session.peer.pid,
                                                               .aux = session.token,
                                                               .fd = session.pidfd});
}

void Catalog::session_resumed(const SessionInfo& session) {
  log_debug("session " + std::to_string(session.number) + " (" + session.program + ") is back");
}

void Catalog::session_detached(const SessionInfo& session) noexcept {
  // Its process lives and may go on publishing: everything stays as it is.
  log_debug("session " + std::to_string(session.number) + " (" + session.program +
            ") has lost its connection");
}

void Catalog::session_ended(const SessionInfo& session, SessionEnd) noexcept {
  try {
    attachments_.erase(session.number);
    for (const auto& [name, topic] : topics_) topic->end_session(session.number);
    const auto entry = session_entries_.find(session.number);
    if (entry == session_entries_.end()) return;
    services_.keeper.drop(entry->second);
    session_entries_.erase(entry);
  } catch (const std::exception& error) {
    log_error("session " + std::to_string(session.number) + " could not be cleaned up: " + error.what());
  }
}

void Catalog::take_up_sessions() {
  for (const EntryIndex index : services_.keeper.live_entries()) {
    const memory::ManifestEntry& entry = services_.keeper.entry(index);
    if (entry.kind != memory::ManifestKind::session) continue;
    session_entries_[entry.index] = index;
    server_->adopt_session({.number = entry.index,
                            .token = entry.aux,
                            .pid = entry.owner_pid,
                            .uid = entry.owner_uid,
                            .pidfd = services_.keeper.take(index)});
  }
}

void Catalog::take_up_topics() {
  std::map<Uuid, std::vector<EntryIndex>> by_topic;
  for (const EntryIndex index : services_.keeper.live_entries()) {
    const memory::ManifestEntry& entry = services_.keeper.entry(index);
    const bool of_topic =
        entry.kind == memory::ManifestKind::ring || entry.kind == memory::ManifestKind::marks ||
        entry.kind == memory::ManifestKind::wait || entry.kind == memory::ManifestKind::lane ||
        entry.kind == memory::ManifestKind::segment;
    if (of_topic) by_topic[entry.topic].push_back(index);
  }
  for (const auto& [uuid, entries] : by_topic) {
    const auto found = std::find_if(topics_.begin(), topics_.end(),
                                    [&, id = uuid](const auto& topic) { return topic.second->uuid() == id; });
    // Without metadata the topic was being deleted; unless it is whole it was being made, and nobody has it.
    if (found == topics_.end() || !whole(services_.keeper, entries, found->second->partitions())) {
      services_.keeper.drop_many(entries);
      continue;
    }
    found->second->take_up(entries);
  }
}

void Catalog::take_up() {
  take_up_sessions();
  take_up_topics();
}

}  // namespace busway::daemon
