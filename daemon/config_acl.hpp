// Who may do what: the [[acl]] entries of the configuration.
//
// Entries only ever allow. The daemon's own uid and root may do everything. Without any entry the members of
// the group `busway`, where it exists, may publish and subscribe everywhere.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace busway::daemon {

enum class Right { publish, subscribe, admin };

struct AclEntry {
  bool everybody = false;  ///< users = ["*"]
  std::vector<uid_t> users;
  std::vector<gid_t> groups;
  std::vector<std::string> topics;  ///< patterns: * stands for any text, ? for one character
  bool publish = false;
  bool subscribe = false;
  bool admin = false;

  bool gives(Right right) const noexcept;
  friend bool operator==(const AclEntry&, const AclEntry&) = default;
};

class Acl {
 public:
  /// What holds without configuration.
  static Acl standard();
  Acl() : Acl(std::vector<AclEntry>{}) {}
  explicit Acl(std::vector<AclEntry> entries);

  /// Whether a peer with these credentials has the right on the topic. `groups`: the primary one included.
  bool allows(uid_t uid, std::span<const gid_t> groups, std::string_view topic, Right right) const noexcept;
  const std::vector<AclEntry>& entries() const noexcept { return entries_; }
  friend bool operator==(const Acl&, const Acl&) = default;

 private:
  std::vector<AclEntry> entries_;
  uid_t own_uid_;
};

/// Whether `text` matches the pattern from its first to its last character.
bool matches_pattern(std::string_view pattern, std::string_view text) noexcept;

}  // namespace busway::daemon
