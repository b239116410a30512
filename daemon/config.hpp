// The daemon's configuration: a TOML file, overridden by the command line. One table describes all settings;
// parsing, printing, bounds, reload and docs/configuration.md follow from it.
//
// Precedence: command line (--data-dir, --socket, --set KEY=VALUE), environment (BUSWAY_SOCKET), file,
// default. Unknown keys and bad values are errors that name file, line, bounds and the nearest known key. A
// Config is a value: a reload makes a new one, and the old one stays in force when the file is broken.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "daemon/config_acl.hpp"
#include "daemon/config_setting.hpp"
#include "daemon/logging.hpp"
#include "daemon/topic_config.hpp"

namespace busway::daemon {

enum class DiskBackend : std::int64_t { automatic = 0, io_uring = 1, threads = 2 };

struct Config {
  std::string data_dir;
  std::string socket_path;
  std::int64_t socket_mode = 0666;
  std::int64_t memory_max_bytes = 0;          ///< 0 in the file: default_memory_budget()
  std::int64_t memory_per_uid_max_bytes = 0;  ///< 0 in the file: half of memory_max_bytes
  DiskBackend disk_backend = DiskBackend::automatic;
  std::int64_t drain_spin_us = 20;
  std::int64_t staging_max_bytes = 64LL << 20;
  std::int64_t sessions_max = 4096;
  std::int64_t sessions_per_uid_max = 2048;
  std::int64_t topics_max = 16384;
  std::int64_t lanes_per_uid_max = 4096;
  bool auto_create_topics = false;
  std::int64_t num_partitions = 1;
  LogLevel log_level = LogLevel::info;
  std::int64_t granted_step = 1048576;
  std::int64_t sweep_interval_ms = 100;
  std::int64_t retention_check_ms = 60'000;
  std::string disk_trace_path;
  TopicConfig topic_defaults;
  Acl acl;
};

/// One row of the table. Numbers go through get and set, texts through `text`.
struct ConfigSetting {
  SettingDescription about;
  std::int64_t (*get)(const Config&) = nullptr;
  void (*set)(Config&, std::int64_t) = nullptr;
  std::string Config::*text = nullptr;
};
std::span<const ConfigSetting> config_settings() noexcept;

/// Where a configuration comes from.
struct ConfigSource {
  /// File given on the command line. Without one /etc/busway/busway.toml is read if it exists.
  std::optional<std::string> file;
  /// Settings of the command line, by key.
  std::map<std::string, std::string> overrides;
};

inline constexpr std::string_view kDefaultConfigFile = "/etc/busway/busway.toml";

/// Text of the source's file; empty when there is none and none was asked for. errc::io when it cannot be
/// read.
std::string read_config_text(const ConfigSource& source);

/// The configuration that `text` (named `file` in errors) and the source's overrides make.
/// Throws errc::invalid_setting.
Config parse_config(std::string_view text, std::string_view file, const ConfigSource& source);

/// read_config_text, then parse_config.
Config load_config(const ConfigSource& source);

struct Reload {
  Config config;  ///< what is in force from now on
  std::vector<std::string>
      pending;  ///< a sentence for each change that waits for the next start of the service
};
/// Settings that may change at run time are taken from `fresh`, all others stay.
Reload reload_config(const Config& now, const Config& fresh);

/// The configuration as a TOML file.
std::string print_config(const Config& config);

/// $XDG_STATE_HOME/busway, else /var/lib/busway for root and ~/.local/state/busway for others. (The socket's
/// default place is control::default_socket_path: daemon and clients share that rule.)
std::string default_data_dir();

/// Where default_memory_budget looks; tests point it at files of their own.
struct MemorySources {
  std::string meminfo = "/proc/meminfo";
  std::string own_cgroups = "/proc/self/cgroup";
  std::string cgroup_root = "/sys/fs/cgroup";
};
/// A quarter of the machine's memory, at most half of what the control group (version 2 or 1) has left, in
/// bytes.
std::int64_t default_memory_budget(const MemorySources& sources = {});

}  // namespace busway::daemon
