#include "bench/micro/figure.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <stdexcept>

#include <stdlib.h>

#include "bench/micro/statistics.hpp"

namespace busway::bench {
namespace {

struct Pair {
  double ours;
  double raw;
  Distance distance;
};

BenchSettings& mutable_settings() {
  static BenchSettings current;
  return current;
}

Distance most_frequent(const std::vector<Pair>& pairs) {
  std::array<int, 3> counts{};
  for (const Pair& pair : pairs) ++counts[static_cast<std::size_t>(pair.distance)];
  return static_cast<Distance>(std::max_element(counts.begin(), counts.end()) - counts.begin());
}

Run summarise(const Figure& figure, const std::vector<Pair>& pairs) {
  Run run{.figure = figure.name};
  if (pairs.empty()) return run;
  run.distance = most_frequent(pairs);
  std::vector<double> ours;
  std::vector<double> raw;
  std::vector<double> ratios;
  for (const Pair& pair : pairs) {
    if (pair.distance != run.distance || pair.raw <= 0) continue;
    ours.push_back(pair.ours);
    raw.push_back(pair.raw);
    ratios.push_back(pair.ours / pair.raw);
  }
  run.ours = median(ours);
  run.raw = median(raw);
  run.ratio = median(ratios);
  run.spread = spread(ratios);
  run.pairs = ratios.size();
  return run;
}

}  // namespace

const BenchSettings& settings() { return mutable_settings(); }
void set_settings(const BenchSettings& settings) { mutable_settings() = settings; }

std::size_t scaled(std::size_t full) { return settings().quick ? std::max<std::size_t>(full / 4, 1) : full; }

ScratchDirectory::ScratchDirectory() {
  std::filesystem::create_directories(settings().data_dir);
  path_ = settings().data_dir + "/run-XXXXXX";
  if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("cannot create a directory " + path_);
}

ScratchDirectory::~ScratchDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Run run_once(const Figure& figure) {
  const std::unique_ptr<Comparison> comparison = figure.prepare();
  const std::size_t wanted = std::max<std::size_t>(scaled(figure.pairs), 3);
  static_cast<void>(comparison->raw());  // caches, page tables and branch predictors get to know both
  static_cast<void>(comparison->ours());
  std::vector<Pair> pairs;
  const double first_probe = bare_round_trip_ns();
  double before = first_probe;
  for (std::size_t taken = 0; taken < wanted; ++taken) {
    Pair pair{};
    if (taken % 2 == 0) pair.raw = comparison->raw();
    pair.ours = comparison->ours();
    if (taken % 2 != 0) pair.raw = comparison->raw();
    const double after = bare_round_trip_ns();
    pair.distance = distance_of(after);
    if (distance_of(before) == pair.distance) pairs.push_back(pair);
    before = after;
  }
  Run run = summarise(figure, pairs);
  run.probe_before_ns = first_probe;
  run.probe_after_ns = before;
  return run;
}

}  // namespace busway::bench
