#include "tests/support/private_daemon.hpp"

#include <atomic>
#include <csignal>
#include <iostream>
#include <stdexcept>

#include <gtest/gtest.h>

#ifndef BUSWAY_PROGRAM
#error "the programs' paths come from CMake"
#endif

namespace busway::test {

std::string busway_program() { return BUSWAY_PROGRAM; }
std::string buswayd_program() { return BUSWAYD_PROGRAM; }

Ran run_program(const TempDir& directory, ProcessSpec spec, std::string_view input,
                std::chrono::seconds deadline) {
  static std::atomic<int> counter{0};
  const std::string name = "run" + std::to_string(counter++);
  if (!input.empty()) spec.in = directory.file(name + ".in", input);
  spec.out = directory / (name + ".out");
  spec.err = directory / (name + ".err");
  Ran ran;
  ran.status = Process(spec).wait(deadline);
  ran.out = read_file(spec.out);
  ran.err = read_file(spec.err);
  for (const auto& file : {directory / (name + ".in"), spec.out, spec.err}) std::filesystem::remove(file);
  return ran;
}

PrivateDaemon::PrivateDaemon(const Words& settings, const std::filesystem::path& data)
    : settings_(settings), data_(data.empty() ? directory_ / "data" : data) {
  start();
}

PrivateDaemon::~PrivateDaemon() {
  if (!keeper_) return;
  try {
    kill_both();
  } catch (const std::exception& error) {
    std::cerr << "while cleaning up: " << error.what() << '\n';
  }
}

std::filesystem::path PrivateDaemon::partition(std::string_view topic, int partition) const {
  return data() / (std::string(topic) + '-' + std::to_string(partition));
}

std::string PrivateDaemon::words() const { return read_file(directory_ / "daemon.err"); }

void PrivateDaemon::start() {
  ProcessSpec spec;
  spec.command = {BUSWAYD_PROGRAM, "--data-dir", data_.string(), "--socket", socket()};
  for (const std::string& setting : settings_) {
    spec.command.push_back("--set");
    spec.command.push_back(setting);
  }
  spec.err = directory_ / "daemon.err";
  keeper_.emplace(spec);
  if (!serves()) throw std::runtime_error("buswayd does not serve:\n" + words());
}

bool PrivateDaemon::serves(std::chrono::milliseconds deadline) const {
  return eventually([&] { return busway({"topic", "list"}).status == 0; }, deadline);
}

Ran PrivateDaemon::busway(const Words& arguments, std::string_view input) const {
  ProcessSpec spec;
  spec.command = {BUSWAY_PROGRAM, "--socket", socket()};
  spec.command.insert(spec.command.end(), arguments.begin(), arguments.end());
  return run_program(directory_, spec, input);
}

std::string PrivateDaemon::ok(const Words& arguments, std::string_view input) const {
  const Ran ran = busway(arguments, input);
  EXPECT_EQ(ran.status, 0) << "busway " << arguments.at(0) << ": " << ran.err;
  return ran.out;
}

std::string PrivateDaemon::fails(const Words& arguments, std::string_view input) const {
  const Ran ran = busway(arguments, input);
  EXPECT_EQ(ran.status, 1) << "busway " << arguments.at(0) << ": " << ran.err;
  EXPECT_TRUE(ran.err.starts_with("busway: ")) << ran.err;
  EXPECT_TRUE(ran.err.ends_with("\n")) << ran.err;
  return ran.err;
}

Process PrivateDaemon::start_busway(const Words& arguments, const std::filesystem::path& out,
                                    const std::filesystem::path& in) const {
  ProcessSpec spec;
  spec.command = {BUSWAY_PROGRAM, "--socket", socket()};
  spec.command.insert(spec.command.end(), arguments.begin(), arguments.end());
  spec.out = out;
  spec.in = in;
  return Process(spec);
}

ProcessSpec PrivateDaemon::in_shell(std::string_view script) const {
  constexpr std::string_view kBusway = R"(busway() { "$program" --socket "$socket" "$@"; }; )";
  ProcessSpec spec;
  spec.command = {"sh", "-c", "program=$0 socket=$1; " + std::string(kBusway) + std::string(script),
                  busway_program(), socket()};
  return spec;
}

Process PrivateDaemon::start_load_pub(Words arguments) const {
  arguments.insert(arguments.begin(), {LOAD_PUB_PROGRAM, "socket=" + socket()});
  return Process({.command = std::move(arguments)});
}

Process PrivateDaemon::start_load_sub(Words arguments) const {
  arguments.insert(arguments.begin(), {LOAD_SUB_PROGRAM, "socket=" + socket()});
  return Process({.command = std::move(arguments)});
}

pid_t PrivateDaemon::worker() const {
  const auto children = children_of(keeper());
  return children.empty() ? -1 : children.front();
}

void PrivateDaemon::kill_worker() const {
  const pid_t pid = worker();
  if (pid > 0) ::kill(pid, SIGKILL);
}

int PrivateDaemon::stop() {
  keeper_->signal(SIGTERM);
  const int status = keeper_->wait();
  keeper_.reset();
  return status;
}

void PrivateDaemon::kill_both() {
  const pid_t child = worker();
  keeper_->signal(SIGKILL);
  if (child > 0) ::kill(child, SIGKILL);
  keeper_->wait();
  keeper_.reset();
  if (child > 0 && !eventually([&] { return !alive(child); })) {
    throw std::runtime_error("the worker did not die");
  }
}

void PrivateDaemon::finish() {
  EXPECT_EQ(stop(), 0) << words();
  if (::testing::Test::HasFailure()) std::cerr << "what the daemon said:\n" << words();
}

}  // namespace busway::test
