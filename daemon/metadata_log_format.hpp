// Changes of metadata as record batches with text keys and JSON values, and back. The format is in
// metadata_log.hpp.
//
// Thread safety: none needed, functions over values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "daemon/metadata_log.hpp"

namespace busway::daemon {

/// The state with what is needed to find topics by uuid.
class MetadataTable {
 public:
  const MetadataState& state() const noexcept { return state_; }
  const std::map<Uuid, DeletionSet>& deletions() const noexcept { return deletions_; }
  void apply(const MetadataChange& change);

 private:
  void apply_one(const TopicSet& set);
  void apply_one(const TopicDeleted& deleted);
  void apply_one(const DeletionSet& set);
  void apply_one(const DeletionDone& done);
  void apply_one(const PartitionSet& set);

  MetadataState state_;
  std::map<Uuid, std::string> names_;
  std::map<Uuid, DeletionSet> deletions_;
};

struct EncodedMetadata {
  std::vector<std::byte> bytes;  ///< one record batch
  Offset next_offset = 0;
};

/// One batch of these changes, the first record at `base_offset`. `changes` is not empty.
EncodedMetadata encode_changes(std::span<const MetadataChange> changes, Offset base_offset);
/// One batch that makes this table out of nothing. Has at least one record: the format's version.
EncodedMetadata encode_snapshot(const MetadataTable& table, Offset base_offset);

struct LoadedMetadata {
  MetadataTable table;
  Offset next_offset = 0;
  std::uint64_t torn_bytes = 0;  ///< behind the last whole batch
};

/// Reads a whole file. Throws errc::corrupt, naming file and place, when anything but its tail does not check
/// out, and errc::data_dir_version when a newer Busway wrote it.
LoadedMetadata load_metadata(const File& file, Offset base_offset);

}  // namespace busway::daemon
