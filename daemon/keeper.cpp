#include "daemon/keeper.hpp"

#include <algorithm>
#include <cstdarg>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <initializer_list>
#include <limits>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bus/base/fd.hpp"
#include "bus/memory/manifest_layout.hpp"
#include "daemon/keeper_entries.hpp"
#include "daemon/keeper_link.hpp"
#include "daemon/keeper_protocol.hpp"
#include "daemon/keeper_setup.hpp"

namespace busway::daemon {
namespace {

using limits::kFdsPerMessage;
using memory::ManifestEntry;
using memory::ManifestState;

constexpr std::initializer_list<int> kSignals = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGUSR2};
constexpr int kAttemptsToStop = 3;
/// Part of the descriptors that deposits must leave free: the worker inherits all that the keeper holds, and
/// both need some of their own, or no worker could ever be started again.
constexpr int kSpareDescriptorsPart = 4;

std::int64_t monotonic_us() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1000;
}

void keep_across_exec(int fd) { check_errno(::fcntl(fd, F_SETFD, 0), "clearing close-on-exec"); }

/// A descriptor number that nobody else gets, to be dup2'ed over in the child.
Fd reserve_number() {
  return Fd(check_errno(::open("/dev/null", O_RDONLY | O_CLOEXEC), "opening /dev/null"));
}

}  // namespace

/// The worker of the moment.
struct Worker {
  pid_t pid = 0;  ///< 0: none runs
  bool ready = false;
  Fd requests;
  Fd commands;
};

struct Keeper::State {
  explicit State(const KeeperOptions& given);

  int run() noexcept;

 private:
  void build_command(const std::vector<std::string>& command);
  void say(const char* level, const char* format, ...) noexcept __attribute__((format(printf, 3, 4)));

  bool start_worker() noexcept;
  [[noreturn]] void become_worker(int requests, int commands) noexcept;
  void reap() noexcept;
  void after_death(int status) noexcept;
  void plan_restart(bool was_ready) noexcept;

  void read_signals() noexcept;
  void begin_stop() noexcept;
  void command(KeeperCommand what) noexcept;

  /// One request off the socket. False when there is none, or no more to come.
  bool handle_request() noexcept;
  void dispatch(const KeeperRequest& request, std::size_t bytes, int* fds, std::size_t fd_count) noexcept;
  KeeperAnswer deposit(const KeeperRequest& request, const int* fds) noexcept;
  KeeperAnswer drop(const KeeperRequest& request) noexcept;
  bool items_check_out(const KeeperRequest& request, ManifestState expected) noexcept;
  void answer(KeeperOp op, KeeperAnswer what) noexcept;

  KeeperOptions options_;
  Fd lock_;
  ControlSocket socket_;
  ServiceManager service_manager_;
  memory::Region manifest_;
  std::vector<int> held_;  ///< by manifest entry; the truth about what may be closed
  Fd configuration_;
  Fd requests_number_;
  Fd commands_number_;
  Fd program_;  ///< the binary as it was at the start, should its path be gone later
  Fd signals_;
  std::vector<char*> arguments_;
  std::vector<char*> environment_;
  std::string numbers_;
  int descriptors_most_ = 0;       ///< deposits are refused from this number on
  std::int64_t seconds_east_ = 0;  ///< of UTC; asked once, because the C library may allocate over it

  Worker worker_;
  bool any_was_ready_ = false;
  bool stopping_ = false;
  bool draining_requests_ = false;  ///< the worker is dead: nobody awaits what it deposited last
  int attempts_to_stop_ = 0;
  std::int64_t backoff_us_ = 0;
  std::int64_t start_at_us_ = 0;
  bool done_ = false;
  int status_ = 0;
};

