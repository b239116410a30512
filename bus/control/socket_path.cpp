#include "bus/control/socket_path.hpp"

#include <cstdlib>

#include <sys/stat.h>
#include <unistd.h>

namespace busway::control {
namespace {

bool is_socket(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode);
}

}  // namespace

std::string default_socket_path(SocketUse use) {
  const char* given = std::getenv("BUSWAY_SOCKET");
  if (given != nullptr && *given != '\0') return given;
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  if (runtime != nullptr && *runtime == '/') {
    std::string path = std::string(runtime) + "/busway/busway.sock";
    if (use == SocketUse::listen || is_socket(path)) return path;
  }
  if (const uid_t uid = ::geteuid(); uid != 0) {
    std::string path = "/tmp/busway-" + std::to_string(uid) + "/busway.sock";
    if (use == SocketUse::listen || is_socket(path)) return path;
  }
  return "/run/busway/busway.sock";
}

}  // namespace busway::control
