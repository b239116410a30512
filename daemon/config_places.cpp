// Where things lie and how much memory there is when the configuration does not say.
#include <fstream>
#include <limits>
#include <sstream>

#include <pwd.h>
#include <unistd.h>

#include "daemon/config.hpp"

namespace busway::daemon {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

std::string home_dir() {
  std::string home = environment("HOME");
  if (!home.empty()) return home;
  const passwd* entry = ::getpwuid(::geteuid());
  return entry == nullptr ? "/" : entry->pw_dir;
}

/// A file that holds one number; nothing for "max", or where there is no such file.
std::optional<std::int64_t> read_number(const std::string& path) {
  std::ifstream file(path);
  std::int64_t number = 0;
  if (!(file >> number) || number < 0) return std::nullopt;
  return number;
}

/// Value of `name` in a file of "name value" lines (memory.stat, meminfo), 0 where it is missing.
std::int64_t read_field(const std::string& path, const std::string& name) {
  std::ifstream file(path);
  std::string word;
  std::int64_t value = 0;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    if (words >> word >> value && word == name) return value;
  }
  return 0;
}

struct CgroupFiles {
  const char* limit;
  const char* usage;
  const char* reclaimable;  ///< in memory.stat: page cache that the kernel drops before it kills
};
constexpr CgroupFiles kVersion2 = {"/memory.max", "/memory.current", "inactive_file"};
constexpr CgroupFiles kVersion1 = {"/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_inactive_file"};

/// What is left below the tightest limit between `path` and the root of the hierarchy.
std::int64_t headroom(const std::string& root, std::string path, const CgroupFiles& files) {
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  while (true) {
    const std::string dir = root + path;
    const auto limit = read_number(dir + files.limit);
    const auto usage = read_number(dir + files.usage);
    if (limit && usage) {
      const std::int64_t in_use = *usage - read_field(dir + "/memory.stat", files.reclaimable);
      least = std::min(least, std::max<std::int64_t>(0, *limit - std::max<std::int64_t>(0, in_use)));
    }
    if (path.empty() || path == "/") return least;
    path.resize(path.rfind('/'));
  }
}

std::int64_t cgroup_headroom(const MemorySources& sources) {
  std::ifstream file(sources.own_cgroups);
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string path = line.substr(second + 1);
    if (controllers == ",,") {
      least = std::min(least, headroom(sources.cgroup_root, path, kVersion2));
    } else if (controllers.find(",memory,") != std::string::npos) {
      least = std::min(least, headroom(sources.cgroup_root + "/memory", path, kVersion1));
    }
  }
  return least;
}

}  // namespace

std::string default_data_dir() {
  const std::string state = environment("XDG_STATE_HOME");
  if (!state.empty()) return state + "/busway";
  return ::geteuid() == 0 ? "/var/lib/busway" : home_dir() + "/.local/state/busway";
}

std::int64_t default_memory_budget(const MemorySources& sources) {
  constexpr std::int64_t kUnknownMachine = 256LL << 20;
  const std::int64_t total_kib = read_field(sources.meminfo, "MemTotal:");
  const std::int64_t quarter = total_kib > 0 ? total_kib * 1024 / 4 : kUnknownMachine;
  return std::min(quarter, cgroup_headroom(sources) / 2);
}

}  // namespace busway::daemon
