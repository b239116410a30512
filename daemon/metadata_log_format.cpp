#include "daemon/metadata_log_format.hpp"

#include <charconv>
#include <optional>
#include <string_view>

#include <nlohmann/json.hpp>

#include <busway/error.hpp>

#include "bus/base/clock.hpp"
#include "bus/base/limits.hpp"
#include "bus/log/batch_encoder.hpp"
#include "bus/log/segment_scanner.hpp"

namespace busway::daemon {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kTopicKey = "topic/";
constexpr std::string_view kPartitionKey = "partition/";
constexpr std::string_view kDeletionKey = "deletion/";
constexpr std::string_view kFormatKey = "format";
constexpr int kFormat = 1;

struct Entry {
  std::string key;
  std::optional<std::string> value;  // nothing: a tombstone
};

std::optional<Uuid> parse_uuid(std::string_view text) {
  Uuid uuid;
  std::string digits;
  for (const char digit : text) {
    if (digit != '-') digits += digit;
  }
  if (digits.size() != uuid.bytes.size() * 2) return std::nullopt;
  for (std::size_t i = 0; i < uuid.bytes.size(); ++i) {
    const char* from = digits.data() + 2 * i;
    const auto [end, error] = std::from_chars(from, from + 2, uuid.bytes[i], 16);
    if (error != std::errc() || end != from + 2) return std::nullopt;
  }
  return uuid.text() == text ? std::optional(uuid) : std::nullopt;
}

Entry entry_of(const TopicSet& set) {
  const Json value{{"uuid", set.uuid.text()}, {"partitions", set.partitions}, {"settings", set.settings}};
  return {std::string(kTopicKey) + set.name, value.dump()};
}

Entry entry_of(const TopicDeleted& deleted) { return {std::string(kTopicKey) + deleted.name, std::nullopt}; }

Entry entry_of(const DeletionSet& set) {
  const Json value{{"name", set.name}, {"partitions", set.partitions}};
  return {std::string(kDeletionKey) + set.topic.text(), value.dump()};
}

Entry entry_of(const DeletionDone& done) {
  return {std::string(kDeletionKey) + done.topic.text(), std::nullopt};
}

Entry entry_of(const PartitionSet& set) {
  const Json value{{"granted", set.state.granted}, {"epoch", raw(set.state.epoch)}};
  return {std::string(kPartitionKey) + set.topic.text() + "/" + std::to_string(set.partition), value.dump()};
}

TopicSet topic_of(std::string_view name, const Json& value) {
  TopicSet set;
  set.name = name;
  const auto uuid = parse_uuid(value.at("uuid").get<std::string>());
  if (!uuid) throw Error(errc::corrupt, "a topic's uuid is malformed");
  set.uuid = *uuid;
  set.partitions = value.at("partitions").get<std::uint32_t>();
  if (set.partitions > limits::kPartitionsPerTopic) throw Error(errc::corrupt, "a topic's partitions");
  set.settings = value.at("settings").get<std::map<std::string, std::string>>();
  return set;
}

Uuid deleted_topic(std::string_view uuid) {
  const auto topic = parse_uuid(uuid);
  if (!topic) throw Error(errc::corrupt, "a deletion's key is malformed");
  return *topic;
}

DeletionSet deletion_of(std::string_view uuid, const Json& value) {
  DeletionSet set;
  set.topic = deleted_topic(uuid);
  set.name = value.at("name").get<std::string>();
  set.partitions = value.at("partitions").get<std::uint32_t>();
  if (set.partitions > limits::kPartitionsPerTopic) throw Error(errc::corrupt, "a deletion's partitions");
  return set;
}

PartitionSet partition_of(std::string_view key, const Json& value) {
  PartitionSet set;
  const std::size_t slash = key.find('/');
  const auto uuid = parse_uuid(key.substr(0, slash));
  if (!uuid || slash == std::string_view::npos) throw Error(errc::corrupt, "a partition's key is malformed");
  const std::string_view number = key.substr(slash + 1);
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), set.partition);
  if (error != std::errc() || end != number.data() + number.size()) {
    throw Error(errc::corrupt, "a partition's number is malformed");
  }
  set.topic = *uuid;
  set.state.granted = value.at("granted").get<Offset>();
  set.state.epoch = Epoch{value.at("epoch").get<std::int32_t>()};
  return set;
}

void check_format(const Json& value) {
  const int version = value.at("version").get<int>();
  if (version == kFormat) return;
  throw Error(errc::data_dir_version, "the metadata has format " + std::to_string(version) +
                                          " of a newer Busway; this one knows format " +
                                          std::to_string(kFormat));
}

void apply_record(MetadataTable& table, std::string_view key, const log::Bytes& text) {
  if (key.starts_with(kTopicKey) && text.is_null()) {
    return table.apply(TopicDeleted{std::string(key.substr(kTopicKey.size()))});
  }
  if (key.starts_with(kDeletionKey) && text.is_null())
    return table.apply(DeletionDone{deleted_topic(key.substr(kDeletionKey.size()))});
  const Json value = Json::parse(text.text());
  if (key.starts_with(kDeletionKey)) return table.apply(deletion_of(key.substr(kDeletionKey.size()), value));
  if (key == kFormatKey) return check_format(value);
  if (key.starts_with(kTopicKey)) return table.apply(topic_of(key.substr(kTopicKey.size()), value));
  if (key.starts_with(kPartitionKey)) {
    return table.apply(partition_of(key.substr(kPartitionKey.size()), value));
  }
  throw Error(errc::corrupt, "the key \"" + std::string(key) + "\" is unknown");
}

