// A buswayd of a test's own: its own directory, socket and configuration; stopped, or killed by its pid, at
// the end.
#pragma once

#include <filesystem>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "tests/support/process.hpp"
#include "tests/support/temp_dir.hpp"

namespace busway::test {

using Words = std::vector<std::string>;

/// What a finished program left behind.
struct Ran {
  int status = -1;
  std::string out;
  std::string err;
};

class PrivateDaemon {
 public:
  /// Starts it and waits until it serves. `settings`: KEY=VALUE of its configuration. `data`: its data
  /// directory; empty: one within directory().
  explicit PrivateDaemon(const Words& settings = {}, const std::filesystem::path& data = {});
  PrivateDaemon(const PrivateDaemon&) = delete;
  PrivateDaemon& operator=(const PrivateDaemon&) = delete;
  ~PrivateDaemon();

  const TempDir& directory() const noexcept { return directory_; }
  std::filesystem::path data() const { return data_; }
  std::filesystem::path partition(std::string_view topic, int partition = 0) const;
  std::string socket() const { return directory_ / "busway.sock"; }
  /// What the daemon wrote to stderr so far.
  std::string words() const;

  /// Runs `busway ARGUMENTS --socket SOCKET` to its end.
  Ran busway(const Words& arguments, std::string_view input = {}) const;
  /// The same, of which it is expected that it succeeds: what it printed.
  std::string ok(const Words& arguments, std::string_view input = {}) const;
  /// The same, of which it is expected that it fails: its complaint.
  std::string fails(const Words& arguments, std::string_view input = {}) const;
  /// Starts it, with its output in `out`.
  Process start_busway(const Words& arguments, const std::filesystem::path& out,
                       const std::filesystem::path& in = "/dev/null") const;
  /// A shell script in which `busway` talks to this daemon.
  ProcessSpec in_shell(std::string_view script) const;
  /// Starts load_pub or load_sub (see there), with socket=... added to `arguments`.
  Process start_load_pub(Words arguments) const;
  Process start_load_sub(Words arguments) const;

  pid_t keeper() const { return keeper_->pid(); }
  /// The worker that runs now; -1: there is none just now.
  pid_t worker() const;
  /// kill -9 of the worker. Does not wait for the next one.
  void kill_worker() const;
  /// Until a worker serves again.
  bool serves(std::chrono::milliseconds deadline = std::chrono::seconds{20}) const;

  /// SIGTERM, and the end of it: its exit status.
  int stop();
  /// kill -9 of keeper and worker.
  void kill_both();
  /// Starts it anew on the same directory.
  void start();

  /// A clean stop at the end of a test that is not about stopping; on failure shows what the daemon said.
  void finish();

 private:
  TempDir directory_;
  Words settings_;
  std::filesystem::path data_;
  std::optional<Process> keeper_;
};

std::string busway_program();
std::string buswayd_program();

/// Runs any program to its end, with its output in files of `directory`.
Ran run_program(const TempDir& directory, ProcessSpec spec, std::string_view input = {},
                std::chrono::seconds deadline = std::chrono::seconds{120});

}  // namespace busway::test
