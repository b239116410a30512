#include "daemon/keeper_setup.hpp"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <thread>

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <busway/error.hpp>

#include "daemon/keeper.hpp"
#include "daemon/lock_file.hpp"
#include "daemon/logging.hpp"
#include "daemon/server.hpp"

namespace busway::daemon {
namespace {

namespace fs = std::filesystem;

constexpr auto kLockPatience = std::chrono::seconds(30);

/// Whether the lock was got. Waits only while its holder can be no keeper: that one is dead and its worker
/// drains.
bool lock_or_wait(int fd, const std::string& data_dir) {
  const auto give_up = std::chrono::steady_clock::now() + kLockPatience;
  bool told = false;
  while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) throw_errno("locking " + data_dir + "/lock");
    const pid_t holder = recorded_pid(fd);
    const bool holder_died = holder > 0 && ::kill(holder, 0) != 0 && errno == ESRCH;
    if (!holder_died || std::chrono::steady_clock::now() >= give_up) return false;
    if (!told) {
      log_info("the keeper of " + data_dir + " (process " + std::to_string(holder) +
               ") died; waiting for its worker to finish");
    }
    told = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

void check_socket_dir(const std::string& dir) {
  struct stat status {};
  check_errno(::stat(dir.c_str(), &status), ("cannot use " + dir + " for the control socket").c_str());
  const bool ours = status.st_uid == ::geteuid() || status.st_uid == 0;
  const bool open_to_all = (status.st_mode & S_IWOTH) != 0 && (status.st_mode & S_ISVTX) == 0;
  if (!ours || open_to_all) {
    throw Error(errc::io,
                "the directory of the control socket, " + dir +
                    ", belongs to another user or is writable by all, who could put a socket of their own "
                    "there; set socket.path (--socket) to a place of your own");
  }
}

void make_socket_dir(const fs::path& dir) {
  if (fs::exists(dir)) return;
  struct stat parent {};
  const fs::path above = dir.parent_path();
  // A directory of our own below one that everybody may write to (/tmp) is nobody else's business.
  const bool shared = ::stat(above.c_str(), &parent) == 0 && (parent.st_mode & S_IWOTH) != 0;
  fs::create_directories(above);
  if (::mkdir(dir.c_str(), shared ? 0700 : 0755) != 0 && errno != EEXIST) {
    throw_errno("cannot create " + dir.string() + " for the control socket");
  }
}

}  // namespace

Fd lock_data_dir(const std::string& data_dir) {
  std::error_code failure;
  fs::create_directories(fs::path(data_dir).parent_path(), failure);
  if (::mkdir(data_dir.c_str(), 0750) != 0 && errno != EEXIST) {
    throw_errno("cannot create the data directory " + data_dir + " (data.dir, --data-dir)");
  }
  const std::string path = data_dir + "/lock";
  // Not close-on-exec: the worker inherits it, so that the lock outlives a killed keeper until all is
  // drained.
  Fd lock(::open(path.c_str(), O_RDWR | O_CREAT, 0600));  // NOLINT(*-cloexec*)
  if (!lock) throw_errno("cannot open " + path + " (data.dir, --data-dir)");
  if (!lock_or_wait(lock.get(), data_dir)) {
    throw Error(errc::data_dir_in_use, "the data directory " + data_dir + " is in use by process " +
                                           std::to_string(recorded_pid(lock.get())) +
                                           "; give this daemon another one (data.dir, --data-dir)");
  }
  record_pid(lock.get(), path);
  return lock;
}

ControlSocket::ControlSocket(const std::string& path, mode_t mode) : path_(path) {
  const fs::path dir = fs::absolute(path).parent_path();
  make_socket_dir(dir);
  check_socket_dir(dir.string());
  const std::string lock_path = path + ".lock";
  lock_.reset(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock_) throw_errno("cannot open " + lock_path);
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    throw Error(errc::limit_reached, "process " + std::to_string(recorded_pid(lock_.get())) + " listens on " +
                                         path + "; give this daemon another socket (socket.path, --socket)");
  }
  record_pid(lock_.get(), lock_path);

  listener_ = listen_on(path, mode);
  check_errno(::fcntl(listener_.get(), F_SETFD, 0), "clearing close-on-exec");  // the workers inherit it
}

ControlSocket::~ControlSocket() { ::unlink(path_.c_str()); }

ServiceManager::ServiceManager() {
  const char* path = std::getenv("NOTIFY_SOCKET");
  const std::size_t bytes = path == nullptr ? 0 : std::strlen(path);
  if (bytes < 2 || bytes >= sizeof(address_.sun_path) || (path[0] != '/' && path[0] != '@')) return;
  address_.sun_family = AF_UNIX;
  std::memcpy(address_.sun_path, path, bytes);
  if (path[0] == '@') address_.sun_path[0] = '\0';  // the abstract name space
  address_bytes_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + bytes);
  socket_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

void ServiceManager::send(std::string_view lines) const noexcept {
  if (!socket_) return;
  // Its loss is not worth an error: the service manager would notice the missing READY=1 by its own timeout.
  static_cast<void>(::sendto(socket_.get(), lines.data(), lines.size(), MSG_NOSIGNAL,
                             reinterpret_cast<const sockaddr*>(&address_), address_bytes_));
}

std::uint64_t raise_descriptor_limit() {
  rlimit limit{};
  check_errno(::getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
  limit.rlim_cur = limit.rlim_max;
  check_errno(::setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
  return limit.rlim_cur;
}

}  // namespace busway::daemon
