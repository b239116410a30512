// Hunting seeded mistakes through the quick explorations.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/interleave/catalogue.hpp"
#include "tests/interleave/seeds.hpp"

namespace busway::interleave {

/// Every access of bus/ring and the roles that the quick explorations make, found by clean runs.
const std::vector<Site>& all_sites();
/// Those of one of them, by its place in quick_explorations().
const std::vector<Site>& sites_of(std::size_t exploration);

struct Catch {
  bool caught = false;
  std::string how;  ///< what was found, where
};

/// Explores, one after the other, those of the quick explorations that make the access `at` (all if it has no
/// function), with the seed in, until something is found. `views_only`: a weakened order shows nowhere else.
Catch hunt(const At& at, bool views_only, const std::function<std::unique_ptr<Seed>()>& seed);

}  // namespace busway::interleave
