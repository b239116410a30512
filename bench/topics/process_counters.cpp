#include "bench/topics/process_counters.hpp"

#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include <sys/stat.h>

namespace busway::bench {
namespace {

namespace fs = std::filesystem;

fs::path proc(pid_t process) { return fs::path("/proc") / std::to_string(process); }

std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> children;
  std::error_code gone;
  for (const auto& thread : fs::directory_iterator(proc(parent) / "task", gone)) {
    std::ifstream list(thread.path() / "children");
    for (pid_t child = 0; list >> child;) children.push_back(child);
  }
  return children;
}

}  // namespace

std::vector<pid_t> family_of(pid_t ancestor) {
  std::vector<pid_t> family = {ancestor};
  for (std::size_t i = 0; i < family.size(); ++i) {
    for (const pid_t child : children_of(family[i])) family.push_back(child);
  }
  return family;
}

std::uint64_t processor_ns(std::span<const pid_t> processes) {
  std::uint64_t sum = 0;
  for (const pid_t process : processes) {
    std::error_code gone;
    for (const auto& thread : fs::directory_iterator(proc(process) / "task", gone)) {
      // schedstat's first number: time on a processor in nanoseconds. (stat counts ticks of 10 ms.)
      std::uint64_t on_processor_ns = 0;
      std::ifstream(thread.path() / "schedstat") >> on_processor_ns;
      sum += on_processor_ns;
    }
  }
  return sum;
}

std::uint64_t memfd_bytes(pid_t process) {
  std::uint64_t bytes = 0;
  std::set<ino_t> seen;
  std::error_code gone;
  for (const auto& descriptor : fs::directory_iterator(proc(process) / "fd", gone)) {
    if (!fs::read_symlink(descriptor.path(), gone).string().starts_with("/memfd:")) continue;
    struct stat about {};
    if (::stat(descriptor.path().c_str(), &about) != 0 || !seen.insert(about.st_ino).second) continue;
    bytes += static_cast<std::uint64_t>(about.st_blocks) * 512;
  }
  return bytes;
}

}  // namespace busway::bench
