// Stories of one partition's log that are cut short, and what must hold afterwards. Shared by the tests that
// cut the power once and those that cut it again during recovery.
#pragma once

#include <span>
#include <string>

#include "tests/disk/log_story.hpp"
#include "tests/disk/simulated_disk.hpp"

namespace busway::test {

struct Scenario {
  const char* name;
  void (*play)(LogStory& story);
  bool preallocate = false;
};
std::span<const Scenario> scenarios();

struct CrashCase {
  const Scenario& scenario;
  CrashKind kind;
  std::uint64_t seed;
  std::uint64_t cut = 0;         ///< the power goes before this step
  std::uint64_t second_cut = 0;  ///< and before this one of the recovery; 0: it does not
};
std::string text(const CrashCase& a_case);
std::string name(CrashKind kind);

/// Steps of the whole scenario.
std::uint64_t count_steps(const Scenario& scenario, std::uint64_t seed);
/// Plays it up to the cut. `memory` is what the world saw.
DiskImage play_until_cut(const CrashCase& a_case, Memory& memory);
/// Recovers, up to `second_cut`. True: it came to its end before.
bool recover_until_cut(const CrashCase& a_case, const DiskImage& image, const Memory& memory,
                       DiskImage& after);
/// Boots from the image and opens the log: nothing acknowledged is missing, nothing else is unreported, and
/// it can be written on. Fails the test otherwise.
void expect_recovered(const CrashCase& a_case, const DiskImage& image, Memory memory);

}  // namespace busway::test
