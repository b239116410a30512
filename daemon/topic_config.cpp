#include "daemon/topic_config.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include <busway/error.hpp>

#include "bus/base/limits.hpp"

namespace busway::daemon {
namespace {

constexpr std::int64_t kNever = TopicConfig::kNever;
constexpr std::int64_t kIntMost = std::numeric_limits<std::int32_t>::max();

constexpr Choice kPolicies[] = {{"delete", 0}};
constexpr Choice kCodecs[] = {{"none", 0}, {"gzip", 1}, {"snappy", 2}, {"lz4", 3}, {"zstd", 4}};
constexpr Choice kStorages[] = {{"logged", 1}, {"memory", 2}};
constexpr Choice kOverflows[] = {{"drop-oldest", 1}, {"block", 2}};

/// A row whose value is the given member.
template <auto Member>
constexpr TopicSetting row(const SettingDescription& about) {
  return {about, [](const TopicConfig& config) { return static_cast<std::int64_t>(config.*Member); },
          [](TopicConfig& config, std::int64_t value) {
            using Value = std::remove_reference_t<decltype(config.*Member)>;
            config.*Member = static_cast<Value>(value);
          }};
}

using enum SettingType;

constexpr std::array kTable = {
    row<&TopicConfig::retention_ms>(
        {"retention.ms", milliseconds, "7d", -1, kNever, true,
         "Segments whose youngest record is older are deleted. -1: never by age."}),
    row<&TopicConfig::retention_bytes>(
        {"retention.bytes", bytes, "-1", -1, kNever, true,
         "The oldest segments of a partition are deleted while it is larger. -1: never by size."}),
    row<&TopicConfig::segment_bytes>(
        {"segment.bytes", bytes, "1GiB", 4096, kIntMost, true,
         "Size at which a partition starts a new segment file. A single larger batch still goes into one."}),
    row<&TopicConfig::segment_ms>(
        {"segment.ms", milliseconds, "7d", 1, kNever, true,
         "Age at which a partition starts a new segment file, so that retention can delete the old one."}),
    row<&TopicConfig::cleanup_policy>({"cleanup.policy", choice, "delete", 0, 0, true,
                                       "What retention does with old segments.", kPolicies}),
    row<&TopicConfig::max_message_bytes>({"max.message.bytes", bytes, "1MiB", 1,
                                          static_cast<std::int64_t>(limits::kMessageBytesMost), true,
                                          "Largest record: key, value and headers together."}),
    row<&TopicConfig::compression>(
        {"compression.type", choice, "none", 0, 0, true, "Codec of the record batches in the log.", kCodecs}),
    row<&TopicConfig::flush_messages>(
        {"flush.messages", integer, "9223372036854775807", 1, kNever, true,
         "Records of a partition after which the log is synced even if nobody asked for durability."}),
    row<&TopicConfig::flush_ms>(
        {"flush.ms", milliseconds, "100", 1, kNever, true,
         "Time after which a written record is synced even if nobody asked for durability. Kafka's default "
         "leaves it to the kernel; here that must be asked for."}),
    row<&TopicConfig::index_interval_bytes>(
        {"index.interval.bytes", bytes, "4KiB", 0, kIntMost, true,
         "Bytes of log between two entries of the offset and time indexes."}),
    row<&TopicConfig::preallocate>({"preallocate", boolean, "false", 0, 1, true,
                                    "Allocate a segment file's whole size when it is created."}),
    row<&TopicConfig::timestamp_before_max_ms>(
        {"message.timestamp.before.max.ms", milliseconds, "9223372036854775807", 0, kNever, true,
         "How far a record's timestamp may lie behind the daemon's clock."}),
    row<&TopicConfig::timestamp_after_max_ms>({"message.timestamp.after.max.ms", milliseconds, "1h", 0,
                                               kNever, true,
                                               "How far a record's timestamp may lie ahead of the daemon's "
                                               "clock: one from the year 2100 would hold "
                                               "retention for ever."}),
    row<&TopicConfig::storage>({"storage", choice, "logged", 0, 0, false,
                                "logged: every record goes to the log. memory: records live in shared memory "
                                "only. Fixed when the topic is created.",
                                kStorages}),
    row<&TopicConfig::overflow>({"overflow", choice, "drop-oldest", 0, 0, false,
                                 "With storage=memory, what a full ring does: overwrite the oldest record, "
                                 "or make publishers wait for "
                                 "the slowest subscriber. Fixed when the topic is created.",
                                 kOverflows}),
    row<&TopicConfig::lease_timeout_ms>(
        {"lease.timeout.ms", milliseconds, "10s", 10, 3'600'000, true,
         "How long a subscriber may look at records in place before its lease is revoked."}),
};

[[noreturn]] void refuse(std::string_view topic, errc code, const std::string& sentence) {
  throw Error(code, "topic " + std::string(topic) + ": " + sentence);
}

const TopicSetting& find_setting(std::string_view topic, std::string_view key, std::string_view value) {
  const auto found = std::find_if(kTable.begin(), kTable.end(),
                                  [&](const TopicSetting& row) { return row.about.key == key; });
  if (found != kTable.end()) return *found;
  std::vector<std::string_view> known;
  known.reserve(kTable.size());
  for (const TopicSetting& setting : kTable) known.push_back(setting.about.key);
  const std::string_view near = nearest_key(key, known);
  std::string sentence = "unknown setting " + std::string(key) + " (= " + std::string(value) + ")";
  if (!near.empty()) sentence += ", did you mean " + std::string(near) + "?";
  refuse(topic, errc::invalid_setting, sentence);
}

void apply(std::string_view topic, const std::string& key, const std::string& value, TopicConfig& config) {
  const TopicSetting& setting = find_setting(topic, key, value);
  if (key == "cleanup.policy" && value.find("compact") != std::string::npos) {
    refuse(topic, errc::unsupported,
           "cleanup.policy = " + value + ": this version does not compact, the only policy is delete");
  }
  try {
    setting.set(config, parse_setting(setting.about, value));
  } catch (const Error& error) {
    refuse(topic, error.error(), error.sentence());
  }
}

}  // namespace

std::span<const TopicSetting> topic_settings() noexcept { return kTable; }

TopicConfig parse_topic_config(std::string_view topic, const Settings& settings, const TopicConfig& base) {
  TopicConfig config = base;
  for (const auto& [key, value] : settings) apply(topic, key, value, config);
  if (config.overflow == TopicOverflow::block && config.storage != TopicStorage::memory) {
    refuse(topic, errc::invalid_setting,
           "overflow = block: a logged topic never overwrites what is not in its log; set storage=memory as "
           "well, or "
           "leave overflow out");
  }
  return config;
}

TopicConfig alter_topic_config(std::string_view topic, const Settings& settings, const TopicConfig& now) {
  const TopicConfig config = parse_topic_config(topic, settings, now);
  for (const TopicSetting& setting : kTable) {
    if (setting.about.changeable || setting.get(config) == setting.get(now)) continue;
    refuse(topic, errc::invalid_setting,
           std::string(setting.about.key) + " = " + print_setting(setting.about, setting.get(config)) +
               ": is fixed when a topic is created, and this one has " +
               print_setting(setting.about, setting.get(now)) + "; create another topic");
  }
  return config;
}

Settings print_topic_config(const TopicConfig& config) {
  Settings out;
  for (const TopicSetting& row : kTable) {
    out.emplace(row.about.key, print_setting(row.about, row.get(config)));
  }
  return out;
}

Settings print_topic_overrides(const TopicConfig& config, const TopicConfig& base) {
  Settings out;
  for (const TopicSetting& row : kTable) {
    if (row.get(config) == row.get(base)) continue;
    out.emplace(row.about.key, print_setting(row.about, row.get(config)));
  }
  return out;
}

}  // namespace busway::daemon
