// Names of topics, partition directories and segment files, all Kafka's. Thread safe (no state).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace busway::log {

enum class SegmentFile : std::uint8_t { log, index, time_index };

/// ".log", ".index", ".timeindex".
[[nodiscard]] std::string_view suffix(SegmentFile kind) noexcept;

/// "00000000000000000042.log": the base offset in 20 digits. `base_offset` is not negative.
[[nodiscard]] std::string segment_file_name(std::int64_t base_offset, SegmentFile kind);

struct SegmentName {
  std::int64_t base_offset = 0;
  SegmentFile kind = SegmentFile::log;
};
/// The reverse; none if `name` is not exactly such a name.
[[nodiscard]] std::optional<SegmentName> parse_segment_file_name(std::string_view name) noexcept;

/// "<topic>-<partition>".
[[nodiscard]] std::string partition_directory(std::string_view topic, std::uint32_t partition);

struct PartitionName {
  std::string topic;
  std::uint32_t partition = 0;
};
/// The reverse; none if `name` is not a valid topic name, a hyphen and a number without leading zeros.
[[nodiscard]] std::optional<PartitionName> parse_partition_directory(std::string_view name);

/// What is wrong with a topic name, as a sentence that names it; empty: nothing.
[[nodiscard]] std::string topic_name_problem(std::string_view name);
/// Throws busway::Error(invalid_topic_name) with that sentence.
void check_topic_name(std::string_view name);

}  // namespace busway::log