Keeper::State::State(const KeeperOptions& given)
    : options_(given),
      lock_(lock_data_dir(given.data_dir)),
      socket_(given.socket_path, given.socket_mode),
      manifest_(KeeperEntries::create_manifest(limits::kManifestEntries)),
      held_(limits::kManifestEntries, -1),
      configuration_(check_errno(::memfd_create("busway:configuration", 0), "memfd_create")),
      requests_number_(reserve_number()),
      commands_number_(reserve_number()) {
  keep_across_exec(manifest_.fd());
  build_command(given.worker_command);
  program_.reset(::open(given.worker_command.front().c_str(), O_PATH | O_CLOEXEC));
  if (!program_) throw_errno("cannot open the daemon's own program " + given.worker_command.front());

  rlimit limit{};
  check_errno(::getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
  const rlim_t most = std::min<rlim_t>(limit.rlim_cur, std::numeric_limits<int>::max());
  descriptors_most_ = static_cast<int>(most - most / kSpareDescriptorsPart);

  const std::time_t now = std::time(nullptr);
  tm local{};
  ::localtime_r(&now, &local);
  seconds_east_ = local.tm_gmtoff;

  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : kSignals) ::sigaddset(&set, signal);
  check_errno(::sigprocmask(SIG_BLOCK, &set, nullptr), "sigprocmask");
  signals_.reset(check_errno(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd"));
}

void Keeper::State::build_command(const std::vector<std::string>& command) {
  for (const int fd : {lock_.get(), socket_.fd(), manifest_.fd(), configuration_.get(),
                       requests_number_.get(), commands_number_.get()}) {
    numbers_ += (numbers_.empty() ? "" : ",") + std::to_string(fd);
  }
  options_.worker_command = command;
  options_.worker_command.insert(options_.worker_command.end(), {"--worker", numbers_});
  for (std::string& argument : options_.worker_command) arguments_.push_back(argument.data());
  arguments_.push_back(nullptr);
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (std::strncmp(*variable, "NOTIFY_SOCKET=", 14) != 0) environment_.push_back(*variable);
  }
  environment_.push_back(nullptr);
}

void Keeper::State::say(const char* level, const char* format, ...) noexcept {
  char line[512];
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const std::time_t local_seconds = now.tv_sec + seconds_east_;
  tm local{};
  ::gmtime_r(&local_seconds, &local);
  std::size_t used = std::strftime(line, sizeof(line), "%Y-%m-%d %H:%M:%S", &local);
  const auto append = [&](int written) {
    used = std::min(used + static_cast<std::size_t>(std::max(written, 0)), sizeof(line) - 2);
  };
  append(std::snprintf(line + used, sizeof(line) - used, ".%03ld busway[%d] %s: ", now.tv_nsec / 1'000'000,
                       ::getpid(), level));
  va_list values;
  va_start(values, format);
  append(std::vsnprintf(line + used, sizeof(line) - used, format, values));
  va_end(values);
  line[used++] = '\n';
  static_cast<void>(!::write(STDERR_FILENO, line, used));  // a log that cannot be written changes nothing
}

// --- starting a worker
// ---------------------------------------------------------------------------------------------

bool Keeper::State::start_worker() noexcept {
  int requests[2];
  int commands[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, requests) != 0) return false;
  worker_.requests.reset(requests[0]);
  const Fd worker_requests(requests[1]);
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, commands) != 0) return false;
  worker_.commands.reset(commands[0]);
  const Fd worker_commands(commands[1]);

  ++manifest_.as<memory::ManifestHeader>()->worker_starts;
  const pid_t child = ::fork();
  if (child < 0) return false;
  if (child == 0) become_worker(worker_requests.get(), worker_commands.get());
  worker_.pid = child;
  worker_.ready = false;
  if (stopping_) command(KeeperCommand::stop);  // it waits in the socket until the worker looks
  return true;
}

/// In the forked child: async-signal-safe calls only.
void Keeper::State::become_worker(int requests, int commands) noexcept {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR2, SIGPIPE}) ::signal(signal, SIG_IGN);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (::dup2(requests, requests_number_.get()) < 0 || ::dup2(commands, commands_number_.get()) < 0)
    ::_exit(126);
  // By path, so that a replaced binary is picked up; what was there at the start if the path is gone
  // meanwhile.
  ::execve(arguments_[0], arguments_.data(), environment_.data());
  ::execveat(program_.get(), "", arguments_.data(), environment_.data(), AT_EMPTY_PATH);
  ::_exit(127);
}

void Keeper::State::plan_restart(bool was_ready) noexcept {
  if (was_ready) {
    backoff_us_ = 0;
  } else {
    const std::int64_t first = static_cast<std::int64_t>(options_.backoff_first_ms) * 1000;
    const std::int64_t most = static_cast<std::int64_t>(options_.backoff_most_ms) * 1000;
    backoff_us_ = backoff_us_ == 0 ? first : std::min(backoff_us_ * 2, most);
  }
  start_at_us_ = monotonic_us() + backoff_us_;
}

// --- the end of a worker
// -------------------------------------------------------------------------------------------

void Keeper::State::reap() noexcept {
  int status = 0;
  pid_t dead = 0;
  bool worker_died = false;
  int worker_status = 0;
  while ((dead = ::waitpid(-1, &status, WNOHANG)) >
         0) {  // as process 1 of a container it has orphans as well
    if (dead != worker_.pid) continue;
    worker_died = true;
    worker_status = status;
  }
  if (!worker_died) return;
  draining_requests_ = true;
  while (worker_.requests && handle_request()) {
  }
  draining_requests_ = false;
  worker_.requests.reset();
  worker_.commands.reset();
  after_death(worker_status);
}

