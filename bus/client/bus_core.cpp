#include "bus/client/bus_core.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "bus/client/topic_link.hpp"

namespace busway::client {
namespace {

constexpr auto kFarewell = std::chrono::milliseconds{500};
/// A daemon that took us up again answers.
constexpr auto kAttachAgain = std::chrono::seconds{10};
/// How seldom those who wait look after the connection; and how seldom while there is no daemon: a thousand
/// clients of one that was stopped are not to take a core with their asking.
constexpr auto kTendEvery = std::chrono::milliseconds{10};
constexpr auto kTendWithoutEvery = std::chrono::milliseconds{100};

std::int64_t now_ns() noexcept { return std::chrono::steady_clock::now().time_since_epoch().count(); }

}  // namespace

BusCore::BusCore(const ConnectOptions& options) : options_(options) {
  control::SessionOptions session;
  session.socket = options.socket;
  session.program = options.name;
  session.client_version = "busway " + std::to_string(memory::kLayoutVersion);
  session.on_notice = [this](control::Notice&& notice, std::vector<Fd>&& fds) {
    take_notice(std::move(notice), std::move(fds));
  };
  session_ = std::make_unique<control::ClientSession>(std::move(session), usual_deadline());
  control::Connection connection = session_->take_connection();
  bells_ = map_bells(connection);
  notifier_ = std::make_unique<wait::Notifier>(bell_of(bells_));
}

std::shared_ptr<BusCore> BusCore::connect(const ConnectOptions& options) {
  return std::shared_ptr<BusCore>(new BusCore(options));
}

BusCore::~BusCore() {
  if (fork_mark_.forked()) {
    // The thread and the session are the parent's: leave both alone.
    (void)notifier_.release();
    return;
  }
  notifier_.reset();
  bells_.reset();
  session_->goodbye(Deadline::after(kFarewell));
}

std::shared_ptr<Bells> BusCore::map_bells(control::Connection& connection) {
  auto bells = std::make_shared<Bells>();
  bells->region =
      memory::Region::map_known(std::move(connection.bells), memory::Kind::bells, memory::Access::read_write);
  bells->region.forget_fd();
  const auto view = wait::view_bells(bells->region.as<memory::BellsHeader>(), bells->region.bytes(),
                                     connection.welcome.session);
  if (!view) throw Error(errc::corrupt, "the daemon sent bells that do not hold this session's");
  bells->view = *view;
  return bells;
}

wait::Notifier::Bell BusCore::bell_of(const std::shared_ptr<Bells>& bells) {
  return {bells, &bells->view.own()};
}

// ---- the way back

void BusCore::reconnect(std::uint64_t seen, const Deadline& deadline,
                        control::ClientSession::Attempts attempts) {
  const Gate::Alone alone(gate_, deadline);
  std::optional<control::Connection> connection = session_->reconnect(seen, deadline, attempts);
  if (connection) after_reconnect(*connection);
}

void BusCore::after_reconnect(control::Connection& connection) {
  const Deadline deadline = Deadline::after(kAttachAgain);
  const std::vector<std::shared_ptr<TopicLink>> links = live_links();
  if (connection.continuity == control::Continuity::resumed) {
    for (const auto& link : links) {
      try {
        link->attach_again(*session_, deadline);
      } catch (const control::ConnectionLost&) {
        return;  // whoever asks next starts over
      } catch (const Error&) {
        link->make_stale();  // its users attach anew and learn why it cannot be
      }
      index_link(link);
    }
    return;
  }
  std::shared_ptr<Bells> bells = map_bells(connection);
  notifier_->set_bell(bell_of(bells));
  for (const auto& link : links) {
    link->make_stale();
    link->waker().ring_session(link->bells().view.own_session);  // whoever sleeps on the old bell
  }
  const std::lock_guard lock(links_mutex_);
  links_.clear();
  links_by_id_.clear();
  bells_ = std::move(bells);
}

void BusCore::tend(std::chrono::milliseconds patience) noexcept {
  using Attempts = control::ClientSession::Attempts;
  const std::int64_t now = now_ns();
  std::int64_t before = tended_ns_.load(std::memory_order_relaxed);
  const bool without = without_daemon_.load(std::memory_order_relaxed);
  const std::chrono::nanoseconds every = without ? kTendWithoutEvery : kTendEvery;
  if (now - before < every.count()) return;
  if (!tended_ns_.compare_exchange_strong(before, now, std::memory_order_relaxed)) return;
  try {
    const std::uint64_t seen = session_->connections();
    if (!session_->drain_notices() && !session_->connected())
      reconnect(seen, Deadline::after(patience), without ? Attempts::one : Attempts::many);
    without_daemon_.store(false, std::memory_order_relaxed);
  } catch (const std::exception&) {
    without_daemon_.store(true, std::memory_order_relaxed);  // for now: the next one who waits tries again
  }
}

// ---- links

std::shared_ptr<Use> BusCore::attach(const std::string& topic, control::Role role, const Deadline& deadline) {
  return connected(deadline, [&](control::ClientSession& session) {
    auto attached = session.request(control::Attach{.topic = topic, .role = role, .previous = {}}, deadline);
    return adopt(topic, role, attached);
  });
}

/// Joins the topic's link, or makes one. With the gate held: no reconnection comes between.
std::shared_ptr<Use> BusCore::adopt(const std::string& topic, control::Role role,
                                    control::Answered<control::Attached>& attached) {
  const control::Attached& body = attached.body;
  std::shared_ptr<TopicLink> link;
  auto attachment = std::make_shared<Attachment>(
      Attachment{.id = body.attachment, .role = role, .lease_cell = body.lease_cell});
  {
    const std::lock_guard lock(links_mutex_);
    const auto known = links_.find(topic);
    if (known != links_.end()) link = known->second.lock();
  }
  const bool same = link != nullptr && !link->stale() && link->uuid() == body.uuid &&
                    link->sleeper_bit() == body.sleeper_bit && link->id() == body.topic;
  if (!same) {
    if (link != nullptr) link->make_stale();
    std::shared_ptr<Bells> bells;
    {
      const std::lock_guard lock(links_mutex_);
      bells = bells_;
    }
    link = std::make_shared<TopicLink>(shared_from_this(), topic, std::move(bells), attached);
    index_link(link);
  }
  link->add(attachment);
  return std::make_shared<Use>(std::move(link), std::move(attachment));
}

void BusCore::detach(TopicLink& link, const Attachment& attachment) noexcept {
  try {
    if (fork_mark_.forked()) return;
    link.remove(attachment);
    if (link.stale() || !session_->connected()) return;
    const Deadline deadline = Deadline::after(kFarewell);
    const Gate::Shared pass(gate_, deadline);
    if (link.stale()) return;  // since: its number may be another attachment's by now
    session_->request(control::Detach{.attachment = attachment.id}, deadline);
  } catch (const std::exception&) {
    return;  // the daemon learns of it when the session ends
  }
}

void BusCore::index_link(const std::shared_ptr<TopicLink>& link) {
  const std::lock_guard lock(links_mutex_);
  std::erase_if(links_by_id_, [](const auto& entry) { return entry.second.expired(); });
  std::erase_if(links_, [](const auto& entry) { return entry.second.expired(); });
  if (link->stale()) return;
  links_.insert_or_assign(link->name(), link);
  links_by_id_.insert_or_assign(control::raw(link->id()), link);
}

std::vector<std::shared_ptr<TopicLink>> BusCore::live_links() {
  std::vector<std::shared_ptr<TopicLink>> links;
  const std::lock_guard lock(links_mutex_);
  links_by_id_.clear();  // the ids are about to change
  for (const auto& [name, weak] : links_)
    if (auto link = weak.lock(); link != nullptr) links.push_back(std::move(link));
  return links;
}

std::shared_ptr<TopicLink> BusCore::find_link(control::TopicId id) {
  const std::lock_guard lock(links_mutex_);
  const auto found = links_by_id_.find(control::raw(id));
  return found == links_by_id_.end() ? nullptr : found->second.lock();
}

void BusCore::take_notice(control::Notice&& notice, std::vector<Fd>&& fds) {
  // Notices of topics that are not known (yet) may be dropped: whoever meets a lane or a ring that it does
  // not know asks for it. TopicGone is told by the fences, after the last record; Stopping and ErrorReply
  // come before the connection ends, which is what is acted upon.
  if (const auto* lane = std::get_if<control::LaneOffer>(&notice)) {
    if (auto link = find_link(lane->topic)) link->take_offer(*lane, std::move(fds));
  } else if (const auto* ring = std::get_if<control::RingOffer>(&notice)) {
    if (auto link = find_link(ring->topic)) link->take_offer(*ring, std::move(fds));
  }
}

}  // namespace busway::client
