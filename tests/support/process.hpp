// Child processes of a test: started with their input and output in files, waited for with a deadline, killed
// by their pid, never left behind.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace busway::test {

using namespace std::chrono_literals;

struct ProcessSpec {
  std::vector<std::string> command;
  std::filesystem::path in = "/dev/null";
  std::filesystem::path out = "/dev/null";
  std::filesystem::path err{};  ///< empty: that of the test
  std::optional<uid_t> uid{};   ///< run as this user and its group; needs root
};

class Process {
 public:
  /// Throws when the program cannot be started. The child dies with the test.
  explicit Process(const ProcessSpec& spec);
  Process(Process&& other) noexcept;
  Process& operator=(Process&&) = delete;
  /// Kills and reaps what still runs, and what that started.
  ~Process();

  pid_t pid() const noexcept { return pid_; }
  void signal(int number) const;
  bool running();
  /// Waits for its end: the exit status, or 128 + the signal that ended it. After the deadline it is killed,
  /// and this throws.
  int wait(std::chrono::seconds deadline = 60s);

 private:
  void kill_and_reap();

  pid_t pid_ = -1;
  std::string name_;
  std::optional<int> status_;
};

/// Waits until `true_now` says so, looking every few milliseconds; false when the deadline passes.
bool eventually(const std::function<bool()>& true_now, std::chrono::milliseconds deadline = 20s);

/// Children of a process, by /proc.
std::vector<pid_t> children_of(pid_t parent);

/// Does this process run (a zombie does not)?
bool alive(pid_t pid);

/// Is there such a program in PATH?
bool have_program(const std::string& name);

}  // namespace busway::test