void Keeper::State::after_death(int status) noexcept {
  const pid_t pid = worker_.pid;
  const bool was_ready = worker_.ready;
  worker_.pid = 0;
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  const bool durable = code == static_cast<int>(WorkerExit::stopped);
  if (durable || code == static_cast<int>(WorkerExit::undurable)) {
    done_ = true;
    status_ = durable ? 0 : 1;
    return;
  }
  if (code == static_cast<int>(WorkerExit::replace)) {
    say("info", "worker %d made way for a new one", pid);
    start_at_us_ = monotonic_us();
    return;
  }
  if (code >= 0) {
    say("error", "worker %d ended with status %d", pid, code);
  } else {
    say("error", "worker %d was killed by signal %d", pid, WTERMSIG(status));
  }
  const bool cannot_start = code >= 0 && !any_was_ready_;
  const bool cannot_stop = stopping_ && ++attempts_to_stop_ >= kAttemptsToStop;
  if (cannot_start || cannot_stop) {
    done_ = true;
    status_ = code > 0 ? code : 1;
    if (cannot_stop) say("error", "giving up: %d workers died while stopping", attempts_to_stop_);
    return;
  }
  plan_restart(was_ready);
}

// --- signals
// -------------------------------------------------------------------------------------------------------

void Keeper::State::read_signals() noexcept {
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))) {
    switch (static_cast<int>(info.ssi_signo)) {
      case SIGTERM:
      case SIGINT:
        begin_stop();
        break;
      case SIGHUP:
        command(KeeperCommand::reload);
        break;
      case SIGUSR2: {
        char lines[64];
        std::snprintf(lines, sizeof(lines), "RELOADING=1\nMONOTONIC_USEC=%lld",
                      static_cast<long long>(monotonic_us()));
        service_manager_.send(lines);
        command(KeeperCommand::replace);
        break;
      }
      default:
        break;  // SIGCHLD: reap() looks after each round
    }
  }
}

void Keeper::State::begin_stop() noexcept {
  if (stopping_) return;
  stopping_ = true;
  service_manager_.send("STOPPING=1");
  start_at_us_ = monotonic_us();  // no backoff: without a worker one must come up to drain what is left
  command(KeeperCommand::stop);
}

void Keeper::State::command(KeeperCommand what) noexcept {
  // No worker: the next one reads its configuration anyway, is the new binary anyway, and is told to stop.
  if (!worker_.commands) return;
  const auto byte = static_cast<std::uint8_t>(what);
  if (::send(worker_.commands.get(), &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1) return;
  if (errno == EPIPE || errno == ECONNRESET) return;  // it is dying: reap() comes next
  say("warning", "worker %d takes no commands: %s was dropped", worker_.pid,
      what == KeeperCommand::stop ? "stop" : "reload or replace");
}

// --- requests
// ------------------------------------------------------------------------------------------------------

bool Keeper::State::handle_request() noexcept {
  KeeperRequest request{};
  iovec part{&request, sizeof(request)};
  alignas(cmsghdr) char control[CMSG_SPACE(kFdsPerMessage * sizeof(int))];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  const ssize_t bytes =
      ::recvmsg(worker_.requests.get(), &message, MSG_DONTWAIT);  // descriptors survive exec
  if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) return errno == EINTR;
  if (bytes <= 0) {
    worker_.requests.reset();  // its end is closed; SIGCHLD follows
    return false;
  }
  int fds[kFdsPerMessage];
  std::size_t count = 0;
  for (cmsghdr* part_of = CMSG_FIRSTHDR(&message); part_of != nullptr;
       part_of = CMSG_NXTHDR(&message, part_of)) {
    if (part_of->cmsg_level != SOL_SOCKET || part_of->cmsg_type != SCM_RIGHTS) continue;
    count = std::min((part_of->cmsg_len - CMSG_LEN(0)) / sizeof(int), kFdsPerMessage);
    std::memcpy(fds, CMSG_DATA(part_of), count * sizeof(int));
  }
  if ((message.msg_flags & MSG_CTRUNC) != 0) {  // the kernel ran out of descriptors for us
    for (std::size_t i = 0; i < count; ++i) ::close(fds[i]);
    answer(request.op, KeeperAnswer::no_descriptors);
    return true;
  }
  dispatch(request, static_cast<std::size_t>(bytes), fds, count);
  return true;
}

