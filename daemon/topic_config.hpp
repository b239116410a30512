// Settings of a topic: Kafka's names, units and meaning where Kafka has them. One table describes them all;
// parsing, printing, bounds and docs/configuration.md follow from it.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>

#include <busway/types.hpp>

#include "daemon/config_setting.hpp"

namespace busway::daemon {

/// Kafka's codec numbers in a record batch's attributes.
enum class Compression : std::int64_t { none = 0, gzip = 1, snappy = 2, lz4 = 3, zstd = 4 };
enum class TopicStorage : std::int64_t { logged = 1, memory = 2 };       ///< memory::Storage's numbers
enum class TopicOverflow : std::int64_t { drop_oldest = 1, block = 2 };  ///< memory::Overflow's numbers
enum class CleanupPolicy : std::int64_t { remove = 0 };                  ///< "delete"

struct TopicConfig {
  static constexpr std::int64_t kUnlimited = -1;
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

  std::int64_t retention_ms = 7LL * 24 * 3600 * 1000;  ///< kUnlimited: by time never
  std::int64_t retention_bytes = kUnlimited;           ///< of each partition
  std::int64_t segment_bytes = 1LL << 30;
  std::int64_t segment_ms = 7LL * 24 * 3600 * 1000;
  CleanupPolicy cleanup_policy = CleanupPolicy::remove;
  std::int64_t max_message_bytes = 1LL << 20;  ///< key, value and headers of one record together
  Compression compression = Compression::none;
  std::int64_t flush_messages = kNever;
  std::int64_t flush_ms = 100;
  std::int64_t index_interval_bytes = 4096;
  bool preallocate = false;
  std::int64_t timestamp_before_max_ms = kNever;
  std::int64_t timestamp_after_max_ms = 3600LL * 1000;
  TopicStorage storage = TopicStorage::logged;
  TopicOverflow overflow = TopicOverflow::drop_oldest;
  std::int64_t lease_timeout_ms = 10'000;

  friend bool operator==(const TopicConfig&, const TopicConfig&) = default;
};

/// One row of the table.
struct TopicSetting {
  SettingDescription about;
  std::int64_t (*get)(const TopicConfig&);
  void (*set)(TopicConfig&, std::int64_t);
};
std::span<const TopicSetting> topic_settings() noexcept;

/// `base` with `settings` over it. Throws errc::invalid_setting naming topic, key, value, bounds, and for an
/// unknown key the nearest known one.
TopicConfig parse_topic_config(std::string_view topic, const Settings& settings,
                               const TopicConfig& base = {});

/// What `alter` does: as parse_topic_config, and refuses a change of what is fixed when a topic is created
/// (`storage`, `overflow`).
TopicConfig alter_topic_config(std::string_view topic, const Settings& settings, const TopicConfig& now);

/// Every setting with its value as text that parse_topic_config takes back.
Settings print_topic_config(const TopicConfig& config);
/// Only those that differ from `base`: what a topic's own file keeps.
Settings print_topic_overrides(const TopicConfig& config, const TopicConfig& base = {});

}  // namespace busway::daemon
