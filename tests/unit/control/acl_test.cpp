#include "daemon/acl.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <busway/error.hpp>

namespace busway::daemon {
namespace {

constexpr uid_t kAnna = 54321;
constexpr uid_t kBert = 54322;
constexpr gid_t kReaders = 64321;

PeerCredentials peer(uid_t uid, std::vector<gid_t> groups = {}) {
  return {.uid = uid, .gid = 65000, .pid = 1, .groups = std::move(groups)};
}

bool may(const Acl& acl, const PeerCredentials& who, std::string_view topic, Right right) {
  try {
    require_right(acl, who, topic, right);
    return true;
  } catch (const Error& error) {
    EXPECT_EQ(error.error(), errc::access_denied);
    return false;
  }
}

Acl anna_publishes_orders_and_readers_read_all() {
  AclEntry publishing;
  publishing.users = {kAnna};
  publishing.topics = {"orders.*"};
  publishing.publish = true;
  AclEntry reading;
  reading.groups = {kReaders};
  reading.topics = {"*"};
  reading.subscribe = true;
  return Acl({publishing, reading});
}

TEST(RequireRight, GivesWhatAnEntryGivesAndNothingElse) {
  const Acl acl = anna_publishes_orders_and_readers_read_all();
  EXPECT_TRUE(may(acl, peer(kAnna), "orders.eu", Right::publish));
  EXPECT_FALSE(may(acl, peer(kAnna), "orders.eu", Right::subscribe));
  EXPECT_FALSE(may(acl, peer(kAnna), "orders.eu", Right::admin));
  EXPECT_FALSE(may(acl, peer(kAnna), "invoices", Right::publish));
  EXPECT_FALSE(may(acl, peer(kBert), "orders.eu", Right::publish));
}

TEST(RequireRight, LooksAtSupplementaryGroups) {
  const Acl acl = anna_publishes_orders_and_readers_read_all();
  EXPECT_TRUE(may(acl, peer(kBert, {1, 2, kReaders}), "invoices", Right::subscribe));
  EXPECT_FALSE(may(acl, peer(kBert, {1, 2}), "invoices", Right::subscribe));
}

TEST(RequireRight, TheDaemonsOwnUidAndRootMayDoEverything) {
  const Acl acl = Acl::standard();
  for (const uid_t uid : {uid_t{0}, ::geteuid()}) {
    for (const Right right : {Right::publish, Right::subscribe, Right::admin}) {
      EXPECT_TRUE(may(acl, peer(uid), "orders", right)) << uid;
    }
  }
}

TEST(RequireRight, AStrangerMayDoNothingWithoutConfiguration) {
  const Acl acl = Acl::standard();
  for (const Right right : {Right::publish, Right::subscribe, Right::admin}) {
    EXPECT_FALSE(may(acl, peer(kBert), "orders", right));
  }
}

TEST(RequireRight, TheErrorNamesUidRightTopicAndSetting) {
  try {
    require_right(anna_publishes_orders_and_readers_read_all(), peer(kBert), "orders.eu", Right::publish);
    FAIL() << "should have been refused";
  } catch (const Error& error) {
    for (const char* word : {"54322", "publish", "orders.eu", "acl"}) {
      EXPECT_NE(error.sentence().find(word), std::string::npos) << word << " in: " << error.sentence();
    }
  }
}

}  // namespace
}  // namespace busway::daemon
