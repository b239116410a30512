#include "daemon/config_acl.hpp"

#include <algorithm>
#include <utility>

#include <grp.h>
#include <unistd.h>

namespace busway::daemon {

bool AclEntry::gives(Right right) const noexcept {
  switch (right) {
    case Right::publish:
      return publish;
    case Right::subscribe:
      return subscribe;
    case Right::admin:
      return admin;
  }
  return false;
}

Acl::Acl(std::vector<AclEntry> entries) : entries_(std::move(entries)), own_uid_(::geteuid()) {}

Acl Acl::standard() {
  std::vector<char> buffer(16384);
  group found{};
  group* result = nullptr;
  if (::getgrnam_r("busway", &found, buffer.data(), buffer.size(), &result) != 0 || result == nullptr)
    return Acl();
  AclEntry members;
  members.groups = {found.gr_gid};
  members.topics = {"*"};
  members.publish = members.subscribe = true;
  return Acl({members});
}

bool Acl::allows(uid_t uid, std::span<const gid_t> groups, std::string_view topic,
                 Right right) const noexcept {
  if (uid == 0 || uid == own_uid_) return true;
  const auto among_groups = [&](gid_t gid) {
    return std::find(groups.begin(), groups.end(), gid) != groups.end();
  };
  return std::any_of(entries_.begin(), entries_.end(), [&](const AclEntry& entry) {
    const bool is_meant = entry.everybody ||
                          std::find(entry.users.begin(), entry.users.end(), uid) != entry.users.end() ||
                          std::any_of(entry.groups.begin(), entry.groups.end(), among_groups);
    return is_meant && entry.gives(right) &&
           std::any_of(entry.topics.begin(), entry.topics.end(),
                       [&](const std::string& pattern) { return matches_pattern(pattern, topic); });
  });
}

bool matches_pattern(std::string_view pattern, std::string_view text) noexcept {
  // Greedy with one point of return: after a mismatch the latest * takes one character more. Linear in
  // practice and never worse than pattern times text, whatever a pattern looks like.
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = std::string_view::npos;
  std::size_t star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace busway::daemon
