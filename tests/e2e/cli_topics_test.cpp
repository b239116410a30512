// Topics, from a shell.
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/support/private_daemon.hpp"

namespace busway::test {
namespace {

using nlohmann::json;

class Topics : public ::testing::Test {
 protected:
  void TearDown() override { daemon.finish(); }
  json describe(const std::string& topic) const {
    return json::parse(daemon.ok({"topic", "describe", topic, "--json"}));
  }
  PrivateDaemon daemon;
};

TEST_F(Topics, AreCreatedListedDescribedAndDeleted) {
  EXPECT_EQ(daemon.ok({"topic", "list"}), "");
  daemon.ok({"topic", "create", "orders", "--partitions", "4", "--config", "retention.ms=86400000"});
  daemon.ok({"topic", "create", "a.b_c-d"});
  EXPECT_EQ(daemon.ok({"topic", "list"}), "a.b_c-d\norders\n");
  EXPECT_EQ(json::parse(daemon.ok({"topic", "list", "--json"})), json({"a.b_c-d", "orders"}));

  const json orders = describe("orders");
  EXPECT_EQ(orders["name"], "orders");
  EXPECT_EQ(orders["partitions"].size(), 4u);
  EXPECT_EQ(orders["config"]["retention.ms"], "86400000");
  EXPECT_EQ(orders["partitions"][3]["partition"], 3);
  EXPECT_EQ(orders["partitions"][3]["log_end"], 0);

  const std::string text = daemon.ok({"topic", "describe", "orders"});
  EXPECT_NE(text.find("retention.ms=86400000"), std::string::npos) << text;
  EXPECT_NE(text.find("PARTITION"), std::string::npos) << text;

  daemon.ok({"topic", "delete", "a.b_c-d"});
  EXPECT_EQ(daemon.ok({"topic", "list"}), "orders\n");
}

TEST_F(Topics, SettingsCanBeAltered) {
  daemon.ok({"topic", "create", "orders"});
  daemon.ok(
      {"topic", "alter", "orders", "--config", "max.message.bytes=9000000", "--config", "retention.ms=5000"});
  EXPECT_EQ(describe("orders")["config"]["max.message.bytes"], "9000000");
  EXPECT_EQ(describe("orders")["config"]["retention.ms"], "5000");
}

TEST_F(Topics, OutliveACleanStopAndAKill) {
  daemon.ok({"topic", "create", "orders", "--partitions", "2"});
  const json uuid = describe("orders")["uuid"];
  EXPECT_EQ(daemon.stop(), 0);
  daemon.start();
  EXPECT_EQ(describe("orders")["uuid"], uuid);
  daemon.kill_both();
  daemon.start();
  EXPECT_EQ(describe("orders")["uuid"], uuid);
  EXPECT_EQ(describe("orders")["partitions"].size(), 2u);
}

TEST_F(Topics, AreDescribedThoughNobodyAttachedThemSinceTheStart) {
  daemon.ok({"topic", "create", "orders", "--config", "segment.bytes=1048576"});
  const std::string line(1000, 'x');
  std::string lines;
  for (int i = 0; i < 3000; ++i) lines += line + "\n";
  daemon.ok({"pub", "orders", "--durable"}, lines);
  EXPECT_EQ(daemon.stop(), 0);
  daemon.start();
  const json orders = describe("orders")["partitions"][0];
  EXPECT_EQ(orders["state"], "cold");
  EXPECT_EQ(orders["log_end"], 3000);
  EXPECT_GE(orders["segments"], 3);
  EXPECT_GT(orders["log_bytes"], 3'000'000);
  EXPECT_EQ(describe("orders")["partitions"][0], orders) << "counted once";
}

TEST_F(Topics, DoNotTakeOverALogThatIsThereAlready) {
  namespace fs = std::filesystem;
  daemon.ok({"topic", "create", "orders"});
  daemon.ok({"pub", "orders", "--durable"}, "an order\n");
  EXPECT_EQ(daemon.stop(), 0);
  fs::copy(daemon.partition("orders"), daemon.partition("copied"));
  fs::create_directory(daemon.data() / "old-0.1234.deleted");
  std::ofstream(daemon.data() / "old-0.1234.deleted" / "00000000000000000000.log") << "left";
  daemon.start();
  EXPECT_NE(daemon.words().find("copied-0 belongs to no topic"), std::string::npos) << daemon.words();

  daemon.ok({"topic", "create", "copied"});
  daemon.ok({"pub", "copied"}, "another\n");
  EXPECT_EQ(daemon.ok({"sub", "copied", "--from", "earliest", "-e"}), "another\n");
  std::string kept;
  for (const auto& entry : fs::directory_iterator(daemon.data()))
    if (entry.path().extension() == ".orphan") kept = entry.path();
  ASSERT_NE(kept, "");
  EXPECT_NE(daemon.words().find("it is kept as " + kept), std::string::npos) << daemon.words();
  EXPECT_GT(fs::file_size(fs::path(kept) / "00000000000000000000.log"), 0U);

  EXPECT_EQ(daemon.stop(), 0);  // what it had begun is done
  EXPECT_FALSE(fs::exists(daemon.data() / "old-0.1234.deleted"))
      << "a deletion that a crash interrupted goes on";
  daemon.start();
}

TEST_F(Topics, AreNotCreatedByAccident) {
  const std::string complaint = daemon.fails({"pub", "ordres"}, "x\n");
  EXPECT_NE(complaint.find("ordres"), std::string::npos) << complaint;
  EXPECT_NE(complaint.find("auto.create.topics.enable"), std::string::npos) << complaint;
  EXPECT_EQ(daemon.ok({"topic", "list"}), "");
}

TEST_F(Topics, StatsNameThem) {
  daemon.ok({"topic", "create", "orders"});
  daemon.ok({"pub", "orders"}, "a\nb\n");
  EXPECT_NE(daemon.ok({"stats"}).find("orders"), std::string::npos);
  EXPECT_TRUE(json::parse(daemon.ok({"stats", "--json"})).is_object());
  const std::string prometheus = daemon.ok({"stats", "--prometheus"});
  EXPECT_NE(prometheus.find("# TYPE busway_"), std::string::npos) << prometheus;
}

TEST_F(Topics, TheDoctorFindsTheDaemonWell) {
  const json checks = json::parse(daemon.busway({"doctor", "--json"}).out);
  std::map<std::string, std::string> verdicts;
  for (const json& check : checks) verdicts[check["check"]] = check["verdict"];
  EXPECT_EQ(verdicts["socket"], "ok");
  EXPECT_EQ(verdicts["daemon"], "ok");
  EXPECT_EQ(verdicts["version"], "ok");
  EXPECT_TRUE(verdicts.contains("kernel"));
}

}  // namespace
}  // namespace busway::test
