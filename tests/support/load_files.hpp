// What load_pub and load_sub wrote down, and how much of it there is.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "tests/support/load_record.hpp"

namespace busway::test {

/// How much of their load the tests leave out: under sanitizers everything takes longer.
inline constexpr int kLoadDivisor = BUSWAY_LOAD_DIVISOR;

/// The offsets that a publisher's records were given, in the order in which it published them.
std::vector<std::int64_t> read_acknowledged(const std::filesystem::path& file);
/// What a subscriber saw, in the order in which it saw it.
std::vector<SeenRecord> read_seen(const std::filesystem::path& file);

}  // namespace busway::test
