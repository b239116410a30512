// A figure: something of ours, measured in turn with the limit that the machine sets it, in the same run.
//
// Model. A figure's comparison is set up anew for each run. A run takes a number of pairs (raw limit, ours);
// the cache-line probe is read before and after each pair, and only pairs whose two probes agree on the
// distance of the cores count, and of those only the ones of the run's most frequent distance. The run's
// ratio is the median of its pairs'. A figure's ratio is the median of its runs (five) of one distance; see
// report.hpp.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/micro/cores.hpp"

namespace busway::bench {

/// Two things that are measured in turn. Values are in the figure's unit.
class Comparison {
 public:
  Comparison() = default;
  Comparison(const Comparison&) = delete;
  Comparison& operator=(const Comparison&) = delete;
  virtual ~Comparison() = default;

  virtual double ours() = 0;
  virtual double raw() = 0;
};

enum class Bound { none, at_most, at_least };

struct Figure {
  std::string name;
  std::string unit;  ///< of both values: "ns", "us", "M/s", "GB/s", ...
  Bound bound = Bound::none;
  double target = 0;  ///< of ours / raw
  std::function<std::unique_ptr<Comparison>()> prepare;
  std::size_t pairs = 15;  ///< of a run
  unsigned cores = 2;      ///< that it needs
};

struct Run {
  std::string figure;
  double ours = 0;
  double raw = 0;
  double ratio = 0;
  double spread = 0;  ///< of the pairs' ratios
  double probe_before_ns = 0;
  double probe_after_ns = 0;
  Distance distance = Distance::near;  ///< of the pairs that count
  std::size_t pairs = 0;               ///< that count
};

/// What the command line says.
struct BenchSettings {
  bool quick = false;    ///< fewer and shorter measurements
  std::string data_dir;  ///< on the file system that is to be measured
};
const BenchSettings& settings();
void set_settings(const BenchSettings& settings);
/// `full`, or a fraction of it in a quick run.
std::size_t scaled(std::size_t full);

/// A directory of its own under settings().data_dir, removed with all it holds.
class ScratchDirectory {
 public:
  ScratchDirectory();
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  ~ScratchDirectory();
  const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

/// One run. Throws what the comparison throws.
Run run_once(const Figure& figure);

}  // namespace busway::bench
