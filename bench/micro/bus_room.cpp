#include "bench/micro/bus_room.hpp"

#include <exception>

namespace busway::bench {
namespace {

Settings with_quiet_log(Settings config) {
  config["log.level"] = "warning";
  return config;
}

}  // namespace

BusRoom::BusRoom(const Settings& config) {
  std::exception_ptr failed;
  // Threads inherit the core of the thread that makes them.
  other_core().start([&] {
    try {
      daemon_ = std::make_unique<EmbeddedDaemon>(directory_.path() + "/data",
                                                 EmbeddedOptions{.config = with_quiet_log(config)});
    } catch (...) {
      failed = std::current_exception();
    }
  });
  other_core().join();
  if (failed) std::rethrow_exception(failed);
}

BusRoom::~BusRoom() = default;

Bus BusRoom::connect() { return daemon_->connect(); }

std::string BusRoom::topic(const Settings& settings) {
  const std::string name = "t" + std::to_string(++topics_);
  connect().create_topic(name, {.partitions = 1, .config = settings});
  return name;
}

std::string BusRoom::memory_topic(bool blocking) {
  return topic(blocking ? Settings{{"storage", "memory"}, {"overflow", "block"}}
                        : Settings{{"storage", "memory"}});
}

std::string BusRoom::logged_topic(const Settings& settings) { return topic(settings); }

}  // namespace busway::bench
