// Measures Busway against the limits of the machine it runs on: see figure.hpp. `scripts/bench` builds and
// runs this.
//
//   busway_bench_micro [--quick] [--data-dir=DIR] [--check] [--table=FILE] [Google Benchmark's options]
//
// --check: exit status 1 when a target is missed. --table: the table at the end goes to this file, too.
// --benchmark_filter=REGEX picks figures, --benchmark_out=FILE keeps every run as JSON.
#include <fstream>
#include <iostream>
#include <string>
#include <string_view>

#include <benchmark/benchmark.h>

#include "bench/micro/figures.hpp"
#include "bench/micro/report.hpp"
#include "bus/base/crc32c.hpp"

namespace busway::bench {
namespace {

constexpr int kRuns = 5;
constexpr int kQuickRuns = 3;

struct CommandLine {
  BenchSettings settings;
  std::string table;
  bool check = false;
};

/// Takes our own options out of the arguments.
CommandLine parse(int& argc, char** argv) {
  CommandLine line;
  line.settings.data_dir = "bench-data";
  const auto value_of = [](std::string_view argument, std::string_view option, std::string& value) {
    if (!argument.starts_with(option)) return false;
    value = argument.substr(option.size());
    return true;
  };
  int kept = 1;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--quick") {
      line.settings.quick = true;
    } else if (argument == "--check") {
      line.check = true;
    } else if (!value_of(argument, "--data-dir=", line.settings.data_dir) &&
               !value_of(argument, "--table=", line.table)) {
      argv[kept++] = argv[i];
    }
  }
  argc = kept;
  return line;
}

/// Google Benchmark's own console lines say nothing of ratios: ours are printed as the runs end.
class QuietReporter final : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      if (run.error_occurred) std::cout << run.benchmark_name() << ": " << run.error_message << '\n';
    }
  }
};

void measure(benchmark::State& state, const Figure& figure, std::vector<bench::Run>& runs) {
  if (usable_cores() < figure.cores) {
    state.SkipWithError("needs two cores");
    return;
  }
  bench::Run run;
  for (auto _ : state) {
    const std::int64_t start = now_ns();
    try {
      run = run_once(figure);
    } catch (const std::exception& error) {
      state.SkipWithError(error.what());
      return;
    }
    state.SetIterationTime(static_cast<double>(now_ns() - start) * 1e-9);
  }
  state.counters["ours"] = run.ours;
  state.counters["raw"] = run.raw;
  state.counters["ratio"] = run.ratio;
  state.counters["pairs"] = static_cast<double>(run.pairs);
  state.counters["distance"] = static_cast<double>(run.distance);
  state.counters["probe_before_ns"] = run.probe_before_ns;
  state.counters["probe_after_ns"] = run.probe_after_ns;
  state.SetLabel(figure.unit);
  print_run(std::cout, figure, run);
  runs.push_back(run);
}

int run_all(int argc, char** argv) {
  const CommandLine line = parse(argc, argv);
  set_settings(line.settings);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  pin_this_thread(0);

  Figures figures;
  add_bus_figures(figures);
  add_durable_figures(figures);
  add_ring_figures(figures);
  add_log_figures(figures);
  add_drain_figures(figures);
  std::vector<bench::Run> runs;
  for (const Figure& figure : figures) {
    benchmark::RegisterBenchmark(figure.name.c_str(),
                                 [&](benchmark::State& state) { measure(state, figure, runs); })
        ->UseManualTime()
        ->Iterations(1)
        ->Repetitions(line.settings.quick ? kQuickRuns : kRuns);
  }
  benchmark::AddCustomContext("crc32c", [] {
    for (const auto& implementation : crc32c_detail::implementations()) {
      if (implementation.usable()) return implementation.name;
    }
    return "none";
  }());
  QuietReporter reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter);
  benchmark::Shutdown();
  std::cout << '\n';
  const int missed = print_table(std::cout, figures, runs);
  if (!line.table.empty()) {
    std::ofstream file(line.table);
    print_table(file, figures, runs);
  }
  return line.check && missed != 0 ? 1 : 0;
}

}  // namespace
}  // namespace busway::bench

int main(int argc, char** argv) { return busway::bench::run_all(argc, argv); }
