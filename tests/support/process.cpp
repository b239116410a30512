#include "tests/support/process.hpp"

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace busway::test {
namespace {

// Between fork and exec only what is async-signal-safe may be called: the test may have threads.
void redirect(const char* path, int flags, int to) {
  if (path[0] == '\0') return;
  const int fd = ::open(path, flags | O_CLOEXEC, 0644);
  if (fd < 0) ::_exit(126);
  ::dup2(fd, to);
}

[[noreturn]] void become(const ProcessSpec& spec, char* const* arguments, pid_t parent) {
  ::setpgid(0, 0);  // so that what it starts can be killed with it
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(126);
  redirect(spec.in.c_str(), O_RDONLY, STDIN_FILENO);
  redirect(spec.out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, STDOUT_FILENO);
  redirect(spec.err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, STDERR_FILENO);
  if (spec.uid) {
    if (::setgroups(0, nullptr) != 0 || ::setgid(*spec.uid) != 0 || ::setuid(*spec.uid) != 0) ::_exit(126);
  }
  ::execvp(arguments[0], arguments);
  ::_exit(127);
}

struct ProcStatus {
  char state = 0;
  pid_t parent = 0;
};

/// From /proc/PID/stat; none: there is no such process.
std::optional<ProcStatus> status_of(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(in, line);
  const auto paren = line.rfind(')');  // the name before it may hold anything
  if (paren == std::string::npos) return std::nullopt;
  std::istringstream rest(line.substr(paren + 1));
  ProcStatus status;
  if (!(rest >> status.state >> status.parent)) return std::nullopt;
  return status;
}

}  // namespace

Process::Process(const ProcessSpec& spec) : name_(spec.command.at(0)) {
  std::vector<char*> arguments;
  for (const std::string& word : spec.command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const pid_t self = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("cannot fork for " + name_);
  if (pid_ == 0) become(spec, arguments.data(), self);
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), name_(std::move(other.name_)), status_(other.status_) {}

Process::~Process() {
  if (pid_ > 0 && !status_) kill_and_reap();
}

/// With whatever it started that still runs.
void Process::kill_and_reap() {
  ::kill(-pid_, SIGKILL);
  ::kill(pid_, SIGKILL);  // it may not be the leader of its group yet
  ::waitpid(pid_, nullptr, 0);
  status_ = 128 + SIGKILL;
}

void Process::signal(int number) const {
  if (status_) throw std::runtime_error(name_ + " has ended already");
  ::kill(pid_, number);
}

bool Process::running() {
  if (status_) return false;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) != pid_) return true;
  status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return false;
}

int Process::wait(std::chrono::seconds deadline) {
  if (!eventually([&] { return !running(); }, deadline)) {
    kill_and_reap();
    throw std::runtime_error(name_ + " did not end within " + std::to_string(deadline.count()) + " s");
  }
  return *status_;
}

bool eventually(const std::function<bool()>& true_now, std::chrono::milliseconds deadline) {
  const auto end = std::chrono::steady_clock::now() + deadline;
  while (!true_now()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(3ms);
  }
  return true;
}

std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> children;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc{} || end != name.data() + name.size()) continue;
    const auto status = status_of(pid);
    if (status && status->parent == parent && status->state != 'Z') children.push_back(pid);
  }
  return children;
}

bool alive(pid_t pid) {
  const auto status = status_of(pid);
  return status && status->state != 'Z';
}

bool have_program(const std::string& name) {
  const char* const path = std::getenv("PATH");
  std::istringstream directories(path == nullptr ? "" : path);
  for (std::string directory; std::getline(directories, directory, ':');) {
    if (::access((directory + '/' + name).c_str(), X_OK) == 0) return true;
  }
  return false;
}

}  // namespace busway::test
