#include "tests/interleave/hunt.hpp"

#include <algorithm>

namespace busway::interleave {

namespace {

const std::vector<std::vector<Site>>& sites_by_exploration() {
  static const std::vector<std::vector<Site>> all = [] {
    std::vector<std::vector<Site>> list;
    for (const Exploration& exploration : quick_explorations()) {
      // What is accessed does not depend on the model; the sequential one is quick.
      Seed none;
      std::vector<Site> sites;
      const Bounds bounds{.preemptions = 2, .crashes = exploration.bounds.crashes, .states = 150'000};
      explore(exploration.scenario, Model::sequential, bounds, none, &sites);
      list.push_back(std::move(sites));
    }
    return list;
  }();
  return all;
}

}  // namespace

const std::vector<Site>& all_sites() {
  static const std::vector<Site> all = [] {
    std::vector<Site> merged;
    for (const auto& sites : sites_by_exploration())
      for (const Site& site : sites) {
        const auto known = std::find_if(merged.begin(), merged.end(), [&](const Site& other) {
          return other.line == site.line && other.column == site.column && other.place == site.place &&
                 other.file == site.file;
        });
        if (known == merged.end())
          merged.push_back(site);
        else
          known->kinds |= site.kinds;
      }
    return merged;
  }();
  return all;
}

const std::vector<Site>& sites_of(std::size_t exploration) { return sites_by_exploration()[exploration]; }

Catch hunt(const At& at, bool views_only, const std::function<std::unique_ptr<Seed>()>& seed) {
  const std::vector<Exploration>& explorations = quick_explorations();
  for (std::size_t i = 0; i < explorations.size(); ++i) {
    const Exploration& exploration = explorations[i];
    if (views_only && exploration.model == Model::sequential) continue;
    if (!at.function.empty() && !Lines::exist(at, sites_of(i))) continue;
    const std::unique_ptr<Seed> mistake = seed();
    const Verdict verdict = explore(exploration.scenario, exploration.model, exploration.bounds, *mistake);
    if (verdict.broken.empty()) continue;
    return {true, verdict.broken + " [" + exploration.scenario.name + ", " + name_of(exploration.model) +
                      ", " + std::to_string(verdict.states) + " states]"};
  }
  return {};
}

}  // namespace busway::interleave
