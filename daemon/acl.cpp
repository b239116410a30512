#include "daemon/acl.hpp"

#include <string>
#include <vector>

#include <pwd.h>

#include <busway/error.hpp>

namespace busway::daemon {
namespace {

/// "uid 1000 (anna)", for whoever reads the error without a password file at hand.
std::string who(uid_t uid) {
  std::string text = "uid " + std::to_string(uid);
  std::vector<char> buffer(16384);
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr) {
    text += " (" + std::string(entry.pw_name) + ")";
  }
  return text;
}

}  // namespace

std::string_view right_name(Right right) noexcept {
  switch (right) {
    case Right::publish:
      return "publish";
    case Right::subscribe:
      return "subscribe";
    case Right::admin:
      return "admin";
  }
  return "unknown";
}

void require_right(const Acl& acl, const PeerCredentials& peer, std::string_view topic, Right right) {
  if (acl.allows(peer.uid, peer.groups, topic, right)) return;
  const std::string name(right_name(right));
  const std::string what = topic == "*" ? "the daemon as a whole" : "topic " + std::string(topic);
  throw Error(errc::access_denied,
              who(peer.uid) + " has no right to " + name + " on " + what +
                  ": an entry [[acl]] of the daemon's configuration (setting `acl`) with " + "allow = [\"" +
                  name + "\"] for this user or one of its groups would give it");
}

}  // namespace busway::daemon
