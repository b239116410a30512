// What the parts of the control thread work with. Made by the worker, which owns all of it and outlives them.
#pragma once

#include <cstdint>
#include <vector>

#include "daemon/config.hpp"
#include "daemon/data_directory.hpp"
#include "daemon/drain.hpp"
#include "daemon/kept_memory.hpp"
#include "daemon/metadata_log.hpp"
#include "daemon/partition_log.hpp"
#include "daemon/server.hpp"

namespace busway::daemon {

/// Numbers of partitions in the daemon's bitmaps. Not thread safe: control thread.
class OrdinalPool {
 public:
  /// Throws errc::limit_reached at limits::kPartitionsPerDaemon.
  std::uint32_t take();
  /// An ordinal that an earlier worker gave out. False: it is taken already, or out of range.
  bool reserve(std::uint32_t ordinal);
  void give_back(std::uint32_t ordinal);

 private:
  std::vector<bool> taken_;
  std::vector<std::uint32_t> free_;
};

struct Services {
  const Config& config;
  KeeperLink& keeper;
  KeptMemory& memory;
  MemoryBudget& budget;
  MetadataLog& metadata;
  DataDirectory& data;
  StoreContext& store;
  Drain& drain;
  DrainEvents& events;
  memory::BellsHeader& bells;
  OrdinalPool& ordinals;
};

/// How far `granted` is ahead of the log end.
std::uint64_t granted_step(const Config& config, TopicStorage storage) noexcept;

}  // namespace busway::daemon
