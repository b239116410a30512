#include "daemon/config.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <type_traits>

#include <fcntl.h>
#include <unistd.h>

#include <busway/error.hpp>

#include "bus/base/fd.hpp"
#include "bus/base/limits.hpp"

namespace busway::daemon {
namespace {

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kPathMost = 4095;
constexpr std::int64_t kSocketPathMost =
    100;  // sun_path holds 108; the keeper binds under a longer name first

constexpr Choice kBackends[] = {{"auto", 0}, {"io_uring", 1}, {"threads", 2}};
constexpr Choice kLevels[] = {{"debug", 0}, {"info", 1}, {"warning", 2}, {"error", 3}, {"off", 4}};

template <auto Member>
constexpr ConfigSetting row(const SettingDescription& about) {
  using Value = std::remove_reference_t<decltype(std::declval<Config&>().*Member)>;
  if constexpr (std::is_same_v<Value, std::string>) {
    return {.about = about, .text = Member};
  } else {
    return {.about = about,
            .get = [](const Config& config) { return static_cast<std::int64_t>(config.*Member); },
            .set = [](Config& config, std::int64_t value) { config.*Member = static_cast<Value>(value); }};
  }
}

using enum SettingType;

constexpr std::array kTable = {
    row<&Config::data_dir>({"data.dir", text, "", 0, kPathMost, false,
                            "Directory of the log. Default: $XDG_STATE_HOME/busway or ~/.local/state/busway, "
                            "for root /var/lib/busway."}),
    row<&Config::socket_path>(
        {"socket.path", text, "", 0, kSocketPathMost, false,
         "Control socket. Default: $BUSWAY_SOCKET, else $XDG_RUNTIME_DIR/busway/busway.sock, "
         "else /run/busway/busway.sock for root and /tmp/busway-<uid>/busway.sock for others."}),
    row<&Config::socket_mode>(
        {"socket.mode", mode, "0666", 0600, 0777, false,
         "Mode of the socket file. Who may do what is decided by the ACL, so anybody may knock."}),
    row<&Config::memory_max_bytes>({"memory.max.bytes", bytes, "0", 0, kMost, true,
                                    "Shared memory of all topics together. 0: a quarter of the machine's "
                                    "memory, at most half of what the "
                                    "control group has left."}),
    row<&Config::memory_per_uid_max_bytes>({"memory.per.uid.max.bytes", bytes, "0", 0, kMost, true,
                                            "Share of one user in it. 0: half of memory.max.bytes."}),
    row<&Config::disk_backend>({"disk.backend", choice, "auto", 0, 0, false,
                                "How the log is written; auto tries io_uring and falls back to threads.",
                                kBackends}),
    row<&Config::drain_spin_us>({"drain.spin.us", microseconds, "20", 0, 10'000, true,
                                 "How long the drain looks for more records before it sleeps."}),
    row<&Config::staging_max_bytes>(
        {"staging.max.bytes", bytes, "64MiB", 4LL << 20, 16LL << 30, false,
         "Records copied out of shared memory and not yet written, or kept until they are durable."}),
    row<&Config::sessions_max>(
        {"sessions.max", integer, "4096", 1, limits::kSessionsMost, true, "Attached client processes."}),
    row<&Config::sessions_per_uid_max>({"sessions.per.uid.max", integer, "2048", 1, limits::kSessionsMost,
                                        true, "Attached client processes of one user."}),
    row<&Config::topics_max>({"topics.max", integer, "16384", 1, limits::kTopicsPerDaemon, true, "Topics."}),
    row<&Config::lanes_per_uid_max>({"lanes.per.uid.max", integer, "4096", 1, limits::kManifestEntries, true,
                                     "Lanes (one for each publisher and topic) of one user."}),
    row<&Config::auto_create_topics>({"auto.create.topics.enable", boolean, "false", 0, 1, true,
                                      "Create a topic when somebody publishes to one that does not exist."}),
    row<&Config::num_partitions>({"num.partitions", integer, "1", 1, limits::kPartitionsPerTopic, true,
                                  "Partitions of a topic that is created by publishing to it."}),
    row<&Config::log_level>({"log.level", choice, "info", 0, 0, true, "What the daemon logs.", kLevels}),
    row<&Config::granted_step>(
        {"granted.step", integer, "1048576", 64, 1LL << 31, true,
         "Offsets granted ahead at once. After a crash of the whole machine a partition "
         "skips what was granted and not used."}),
    row<&Config::retention_check_ms>(
        {"log.retention.check.interval.ms", milliseconds, "60s", 100, kMost, true,
         "How often the daemon looks for segments that retention.ms and retention.bytes delete."}),
    row<&Config::disk_trace_path>({"disk.trace.path", text, "", 0, kPathMost, false,
                                   "File that every write and sync is traced to; empty: no trace."}),
    row<&Config::sweep_interval_ms>({"sweep.interval.ms", milliseconds, "100", 10, 60'000, true,
                                     "How often the daemon looks for sleepers whose wake-up was lost."}),
};

std::string value_text(const ConfigSetting& setting, const Config& config) {
  return setting.text != nullptr ? config.*setting.text : print_setting(setting.about, setting.get(config));
}

void copy_value(const ConfigSetting& setting, const Config& from, Config& to) {
  if (setting.text != nullptr) {
    to.*setting.text = from.*setting.text;
  } else {
    setting.set(to, setting.get(from));
  }
}

}  // namespace

std::span<const ConfigSetting> config_settings() noexcept { return kTable; }

std::string read_config_text(const ConfigSource& source) {
  const std::string path = source.file.value_or(std::string(kDefaultConfigFile));
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) {
    if (!source.file && errno == ENOENT) return {};
    throw_errno("cannot read the configuration file " + path);
  }
  std::string text;
  char part[4096];
  while (true) {
    const ssize_t bytes = ::read(file.get(), part, sizeof(part));
    if (bytes == 0) return text;
    if (bytes < 0) throw_errno("cannot read the configuration file " + path);
    text.append(part, static_cast<std::size_t>(bytes));
  }
}

Config load_config(const ConfigSource& source) {
  return parse_config(read_config_text(source), source.file.value_or(std::string(kDefaultConfigFile)),
                      source);
}

Reload reload_config(const Config& now, const Config& fresh) {
  Reload reload{now, {}};
  for (const ConfigSetting& setting : kTable) {
    const std::string before = value_text(setting, now);
    const std::string after = value_text(setting, fresh);
    if (before == after) continue;
    if (setting.about.changeable) {
      copy_value(setting, fresh, reload.config);
    } else {
      std::string& sentence = reload.pending.emplace_back(setting.about.key);
      sentence.append(" stays ").append(before).append(" until the next start (").append(after);
      sentence.append(" in the file)");
    }
  }
  reload.config.topic_defaults = fresh.topic_defaults;
  reload.config.acl = fresh.acl;
  return reload;
}

}  // namespace busway::daemon
