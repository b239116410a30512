// A keeper process with its directory, its journal and its workers, for tests that kill one or the other.
#pragma once

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

namespace busway::daemon {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

/// Waits until `condition` holds, at most 20 s.
inline bool eventually(const std::function<bool()>& condition) {
  const auto give_up = std::chrono::steady_clock::now() + 20s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

inline std::string whole_file(const fs::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

class KeeperTest : public ::testing::Test {
 protected:
  KeeperTest() {
    std::string name = (fs::temp_directory_path() / "busway-keeper-XXXXXX").string();
    dir_ = ::mkdtemp(name.data());
    worker_program_ = BUSWAY_KEEPER_WORKER;
    set_mode("serve");
  }

  ~KeeperTest() override {
    if (keeper_ > 0) {
      ::kill(keeper_, SIGKILL);
      ::waitpid(keeper_, nullptr, 0);
    }
    for (const std::string& line : journal()) {
      EXPECT_EQ(line.find("BAD"), std::string::npos) << line;
      const pid_t pid = static_cast<pid_t>(std::stol(line));
      if (is_own_worker(pid)) ::kill(pid, SIGKILL);  // it outlived its keeper
    }
    EXPECT_EQ(errors().find("allocated memory"), std::string::npos) << errors();
    fs::remove_all(dir_);
  }

  void set_mode(const std::string& mode) {
    std::ofstream(dir_ / "mode.new") << mode << "\n";
    fs::rename(dir_ / "mode.new", dir_ / "mode");
  }

  /// Starts a keeper; `descriptors` limits how many it and its worker may open.
  pid_t spawn(const std::vector<std::string>& environment = {}, unsigned descriptors = 0) {
    const std::string limit = descriptors == 0 ? "" : "ulimit -n " + std::to_string(descriptors) + "; ";
    const std::string command = limit + "exec \"$0\" \"$1\" \"$2\" 2>>\"$1/stderr\"";
    std::vector<std::string> words = {"sh",          "-c",           command, BUSWAY_KEEPER_HOST,
                                      dir_.string(), worker_program_};
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    std::vector<std::string> variables = environment;
    std::vector<char*> envp;
    for (std::string& variable : variables) envp.push_back(variable.data());
    for (char** variable = environ; *variable != nullptr; ++variable) envp.push_back(*variable);
    envp.push_back(nullptr);
    pid_t pid = -1;
    EXPECT_EQ(::posix_spawn(&pid, "/bin/sh", nullptr, nullptr, argv.data(), envp.data()), 0);
    return pid;
  }

  void start(const std::vector<std::string>& environment = {}, unsigned descriptors = 0) {
    keeper_ = spawn(environment, descriptors);
  }

  /// Waits for the end of a keeper and gives its exit status; 128 + signal if it was killed.
  int wait_for_end(pid_t pid) {
    int status = 0;
    if (!eventually([&] { return ::waitpid(pid, &status, WNOHANG) == pid; })) {
      ADD_FAILURE() << "the keeper does not end: " << errors();
      return -1;
    }
    if (pid == keeper_) keeper_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  int wait_for_end() { return wait_for_end(keeper_); }

  /// Only whole lines: a worker may be writing one.
  std::vector<std::string> journal() const {
    std::istringstream text(whole_file(dir_ / "journal"));
    std::vector<std::string> lines;
    for (std::string line; std::getline(text, line) && !text.eof();) lines.push_back(line);
    return lines;
  }
  std::size_t count(const std::string& what) const {
    const std::vector<std::string> lines = journal();
    return static_cast<std::size_t>(std::count_if(lines.begin(), lines.end(), [&](const std::string& line) {
      return line.find(what) != std::string::npos;
    }));
  }
  /// Waits until the journal has `times` lines with `what`; gives the last of them.
  std::string wait_for(const std::string& what, std::size_t times = 1) {
    EXPECT_TRUE(eventually([&] { return count(what) >= times; }))
        << "no " << times << " x " << what << ": " << errors();
    return last_line(what);
  }
  std::string last_line(const std::string& what) const {
    std::string last;
    for (const std::string& line : journal()) {
      if (line.find(what) != std::string::npos) last = line;
    }
    return last;
  }
  /// Process number of the worker that wrote the latest line with `what`.
  pid_t worker(const std::string& what = "ready") const {
    const std::string line = last_line(what);
    return line.empty() ? -1 : static_cast<pid_t>(std::stol(line));
  }
  void kill_worker(const std::string& what = "ready") {
    const pid_t pid = worker(what);
    ASSERT_GT(pid, 0);
    ::kill(pid, SIGKILL);
  }

  std::string errors() const { return whole_file(dir_ / "stderr"); }

  /// Once the number has stayed the same for a while: what the process is busy with, opens and closes some.
  static std::size_t descriptors_of(pid_t pid) {
    const auto look = [pid] {
      const fs::directory_iterator all("/proc/" + std::to_string(pid) + "/fd");
      return static_cast<std::size_t>(std::distance(fs::begin(all), fs::end(all)));
    };
    std::size_t count = look();
    for (int same = 0; same < 10;) {
      std::this_thread::sleep_for(
          std::chrono::milliseconds(10));  // ten looks alike: nothing is being opened or closed
      const std::size_t now = look();
      same = now == count ? same + 1 : 0;
      count = now;
    }
    return count;
  }

  bool is_own_worker(pid_t pid) const {
    return whole_file("/proc/" + std::to_string(pid) + "/cmdline").find(dir_.string()) != std::string::npos;
  }

  fs::path dir_;
  std::string worker_program_;
  pid_t keeper_ = -1;
};

}  // namespace busway::daemon
