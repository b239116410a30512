// A scenario: a shape of the shared memory and who acts on it; and its exploration in a memory model.
#pragma once

#include <string>
#include <vector>

#include "tests/interleave/engine/explorer.hpp"
#include "tests/interleave/roles/world.hpp"

namespace busway::interleave {

struct Scenario {
  std::string name;
  Shape shape{};
  bool reader = true;
  bool in_place = false;         ///< the reader leases
  bool worker = true;            ///< somebody drains
  bool heir = false;             ///< and is succeeded when it crashes
  std::uint64_t grow_at = 1000;  ///< the worker fences once so many records are on disk
  ring::FenceReason fence = ring::FenceReason::grown;
};

enum class Model { sequential, views };
const char* name_of(Model model) noexcept;

/// Explores `scenario`; `sites`, if given, gets every access of the code that was run.
Verdict explore(const Scenario& scenario, Model model, Bounds bounds, Seed& seed,
                std::vector<Site>* sites = nullptr);

/// One line for a person: counts and the outcome.
std::string summary(const Scenario& scenario, Model model, Bounds bounds, const Verdict& verdict);

}  // namespace busway::interleave