EncodedMetadata encode(const std::vector<Entry>& entries, Offset base_offset) {
  std::size_t bytes = log::kBatchHeaderBytes;
  for (const Entry& entry : entries) {
    const std::size_t value = entry.value ? entry.value->size() : 0;
    bytes += log::BatchEncoder::record_bytes_most(0, entry.key.size(), value);
  }
  EncodedMetadata encoded;
  encoded.bytes.resize(bytes);
  log::BatchEncoder encoder;
  encoder.begin(encoded.bytes, base_offset, Epoch{0});
  const std::int64_t now_ms = coarse_unix_ms();
  for (const Entry& entry : entries) {
    const log::Bytes value = entry.value ? log::Bytes(std::string_view(*entry.value)) : log::Bytes();
    const auto result = encoder.append({.timestamp_ms = now_ms,
                                        .key = log::Bytes(std::string_view(entry.key)),
                                        .value = value,
                                        .headers = {}});
    if (result != log::AppendResult::appended) throw Error(errc::limit_reached, "too much metadata at once");
  }
  const log::BatchSummary summary = encoder.finish();
  encoded.bytes.resize(static_cast<std::size_t>(summary.bytes));
  encoded.next_offset = summary.next_offset();
  return encoded;
}

void apply_batch(MetadataTable& table, const log::BatchView& batch) {
  log::Decompressor plain;
  std::span<const std::byte> records;
  if (plain.records(batch, records) != log::BatchError::none) throw Error(errc::corrupt, "a batch's codec");
  log::RecordCursor cursor(batch, records);
  log::RecordView record;
  while (cursor.next(record)) apply_record(table, record.key.text(), record.value);
  if (cursor.error() != log::BatchError::none) throw Error(errc::corrupt, "a record is malformed");
}

[[noreturn]] void throw_corrupt(const File& file, std::int64_t position, const std::string& what) {
  throw Error(errc::corrupt, "the metadata log " + file.path() + " is damaged at position " +
                                 std::to_string(position) + ": " + what +
                                 ". Restore the file from a backup; without it topics and granted offsets "
                                 "are unknown");
}

}  // namespace

void MetadataTable::apply(const MetadataChange& change) {
  std::visit([this](const auto& one) { apply_one(one); }, change);
}

void MetadataTable::apply_one(const TopicSet& set) {
  TopicMetadata& topic = state_[set.name];
  if (topic.uuid != set.uuid) {
    names_.erase(topic.uuid);
    topic = {};
  }
  topic.uuid = set.uuid;
  topic.partitions = set.partitions;
  topic.settings = set.settings;
  topic.state.resize(set.partitions);
  names_[set.uuid] = set.name;
}

void MetadataTable::apply_one(const TopicDeleted& deleted) {
  const auto found = state_.find(deleted.name);
  if (found == state_.end()) return;
  names_.erase(found->second.uuid);
  state_.erase(found);
}

void MetadataTable::apply_one(const DeletionSet& set) { deletions_[set.topic] = set; }

void MetadataTable::apply_one(const DeletionDone& done) { deletions_.erase(done.topic); }

void MetadataTable::apply_one(const PartitionSet& set) {
  const auto name = names_.find(set.topic);
  if (name == names_.end()) return;
  TopicMetadata& topic = state_[name->second];
  if (set.partition < topic.state.size()) topic.state[set.partition] = set.state;
}

EncodedMetadata encode_changes(std::span<const MetadataChange> changes, Offset base_offset) {
  std::vector<Entry> entries;
  entries.reserve(changes.size());
  for (const MetadataChange& change : changes) {
    entries.push_back(std::visit([](const auto& one) { return entry_of(one); }, change));
  }
  return encode(entries, base_offset);
}

EncodedMetadata encode_snapshot(const MetadataTable& table, Offset base_offset) {
  std::vector<Entry> entries;
  entries.push_back({std::string(kFormatKey), Json{{"version", kFormat}}.dump()});
  for (const auto& [uuid, deletion] : table.deletions()) entries.push_back(entry_of(deletion));
  for (const auto& [name, topic] : table.state()) {
    entries.push_back(entry_of(TopicSet{name, topic.uuid, topic.partitions, topic.settings}));
    for (std::uint32_t i = 0; i < topic.state.size(); ++i) {
      if (topic.state[i] != PartitionMetadata{}) {
        entries.push_back(entry_of(PartitionSet{topic.uuid, i, topic.state[i]}));
      }
    }
  }
  return encode(entries, base_offset);
}

LoadedMetadata load_metadata(const File& file, Offset base_offset) {
  LoadedMetadata loaded;
  log::SegmentScanner scanner(file.fd(), base_offset);
  bool snapshot = false;
  for (;;) {
    switch (scanner.next()) {
      case log::ScanEvent::batch:
        try {
          apply_batch(loaded.table, scanner.batch());
        } catch (const nlohmann::json::exception& error) {
          throw_corrupt(file, scanner.batch_position(), error.what());
        } catch (const Error& error) {
          if (error.error() != errc::corrupt) throw;
          throw_corrupt(file, scanner.batch_position(), error.sentence());
        }
        snapshot = true;
        break;
      case log::ScanEvent::bad_region:
        if (scanner.bad().next_offset >= 0) {
          throw_corrupt(file, scanner.bad().position, std::string(log::text(scanner.bad().error)));
        }
        break;
      case log::ScanEvent::end:
        if (!snapshot) throw_corrupt(file, 0, "its snapshot does not check out");
        loaded.next_offset = scanner.next_offset();
        loaded.torn_bytes = file.size() - static_cast<std::uint64_t>(scanner.position());
        return loaded;
    }
  }
}

}  // namespace busway::daemon
