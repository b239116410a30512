// busway doctor: looks at the machine and at the daemon and says what to change. Works without a daemon.
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include <nlohmann/json.hpp>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "bus/control/session.hpp"
#include "bus/control/socket_path.hpp"
#include "clients/cli/commands.hpp"
#include "clients/cli/doctor_checks.hpp"
#include "clients/cli/output.hpp"
#include "clients/cli/text.hpp"

namespace busway::cli {
namespace {

constexpr std::chrono::seconds kPatience{5};

std::string user_name(uid_t uid) {
  const passwd* const user = ::getpwuid(uid);
  return user == nullptr ? "uid " + std::to_string(uid) : std::string(user->pw_name);
}

/// Only what stat(2) tells; whether somebody answers is check_daemon's matter.
Check check_socket(const std::string& path) {
  const std::string start =
      "start the daemon (`systemctl start busway`, or `buswayd` in a terminal), or name its "
      "socket by --socket or BUSWAY_SOCKET";
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    return {"socket", Verdict::fail, path + ": " + std::strerror(errno), start};
  }
  if (!S_ISSOCK(status.st_mode)) {
    return {"socket", Verdict::fail, path + " is no socket", "remove it, or name another by socket.path"};
  }
  Check check{"socket", Verdict::ok, path + ", owned by " + user_name(status.st_uid)};
  if (::access(path.c_str(), R_OK | W_OK) != 0) {
    check.verdict = Verdict::fail;
    check.advice = user_name(::geteuid()) + " may not write to it: set socket.mode, or join the group busway";
  }
  return check;
}

Check check_data_dir(const std::string& path) {
  struct statvfs space {};
  if (::statvfs(path.c_str(), &space) != 0) {
    return {"data", Verdict::ok, path + ": " + std::strerror(errno)};
  }
  const std::uint64_t free = std::uint64_t{space.f_bavail} * space.f_frsize;
  const std::uint64_t all = std::uint64_t{space.f_blocks} * space.f_frsize;
  Check check{"data", Verdict::ok, path + ", " + human_bytes(free) + " of " + human_bytes(all) + " free"};
  if (free < all / 20 || free < (std::uint64_t{1} << 30)) {
    check.verdict = Verdict::warn;
    check.advice =
        "publishing stops when the disk is full: make room, or lower retention.bytes and retention.ms";
  }
  return check;
}

Check check_version(const std::string& daemon) {
  if (daemon == BUSWAY_VERSION) return {"version", Verdict::ok, "daemon and client " BUSWAY_VERSION};
  return {"version", Verdict::warn, "daemon " + daemon + ", client " BUSWAY_VERSION,
          "they understand each other; install the same version of both and reload the service"};
}

/// Whether it answers, who and what it is.
std::vector<Check> check_daemon(const std::string& path) {
  try {
    control::SessionOptions options;
    options.socket = path;
    options.program = "busway doctor";
    options.client_version = BUSWAY_VERSION;
    const Deadline deadline = Deadline::after(kPatience);
    control::ClientSession session(options, deadline);
    const auto started = std::chrono::steady_clock::now();
    const control::DaemonDescription daemon = session.request(control::DaemonInfo{}, deadline).body;
    const auto took = std::chrono::steady_clock::now() - started;
    session.goodbye(deadline);
    std::vector<Check> checks{
        {"daemon", Verdict::ok,
         "pid " + std::to_string(daemon.pid) + ", since " + iso_time(daemon.started_unix_ms) +
             ", answers in " +
             std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(took).count()) + " us"},
        check_version(daemon.version)};
    for (const auto& [name, value] : daemon.details) {
      checks.push_back(name == "data.dir" ? check_data_dir(value) : Check{name, Verdict::ok, value});
    }
    return checks;
  } catch (const Error& error) {
    return {{"daemon", Verdict::fail, error.sentence()}};
  }
}

std::string as_text(const std::vector<Check>& checks) {
  std::size_t width = 0;
  for (const Check& check : checks) width = std::max(width, check.name.size());
  std::string out;
  for (const Check& check : checks) {
    const std::string verdict(text(check.verdict));
    out += verdict + std::string(6 - verdict.size(), ' ') + check.name +
           std::string(width - check.name.size() + 2, ' ') + check.found + '\n';
    if (!check.advice.empty()) out += std::string(width + 8, ' ') + "-> " + check.advice + '\n';
  }
  return out;
}

std::string as_json(const std::vector<Check>& checks) {
  auto json = nlohmann::ordered_json::array();
  for (const Check& check : checks) {
    json.push_back({{"check", check.name},
                    {"verdict", std::string(text(check.verdict))},
                    {"found", check.found},
                    {"advice", check.advice}});
  }
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + '\n';
}

}  // namespace

int run(const Doctor& options, const std::string& socket) {
  const std::string path =
      socket.empty() ? control::default_socket_path(control::SocketUse::connect) : socket;
  std::vector<Check> checks = check_machine();
  checks.push_back(check_socket(path));
  if (checks.back().verdict == Verdict::ok) {
    for (Check& check : check_daemon(path)) checks.push_back(std::move(check));
  }
  Output out(STDOUT_FILENO);
  out.write(options.json ? as_json(checks) : as_text(checks));
  out.flush();
  for (const Check& check : checks) {
    if (check.verdict == Verdict::fail) return kFailed;
  }
  return kDone;
}

}  // namespace busway::cli
