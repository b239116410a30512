// The session of one process with the daemon, as all its publishers and subscribers share it.
//
// It holds the connection, the bells, the notifier and a link for each topic that somebody is attached to,
// and finds the way back when the worker was restarted:
//   the same session goes on       every link attaches again, naming what it had; all mappings stay
//   another instance or session    every link is stale: its users attach anew and keep their offsets
// Thread safety: every call from any thread. Links keep the core alive; the core knows links weakly.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <busway/bus.hpp>

#include "bus/client/gate.hpp"
#include "bus/control/fork_mark.hpp"
#include "bus/control/session.hpp"
#include "bus/memory/region.hpp"
#include "bus/wait/bells.hpp"
#include "bus/wait/notifier.hpp"

namespace busway::client {

class TopicLink;
class Use;
struct Attachment;

/// The mapped bells of one instance of the daemon.
struct Bells {
  memory::Region region;
  wait::BellsView view;
};

class BusCore : public std::enable_shared_from_this<BusCore> {
 public:
  static std::shared_ptr<BusCore> connect(const ConnectOptions& options);
  ~BusCore();
  BusCore(const BusCore&) = delete;
  BusCore& operator=(const BusCore&) = delete;

  /// A request that does not speak of a topic by its id. A lost connection is mended within the deadline and
  /// the request is sent again. Throws what ClientSession::request throws.
  template <class R>
  control::Answered<control::ReplyToT<R>> ask(const R& request, const Deadline& deadline) {
    return connected(deadline,
                     [&](control::ClientSession& session) { return session.request(request, deadline); });
  }

  /// Runs `work(session)`, one request, with the connection held still: ids read inside are right inside. A
  /// lost connection is mended within the deadline and the work is done again.
  template <class Work>
  auto connected(const Deadline& deadline, Work&& work) {
    while (true) {
      const std::uint64_t seen = session_->connections();
      try {
        const Gate::Shared pass(gate_, deadline);
        return work(*session_);
      } catch (const control::ConnectionLost&) {
        if (deadline.passed()) throw;
      }
      reconnect(seen, deadline, control::ClientSession::Attempts::many);
    }
  }

  /// The same, tried once and only over a connection that is intact: for what can be left undone. Throws.
  template <class Work>
  auto connected_now(const Deadline& deadline, Work&& work) {
    const Gate::Shared pass(gate_, deadline);
    return work(*session_);
  }

  std::shared_ptr<Use> attach(const std::string& topic, control::Role role, const Deadline& deadline);
  /// For Use. Never throws: a daemon that is gone knows of no attachments.
  void detach(TopicLink& link, const Attachment& attachment) noexcept;

  /// Takes up notices and mends a lost connection if that is possible soon. For those who wait. Never throws.
  void tend(std::chrono::milliseconds patience = std::chrono::milliseconds{50}) noexcept;

  /// Deadline of a request nobody gave one for: ConnectOptions::timeout.
  Deadline usual_deadline() const noexcept { return Deadline::after(options_.timeout); }
  const control::ForkMark& fork_mark() const noexcept { return fork_mark_; }
  wait::Notifier& notifier() noexcept { return *notifier_; }
  const std::string& socket_path() const noexcept { return session_->socket_path(); }
  bool drain_notices() { return session_->drain_notices(); }
  /// Is there a connection, as far as anybody has looked? Any thread.
  bool has_daemon() const noexcept { return session_->connected(); }

 private:
  explicit BusCore(const ConnectOptions& options);
  static std::shared_ptr<Bells> map_bells(control::Connection& connection);
  static wait::Notifier::Bell bell_of(const std::shared_ptr<Bells>& bells);
  void reconnect(std::uint64_t seen, const Deadline& deadline, control::ClientSession::Attempts attempts);
  void after_reconnect(control::Connection& connection);
  void take_notice(control::Notice&& notice, std::vector<Fd>&& fds);
  std::shared_ptr<Use> adopt(const std::string& topic, control::Role role,
                             control::Answered<control::Attached>& attached);
  std::shared_ptr<TopicLink> find_link(control::TopicId id);
  std::vector<std::shared_ptr<TopicLink>> live_links();
  void index_link(const std::shared_ptr<TopicLink>& link);

  const ConnectOptions options_;
  const control::ForkMark fork_mark_;
  Gate gate_;
  std::mutex links_mutex_;  // guards the two maps and bells_
  std::map<std::string, std::weak_ptr<TopicLink>, std::less<>> links_;
  std::unordered_map<std::uint32_t, std::weak_ptr<TopicLink>> links_by_id_;
  std::shared_ptr<Bells> bells_;
  std::unique_ptr<control::ClientSession> session_;
  std::unique_ptr<wait::Notifier> notifier_;
  std::atomic<std::int64_t> tended_ns_{0};
  std::atomic<bool> without_daemon_{false};  // tend() found none
};

}  // namespace busway::client
