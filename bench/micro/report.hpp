// What is printed: a line for each run while it goes on, and at the end a table of all figures with their
// targets.
#pragma once

#include <ostream>
#include <vector>

#include "bench/micro/figure.hpp"

namespace busway::bench {

/// One line: ours, raw, ratio, the probe before and after.
void print_run(std::ostream& out, const Figure& figure, const Run& run);

/// `figure | ours | raw | ratio | target | ok`, in the order of `figures`: medians of the runs of the
/// distance that most of a figure's runs had. Returns how many targets were missed.
int print_table(std::ostream& out, const std::vector<Figure>& figures, const std::vector<Run>& runs);

}  // namespace busway::bench
