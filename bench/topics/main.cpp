// A thousand topics of one partition, each with a publisher and a subscriber in processes of their own: how
// much shared memory they take, and what daemon and clients cost while nobody publishes.
//
//   busway_bench_topics [--topics=1000] [--idle-seconds=10] [--data-dir=DIR] [--check]
//
// The subscribers wait through callbacks (one notifier thread); each has received a record before anything is
// measured.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <busway/busway.hpp>

#include "bench/topics/child.hpp"
#include "bench/topics/process_counters.hpp"

namespace busway::bench {
namespace {

using namespace std::chrono_literals;

constexpr double kMemoryMostMib = 150;
constexpr double kProcessorMostPercent = 0.1;

struct Options {
  std::string role = "main";
  std::string socket;
  std::string data_dir = "bench-data";
  int topics = 1000;
  int idle_seconds = 10;
  bool check = false;
};

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const std::string name = argument.substr(0, argument.find('='));
    const std::string value = name == argument ? "" : argument.substr(name.size() + 1);
    if (name == "--role") {
      options.role = value;
    } else if (name == "--socket") {
      options.socket = value;
    } else if (name == "--data-dir") {
      options.data_dir = value;
    } else if (name == "--topics") {
      options.topics = std::stoi(value);
    } else if (name == "--idle-seconds") {
      options.idle_seconds = std::stoi(value);
    } else if (argument == "--check") {
      options.check = true;
    } else {
      throw std::invalid_argument("unknown option " + argument);
    }
  }
  return options;
}

std::string topic_name(int number) { return "topic-" + std::to_string(number); }

/// Ready once every topic has delivered a record.
int subscribe_to_all(const Options& options) {
  Bus bus = connect({.socket = options.socket});
  std::vector<Subscriber> subscribers;
  subscribers.reserve(static_cast<std::size_t>(options.topics));
  std::atomic<int> received{0};
  for (int i = 0; i < options.topics; ++i) {
    subscribers.push_back(bus.subscriber(topic_name(i), {.from = earliest}));
    subscribers.back().on_record([&](const Record&) { ++received; });
  }
  while (received < options.topics) std::this_thread::sleep_for(10ms);
  say_ready_and_wait();
  return 0;
}

/// Ready once every topic has a record.
int publish_to_all(const Options& options) {
  Bus bus = connect({.socket = options.socket});
  std::vector<Publisher> publishers;
  for (int i = 0; i < options.topics; ++i) {
    publishers.push_back(bus.publisher(topic_name(i)));
    publishers.back().publish({.value = "a record"});
  }
  say_ready_and_wait();
  return 0;
}

Bus connect_within(const std::string& socket, std::chrono::seconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (true) {
    try {
      return connect({.socket = socket});
    } catch (const Error& error) {
      if (error.error() != errc::no_daemon || std::chrono::steady_clock::now() > deadline) throw;
      std::this_thread::sleep_for(20ms);
    }
  }
}

void print_row(const char* figure, double ours, const char* unit, double most) {
  std::printf("%-34s | %8.3f %-6s | %15s | %7.2f | <= %-5.4g | %s\n", figure, ours, unit, "", ours / most,
              most, ours <= most ? "yes" : "NO");
}

int measure(const Options& options, const std::string& program, const std::string& scratch) {
  const std::string socket = scratch + "/busway.sock";
  Child daemon({BUSWAYD_PROGRAM, "--data-dir", scratch + "/data", "--socket", socket});
  {
    Bus bus = connect_within(socket, 20s);
    for (int i = 0; i < options.topics; ++i) bus.create_topic(topic_name(i));
  }
  const std::vector<std::string> common = {"--socket=" + socket,
                                           "--topics=" + std::to_string(options.topics)};
  Child subscribers({program, "--role=subscribers", common[0], common[1]});
  Child publishers({program, "--role=publishers", common[0], common[1]});
  if (!publishers.await_line() || !subscribers.await_line()) throw std::runtime_error("a client ended early");

  std::this_thread::sleep_for(12s);  // what is done for topics that were active in the last 10 s is over
  std::vector<pid_t> all = family_of(daemon.pid());
  all.push_back(subscribers.pid());
  all.push_back(publishers.pid());
  const std::uint64_t before_ns = processor_ns(all);
  std::this_thread::sleep_for(std::chrono::seconds(options.idle_seconds));
  const double idle_percent = static_cast<double>(processor_ns(all) - before_ns) /
                              (static_cast<double>(options.idle_seconds) * 1e9) * 100;
  const double memory_mib = static_cast<double>(memfd_bytes(daemon.pid())) / (1 << 20);

  const std::string name = "topics_" + std::to_string(options.topics);
  print_row((name + "/shared_memory").c_str(), memory_mib, "MiB", kMemoryMostMib);
  print_row((name + "/idle_processor").c_str(), idle_percent, "%", kProcessorMostPercent);
  return options.check && (memory_mib > kMemoryMostMib || idle_percent > kProcessorMostPercent) ? 1 : 0;
}

int run(const Options& options) {
  if (options.role == "subscribers") return subscribe_to_all(options);
  if (options.role == "publishers") return publish_to_all(options);
  std::filesystem::create_directories(options.data_dir);
  std::string scratch = std::filesystem::absolute(options.data_dir).string() + "/topics-XXXXXX";
  if (::mkdtemp(scratch.data()) == nullptr) throw std::runtime_error("cannot create " + scratch);
  struct Removed {
    std::string path;
    ~Removed() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
  } const removed{scratch};
  return measure(options, std::filesystem::read_symlink("/proc/self/exe").string(), scratch);
}

}  // namespace
}  // namespace busway::bench

int main(int argc, char** argv) {
  try {
    return busway::bench::run(busway::bench::parse(argc, argv));
  } catch (const std::exception& error) {
    std::cerr << "busway_bench_topics: " << error.what() << '\n';
    return 2;
  }
}
