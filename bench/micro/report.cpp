#include "bench/micro/report.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <iomanip>
#include <string>

#include "bench/micro/statistics.hpp"

namespace busway::bench {
namespace {

/// Three significant digits.
std::string number(double value) {
  const double size = std::fabs(value);
  const int digits = size >= 100 ? 0 : size >= 10 ? 1 : 2;
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.*f", digits, value);
  return text.data();
}

struct Row {
  std::vector<Run> runs;  ///< of one distance
  std::size_t left_out = 0;
};

Row row_of(const Figure& figure, const std::vector<Run>& runs) {
  std::array<std::vector<Run>, 3> by_distance;
  std::size_t all = 0;
  for (const Run& run : runs) {
    if (run.figure != figure.name || run.pairs == 0) continue;
    by_distance[static_cast<std::size_t>(run.distance)].push_back(run);
    ++all;
  }
  const auto most = std::max_element(by_distance.begin(), by_distance.end(),
                                     [](const auto& a, const auto& b) { return a.size() < b.size(); });
  return {*most, all - most->size()};
}

double median_of(const std::vector<Run>& runs, double Run::*member) {
  std::vector<double> values;
  for (const Run& run : runs) values.push_back(run.*member);
  return median(values);
}

double ratio_spread(const std::vector<Run>& runs) {
  std::vector<double> values;
  for (const Run& run : runs) values.push_back(run.ratio);
  return values.size() > 1 ? spread(values) : runs.front().spread;
}

bool reached(const Figure& figure, double ratio) {
  switch (figure.bound) {
    case Bound::at_most:
      return ratio <= figure.target;
    case Bound::at_least:
      return ratio >= figure.target;
    case Bound::none:
      return true;
  }
  return true;
}

std::string target_text(const Figure& figure) {
  if (figure.bound == Bound::none) return "-";
  return (figure.bound == Bound::at_most ? "<= " : ">= ") + number(figure.target);
}

}  // namespace

void print_run(std::ostream& out, const Figure& figure, const Run& run) {
  out << std::left << std::setw(34) << run.figure;
  if (run.pairs == 0) {
    out << "the cores moved during every pair: nothing to compare\n" << std::flush;
    return;
  }
  out << std::right << std::setw(9) << number(run.ours) << " / " << std::setw(8) << number(run.raw) << ' '
      << std::left << std::setw(6) << figure.unit << " = " << std::setw(6) << number(run.ratio) << " ±"
      << std::setw(4) << number(100 * run.spread) + "%"
      << "  probe " << number(run.probe_before_ns) << " .. " << number(run.probe_after_ns) << " ns ("
      << text(run.distance) << ", " << run.pairs << " pairs)\n"
      << std::flush;
}

int print_table(std::ostream& out, const std::vector<Figure>& figures, const std::vector<Run>& runs) {
  const auto line = [&](const auto&... cells) {
    constexpr std::array<int, 9> kWidths = {34, 15, 15, 7, 8, 4, 6, 7, 5};
    std::size_t column = 0;
    ((out << (column == 0 ? "" : " | ") << std::left << std::setw(kWidths[column]) << cells, ++column), ...);
    out << '\n';
  };
  line("figure", "ours", "raw", "ratio", "target", "ok", "noise", "cores", "runs");
  int missed = 0;
  for (const Figure& figure : figures) {
    const Row row = row_of(figure, runs);
    if (row.runs.empty()) continue;
    const double ratio = median_of(row.runs, &Run::ratio);
    const bool ok = reached(figure, ratio);
    if (!ok) ++missed;
    line(figure.name, number(median_of(row.runs, &Run::ours)) + " " + figure.unit,
         number(median_of(row.runs, &Run::raw)) + " " + figure.unit, number(ratio), target_text(figure),
         figure.bound == Bound::none ? ""
         : ok                        ? "yes"
                                     : "NO",
         "±" + number(100 * ratio_spread(row.runs)) + "%", text(row.runs.front().distance),
         std::to_string(row.runs.size()) + (row.left_out != 0 ? "+" + std::to_string(row.left_out) : ""));
  }
  return missed;
}

}  // namespace busway::bench