void Keeper::State::dispatch(const KeeperRequest& request, std::size_t bytes, int* fds,
                             std::size_t fd_count) noexcept {
  const std::size_t body = bytes >= kKeeperRequestHead ? bytes - kKeeperRequestHead : 0;
  const bool items_fit = request.count <= kFdsPerMessage && body == request.count * sizeof(KeeperItem);
  KeeperAnswer outcome = KeeperAnswer::refused;
  switch (request.op) {
    case KeeperOp::deposit:
      if (items_fit && fd_count == request.count && fd_count > 0) outcome = deposit(request, fds);
      break;
    case KeeperOp::drop:
      if (items_fit && fd_count == 0) outcome = drop(request);
      break;
    case KeeperOp::configuration:
      if (fd_count == 1 && ::dup2(fds[0], configuration_.get()) >= 0) outcome = KeeperAnswer::done;
      break;
    case KeeperOp::ready:
      worker_.ready = any_was_ready_ = true;
      service_manager_.send("READY=1");
      break;
    case KeeperOp::notify:
      if (request.count <= kNotifyMost && body == request.count) {
        service_manager_.send({request.text.data(), request.count});
      }
      break;
  }
  const bool kept = request.op == KeeperOp::deposit && outcome == KeeperAnswer::done;
  for (std::size_t i = 0; i < fd_count && !kept; ++i) ::close(fds[i]);
  if (request.op != KeeperOp::ready && request.op != KeeperOp::notify) answer(request.op, outcome);
}

bool Keeper::State::items_check_out(const KeeperRequest& request, ManifestState expected) noexcept {
  const ManifestEntry* entries = memory::manifest_entries(manifest_.as<memory::ManifestHeader>());
  return std::all_of(
      request.items.begin(), request.items.begin() + request.count, [&](const KeeperItem& item) {
        // acquire: pairs with the worker's release of `pending`; the id is read next
        return item.index < held_.size() &&
               entries[item.index].state.load(std::memory_order_acquire) == state_word(expected) &&
               entries[item.index].id == item.id;
      });
}

KeeperAnswer Keeper::State::deposit(const KeeperRequest& request, const int* fds) noexcept {
  // A dead worker handed nothing of this to a client: its pending entries are the next worker's to drop.
  if (draining_requests_ || !items_check_out(request, ManifestState::pending)) return KeeperAnswer::refused;
  // The kernel gives the lowest free number: one so high means that all below are in use.
  if (*std::max_element(fds, fds + request.count) >= descriptors_most_) return KeeperAnswer::no_descriptors;
  ManifestEntry* entries = memory::manifest_entries(manifest_.as<memory::ManifestHeader>());
  for (std::size_t i = 0; i < request.count; ++i) {
    const std::uint32_t index = request.items[i].index;
    if (held_[index] >= 0) ::close(held_[index]);
    held_[index] = fds[i];
    entries[index].keeper_fd = fds[i];
    // release: whoever finds the entry live finds keeper_fd in it
    entries[index].state.store(state_word(ManifestState::live), std::memory_order_release);
  }
  return KeeperAnswer::done;
}

KeeperAnswer Keeper::State::drop(const KeeperRequest& request) noexcept {
  if (!items_check_out(request, ManifestState::live)) return KeeperAnswer::refused;
  ManifestEntry* entries = memory::manifest_entries(manifest_.as<memory::ManifestHeader>());
  for (std::size_t i = 0; i < request.count; ++i) {
    const std::uint32_t index = request.items[i].index;
    // relaxed: the worker learns of it by the answer, the next worker by its own start
    entries[index].state.store(state_word(ManifestState::empty), std::memory_order_relaxed);
    if (held_[index] >= 0) ::close(held_[index]);
    held_[index] = -1;
  }
  return KeeperAnswer::done;
}

void Keeper::State::answer(KeeperOp op, KeeperAnswer what) noexcept {
  const KeeperReply reply{op, what};
  // Never full: the worker has at most one request under way. A dead worker needs no answer.
  static_cast<void>(::send(worker_.requests.get(), &reply, sizeof(reply), MSG_DONTWAIT | MSG_NOSIGNAL));
}

// --- the loop
// ------------------------------------------------------------------------------------------------------

int Keeper::State::run() noexcept {
  start_at_us_ = monotonic_us();
  while (!done_) {
    int timeout_ms = -1;
    if (worker_.pid == 0) {
      const std::int64_t wait_us = start_at_us_ - monotonic_us();
      if (wait_us <= 0 && !start_worker()) {
        say("error", "cannot start a worker: %s", std::strerror(errno));  // NOLINT: one thread
        plan_restart(false);
      }
      if (worker_.pid == 0) timeout_ms = static_cast<int>(std::max<std::int64_t>(wait_us, 0) / 1000 + 1);
    }
    pollfd watched[2] = {{signals_.get(), POLLIN, 0}, {worker_.requests.get(), POLLIN, 0}};  // -1 is ignored
    if (::poll(watched, 2, timeout_ms) < 0) continue;                                        // EINTR
    if (watched[0].revents != 0) read_signals();
    reap();  // before the requests: what a dead worker deposited last is not taken in
    while (worker_.requests && handle_request()) {
    }
  }
  return status_;
}

Keeper::Keeper(const KeeperOptions& options) : state_(std::make_unique<State>(options)) {}
Keeper::~Keeper() = default;
int Keeper::run() noexcept { return state_->run(); }

}  // namespace busway::daemon
