// A daemon within this process, for tests and for programs that want no service. Link busway::embedded.
#pragma once

#include <memory>
#include <string>

#include <busway/bus.hpp>

namespace busway {

struct EmbeddedOptions {
  /// Settings of the daemon's configuration by name: {{"disk.backend", "threads"}}.
  Settings config{};
};

/// Runs the daemon's worker in threads of this process, without a keeper: its data outlives it, its shared
/// memory does not. Other processes may connect to socket() as to any daemon. Thread safe.
class EmbeddedDaemon {
 public:
  /// Starts on `data_dir`, which is created if need be. Throws what buswayd would refuse to start with:
  /// errc::data_dir_in_use, errc::data_dir_version, errc::invalid_setting, errc::io.
  explicit EmbeddedDaemon(const std::string& data_dir, const EmbeddedOptions& options = {});
  EmbeddedDaemon(const EmbeddedDaemon&) = delete;
  EmbeddedDaemon& operator=(const EmbeddedDaemon&) = delete;
  /// stop().
  ~EmbeddedDaemon();

  /// A session with this daemon; `options.socket` is ignored.
  Bus connect(ConnectOptions options = {});
  const std::string& socket() const noexcept;
  /// Stops cleanly: everything published is durable on return. Idempotent.
  void stop();

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace busway
