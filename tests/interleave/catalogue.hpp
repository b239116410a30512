// The scenarios that the suites explore.
#pragma once

#include <vector>

#include "tests/interleave/scenario.hpp"

namespace busway::interleave {

/// A scenario with the bounds it is explored to.
struct Exploration {
  Scenario scenario;
  Model model = Model::sequential;
  Bounds bounds{};
};

/// Small ones, one for each part of the algorithm: quick to explore, and where seeded mistakes are hunted.
const std::vector<Exploration>& quick_explorations();
/// Two publishers, a reader and the drain to preemption bound 3 with a crash at every step, and all that goes
/// with it.
const std::vector<Exploration>& full_explorations();

}  // namespace busway::interleave
