// Explores scenarios of the catalogue by hand: interleave_explore [WORDS [PREEMPTIONS [CRASHES]]]
//   WORDS         part of a scenario's name; without it they are listed
//   PREEMPTIONS   instead of the catalogue's bound
//   CRASHES       likewise
// Prints the counts, and the trace of what was found. Exit code 1 if something was.
#include <cstdlib>
#include <iostream>

#include "tests/interleave/catalogue.hpp"

namespace {

using namespace busway::interleave;

bool explore_one(const Exploration& exploration) {
  Seed none;
  const Verdict verdict = explore(exploration.scenario, exploration.model, exploration.bounds, none);
  std::cout << summary(exploration.scenario, exploration.model, exploration.bounds, verdict) << std::endl;
  for (const std::string& line : verdict.trace) std::cout << "  " << line << "\n";
  return verdict.broken.empty();
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<Exploration> all = quick_explorations();
  all.insert(all.end(), full_explorations().begin(), full_explorations().end());
  bool good = true;
  for (Exploration exploration : all) {
    const std::string name = exploration.scenario.name + ", " + name_of(exploration.model);
    if (argc < 2) {
      std::cout << name << "\n";
      continue;
    }
    if (name.find(argv[1]) == std::string::npos) continue;
    if (argc > 2) exploration.bounds.preemptions = static_cast<unsigned>(std::atoi(argv[2]));
    if (argc > 3) exploration.bounds.crashes = static_cast<unsigned>(std::atoi(argv[3]));
    good &= explore_one(exploration);
  }
  return good ? 0 : 1;
}
