#include "bus/control/socket_owner.hpp"

#include <charconv>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <vector>

#include <pwd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bus/base/fd.hpp"

namespace busway::control::detail {
namespace {

std::optional<uid_t> uid_of_user(const char* name) {
  std::vector<char> buffer(16384);
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwnam_r(name, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) {
    return std::nullopt;
  }
  return entry.pw_uid;
}

std::optional<uid_t> configured_uid() {
  // secure: a set-user-id program must not take its user's word for whom to trust.
  const char* text = ::secure_getenv("BUSWAY_DAEMON_UID");
  if (text == nullptr || *text == '\0') return std::nullopt;
  const std::string_view number(text);
  uid_t uid = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), uid);
  if (error == std::errc{} && end == number.data() + number.size()) return uid;
  return uid_of_user(text);
}

}  // namespace

bool trusted_owner(uid_t owner, uid_t own) {
  return owner == own || owner == 0 || owner == configured_uid() || owner == uid_of_user("busway");
}

void check_socket_owner(int socket, const std::string& path) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  check_errno(::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size),
              "SO_PEERCRED of the control socket");
  const uid_t own = ::geteuid();
  if (trusted_owner(peer.uid, own)) return;
  throw Error(errc::wrong_socket_owner,
              "the daemon at " + path + " runs as uid " + std::to_string(peer.uid) +
                  ", this program as uid " + std::to_string(own) +
                  "; only a daemon of the same uid, of root or of the user busway is trusted: set "
                  "BUSWAY_DAEMON_UID=" +
                  std::to_string(peer.uid) + " to trust this one");
}

}  // namespace busway::control::detail
