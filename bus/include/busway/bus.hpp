// Connecting to the daemon, and topics.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <busway/publisher.hpp>
#include <busway/subscriber.hpp>
#include <busway/types.hpp>

namespace busway {

namespace client {
class BusCore;
}  // namespace client

struct ConnectOptions {
  /// Control socket; empty: BUSWAY_SOCKET, else $XDG_RUNTIME_DIR/busway/busway.sock, else
  /// /tmp/busway-UID/busway.sock (not for root), else /run/busway/busway.sock: the first where a socket lies.
  std::string socket{};
  /// Name of this program in the daemon's statistics; empty: that of the executable.
  std::string name{};
  /// How long connect, and any later request to the daemon, may take. A worker restart is waited out within
  /// it.
  std::chrono::milliseconds timeout{10'000};
};

/// A session with the daemon. Thread safe; publishers and subscribers made by it keep it alive.
/// A forked child must connect anew: using its parent's session is errc::forked.
class Bus {
 public:
  explicit Bus(std::shared_ptr<client::BusCore> core) noexcept;

  /// Throws errc::topic_exists, errc::invalid_topic_name, errc::invalid_setting, errc::access_denied,
  /// errc::limit_reached.
  void create_topic(std::string_view name, const TopicSpec& spec = {});
  void alter_topic(std::string_view name, const Settings& settings);
  void delete_topic(std::string_view name);
  std::vector<std::string> topics();
  /// errc::unknown_topic.
  TopicInfo describe_topic(std::string_view name);
  /// Counters of the daemon, its topics and clients, by name.
  std::vector<std::pair<std::string, std::string>> stats();

  /// Is there a connection to the daemon? A hint: whoever waits or asks learns that it is gone. Publishing
  /// and reading through shared memory go on without one; the connection is mended when the daemon is back.
  bool connected() const noexcept;

  Publisher publisher(std::string_view topic, const PublisherOptions& options = {});
  Subscriber subscriber(std::string_view topic, const SubscriberOptions& options = {});

  const std::shared_ptr<client::BusCore>& core() const noexcept { return core_; }

 private:
  std::shared_ptr<client::BusCore> core_;
};

/// Connects. Throws errc::no_daemon, errc::wrong_socket_owner, errc::access_denied, errc::protocol_mismatch,
/// errc::limit_reached, errc::deadline_exceeded.
Bus connect(const ConnectOptions& options = {});

}  // namespace busway
