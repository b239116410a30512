// What load_pub and load_sub wrote down.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "tests/support/load_record.hpp"

namespace busway::test {

/// The offsets that a publisher's records were given, in the order in which it published them.
std::vector<std::int64_t> read_acknowledged(const std::filesystem::path& file);
/// What a subscriber saw, in the order in which it saw it.
std::vector<SeenRecord> read_seen(const std::filesystem::path& file);

}  // namespace busway::test
