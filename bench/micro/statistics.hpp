// Medians and percentiles of a few measurements. Pure functions.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

namespace busway::bench {

/// The value that a share of `part` (0 to 1) of `values` does not exceed; 0 of none.
inline double percentile(std::span<const double> values, double part) {
  if (values.empty()) return 0;
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  return sorted[static_cast<std::size_t>(part * static_cast<double>(sorted.size() - 1) + 0.5)];
}

inline double median(std::span<const double> values) { return percentile(values, 0.5); }

/// Half of the distance between the quartiles, in parts of the median: how noisy the values are.
inline double spread(std::span<const double> values) {
  const double middle = median(values);
  return middle == 0 ? 0 : (percentile(values, 0.75) - percentile(values, 0.25)) / 2 / middle;
}

}  // namespace busway::bench
