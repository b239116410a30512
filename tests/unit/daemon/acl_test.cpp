// Who may do what by which [[acl]] entries.
#include <gtest/gtest.h>
#include <unistd.h>

#include <busway/error.hpp>

#include "daemon/config.hpp"

namespace busway::daemon {
namespace {

constexpr uid_t kAlice = 54321;
constexpr uid_t kBob = 54322;
constexpr gid_t kTeam = 65432;

Acl acl_of(const std::string& text) { return parse_config(text, "busway.toml", {}).acl; }

std::string acl_complaint(const std::string& text) {
  try {
    acl_of(text);
  } catch (const Error& error) {
    return error.sentence();
  }
  return "(no error)";
}

TEST(Acl, TheDaemonsOwnUserAndRootMayDoEverything) {
  const Acl acl;
  for (const uid_t uid : {uid_t{0}, ::geteuid()}) {
    EXPECT_TRUE(acl.allows(uid, {}, "any", Right::publish));
    EXPECT_TRUE(acl.allows(uid, {}, "any", Right::admin));
  }
}

TEST(Acl, NobodyElseMayDoAnythingThatNoEntryGives) {
  const Acl acl;
  EXPECT_FALSE(acl.allows(kAlice, {}, "any", Right::subscribe));
}

TEST(Acl, AnEntryGivesItsRightsToItsUsersOnItsTopicsAndNothingMore) {
  const Acl acl = acl_of("[[acl]]\nusers = [54321]\ntopics = [\"orders*\"]\nallow = [\"publish\"]");
  EXPECT_TRUE(acl.allows(kAlice, {}, "orders-eu", Right::publish));
  EXPECT_FALSE(acl.allows(kAlice, {}, "orders-eu", Right::subscribe));
  EXPECT_FALSE(acl.allows(kAlice, {}, "payments", Right::publish));
  EXPECT_FALSE(acl.allows(kBob, {}, "orders-eu", Right::publish));
}

TEST(Acl, AnEntryForAGroupHoldsForAnyOfAPeersGroups) {
  const Acl acl = acl_of("[[acl]]\ngroups = [65432]\ntopics = \"*\"\nallow = [\"subscribe\", \"admin\"]");
  const gid_t groups[] = {100, kTeam};
  EXPECT_TRUE(acl.allows(kAlice, groups, "x", Right::subscribe));
  EXPECT_TRUE(acl.allows(kAlice, groups, "x", Right::admin));
  EXPECT_FALSE(acl.allows(kAlice, std::span(groups, 1), "x", Right::subscribe));
}

TEST(Acl, AStarStandsForEverybody) {
  const Acl acl = acl_of("[[acl]]\nusers = [\"*\"]\ntopics = \"public.*\"\nallow = \"subscribe\"");
  EXPECT_TRUE(acl.allows(kBob, {}, "public.news", Right::subscribe));
  EXPECT_FALSE(acl.allows(kBob, {}, "private", Right::subscribe));
}

TEST(Acl, NamesOfUsersAndGroupsAreLookedUp) {
  const Acl acl =
      acl_of("[[acl]]\nusers = [\"root\"]\ngroups = [\"root\"]\ntopics = \"*\"\nallow = \"publish\"");
  ASSERT_EQ(acl.entries().size(), 1U);
  EXPECT_EQ(acl.entries().front().users, std::vector<uid_t>{0});
  EXPECT_EQ(acl.entries().front().groups, std::vector<gid_t>{0});
}

TEST(Acl, AnIncompleteOrMisspeltEntryIsRefusedWithItsLine) {
  EXPECT_EQ(acl_complaint("\n[[acl]]\ntopics = \"*\"\nallow = \"publish\"").find("busway.toml:2: acl:"), 0U);
  EXPECT_NE(acl_complaint("[[acl]]\nusers = 1\nallow = \"publish\"").find("names no topics"),
            std::string::npos);
  EXPECT_NE(acl_complaint("[[acl]]\nusers = 1\ntopics = \"*\"").find("allows nothing"), std::string::npos);
  EXPECT_NE(acl_complaint("[[acl]]\nuser = 1").find("unknown setting acl.user"), std::string::npos);
  EXPECT_NE(acl_complaint("[[acl]]\nusers = 1\ntopics = \"*\"\nallow = \"read\"").find("acl.allow = read"),
            std::string::npos);
  EXPECT_NE(acl_complaint("[[acl]]\nusers = \"no such user\"").find("knows no \"no such user\""),
            std::string::npos);
  EXPECT_NE(acl_complaint("acl = 1").find("[[acl]]"), std::string::npos);
}

TEST(Pattern, MatchesFromTheFirstToTheLastCharacter) {
  EXPECT_TRUE(matches_pattern("orders", "orders"));
  EXPECT_FALSE(matches_pattern("orders", "orders2"));
  EXPECT_FALSE(matches_pattern("rders", "orders"));
  EXPECT_TRUE(matches_pattern("*", ""));
  EXPECT_TRUE(matches_pattern("a*b*c", "aXbYbZc"));
  EXPECT_FALSE(matches_pattern("a*b*c", "aXbYbZ"));
  EXPECT_TRUE(matches_pattern("t?pic", "topic"));
  EXPECT_FALSE(matches_pattern("?", ""));
  EXPECT_TRUE(matches_pattern("a**", "a"));
}

TEST(Pattern, TakesNoExponentialTimeWhateverItLooksLike) {
  const std::string text(20'000, 'a');
  std::string pattern;
  for (int i = 0; i < 60; ++i) pattern += "a*";
  EXPECT_FALSE(matches_pattern(pattern + "b", text));
}

}  // namespace
}  // namespace busway::daemon
