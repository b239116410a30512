// A daemon whose threads all run on the second core, and sessions with it: what the figures of the public API
// need.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <busway/busway.hpp>
#include <busway/embedded.hpp>

#include "bench/micro/figure.hpp"

namespace busway::bench {

class BusRoom {
 public:
  /// `config`: settings of the daemon.
  explicit BusRoom(const Settings& config = {});
  BusRoom(const BusRoom&) = delete;
  BusRoom& operator=(const BusRoom&) = delete;
  ~BusRoom();

  /// A session of its own, as another process would have.
  Bus connect();
  /// Creates a topic in memory and gives its name. `blocking`: nothing of it is lost (overflow=block).
  std::string memory_topic(bool blocking);
  /// Creates a logged topic.
  std::string logged_topic(const Settings& settings = {});
  const std::string& directory() const noexcept { return directory_.path(); }

 private:
  std::string topic(const Settings& settings);

  ScratchDirectory directory_;
  std::unique_ptr<EmbeddedDaemon> daemon_;
  int topics_ = 0;
};

/// Longer than any run: who waits in a benchmark that is about spinning never sleeps.
inline constexpr std::chrono::microseconds kSpinForEver{60'000'000};

}  // namespace busway::bench
