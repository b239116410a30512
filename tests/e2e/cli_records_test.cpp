// Publishing and subscribing, from a shell: what goes in comes out, byte for byte.
#include <csignal>
#include <random>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/support/private_daemon.hpp"

namespace busway::test {
namespace {

using namespace std::string_literals;
using nlohmann::json;

class Records : public ::testing::Test {
 protected:
  void SetUp() override { daemon.ok({"topic", "create", "t"}); }
  void TearDown() override { daemon.finish(); }
  void pub(std::string_view input, Words options = {}) const {
    options.insert(options.begin(), {"pub", "t"});
    daemon.ok(options, input);
  }
  std::string sub(const std::string& format = "%s\\n", Words options = {}) const {
    options.insert(options.begin(), {"sub", "t", "--from", "earliest", "-e", "-f", format});
    return daemon.ok(options);
  }
  PrivateDaemon daemon;
};

TEST_F(Records, EveryLineIsOne) {
  pub("a\n\nb\nlast without newline");
  EXPECT_EQ(sub(), "a\n\nb\nlast without newline\n");
  EXPECT_EQ(sub("%o:%S;"), "0:1;1:0;2:1;3:20;");
}

TEST_F(Records, LinesOfOneByteAndEmptyLines) {
  std::string bytes;
  for (int index = 0; index < 20'000; ++index) {
    if (index % 3 != 0) bytes += static_cast<char>(index % 256 == '\n' ? 'x' : index % 256);
    bytes += '\n';
  }
  pub(bytes);
  EXPECT_TRUE(sub() == bytes);
}

TEST_F(Records, NoInputIsNoRecord) {
  pub("");
  EXPECT_EQ(sub(), "");
}

TEST_F(Records, KeysAreNullUnlessGiven) {
  pub("v\n");
  pub("v\n", {"-k", "fixed"});
  pub("a:1\n:2\nnone\nb:c:3\n", {"-K", ":"});
  pub("x\ty\n", {"-K", "\\t"});
  EXPECT_EQ(sub("[%k %K %s]"), "[ -1 v][fixed 5 v][a 1 1][ 0 2][ -1 none][b 1 c:3][x 1 y]");
}

TEST_F(Records, EmptyAndNullDifferThroughRingAndLog) {
  pub("\n");
  pub("\n:\n", {"-Z", "-K", ":"});
  EXPECT_EQ(sub("[%K %S]"), "[-1 0][-1 -1][-1 -1]");
  EXPECT_EQ(daemon.stop(), 0);
  daemon.start();
  EXPECT_EQ(sub("[%K %S]"), "[-1 0][-1 -1][-1 -1]") << "from the log";
  EXPECT_EQ(sub("[%k %s]", {"-Z"}), "[NULL ][NULL NULL][NULL NULL]");
}

TEST_F(Records, HundredHeadersKeepTheirOrder) {
  Words options;
  std::string wanted;
  for (int index = 0; index < 100; ++index) {
    const std::string header =
        "name" + std::to_string(index % 90) + "=" + std::string(static_cast<std::size_t>(index), 'v');
    options.insert(options.end(), {"-H", header});
    wanted += (index == 0 ? "" : ",") + header;
  }
  pub("value\n", options);
  EXPECT_EQ(sub("%h"), wanted);
  EXPECT_EQ(json::parse(daemon.ok({"sub", "t", "-e", "--json"}))["headers"].size(), 100u);
}

TEST_F(Records, AWholeBinaryFileIsOne) {
  daemon.ok({"topic", "alter", "t", "--config", "max.message.bytes=8388608"});
  std::mt19937_64 random(3);
  std::string bytes(8'300'000, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  pub(bytes, {"--whole"});
  EXPECT_TRUE(sub("%s") == bytes);
  EXPECT_EQ(sub("%o %S\\n"), "0 8300000\n");
}

TEST_F(Records, EightMebibytesFit) {
  daemon.ok({"topic", "alter", "t", "--config", "max.message.bytes=8400000"});
  const std::string bytes(8 << 20, '\xff');
  pub(bytes, {"--whole"});
  EXPECT_TRUE(sub("%s") == bytes);
}

TEST_F(Records, JsonHoldsAnyBytes) {
  pub("text\n\xff\xfe\n"s, {"-k", "k"});
  const std::string lines = daemon.ok({"sub", "t", "-e", "--json"});
  const json first = json::parse(lines.substr(0, lines.find('\n')));
  const json second = json::parse(lines.substr(lines.find('\n') + 1));
  EXPECT_EQ(first["value"], "text");
  EXPECT_EQ(first["key"], "k");
  EXPECT_EQ(first["topic"], "t");
  EXPECT_EQ(second["value"]["base64"], "//4=");
  EXPECT_EQ(second["offset"], 1);
}

TEST_F(Records, CanBeReadFromAnyPlace) {
  pub("0\n1\n2\n3\n4\n");
  EXPECT_EQ(daemon.ok({"sub", "t", "--from", "3", "-e"}), "3\n4\n");
  EXPECT_EQ(daemon.ok({"sub", "t", "--from", "earliest", "-n", "2"}), "0\n1\n");
  EXPECT_EQ(daemon.ok({"sub", "t", "--from", "latest", "-e"}), "");
  EXPECT_EQ(daemon.ok({"sub", "t", "--from", "@2020-01-01", "-e"}), "0\n1\n2\n3\n4\n");
  EXPECT_EQ(daemon.ok({"sub", "t", "--from", "@2100-01-01", "-e"}), "");
}

TEST_F(Records, OfOneKeyAreInOnePartitionInOrder) {
  daemon.ok({"topic", "create", "keyed", "--partitions", "4"});
  std::string input;
  for (int index = 0; index < 4000; ++index) {
    input += "key" + std::to_string(index % 50) + ":" + std::to_string(index) + "\n";
  }
  daemon.ok({"pub", "keyed", "-K", ":"}, input);
  std::map<std::string, std::pair<int, int>> last;  // key -> partition, value
  std::istringstream lines(daemon.ok({"sub", "keyed", "-e", "-f", "%p %k %s\\n"}));
  int partition = 0;
  int records = 0;
  std::string key;
  for (int value = 0; lines >> partition >> key >> value; ++records) {
    const auto [known, fresh] = last.try_emplace(key, partition, -1);
    EXPECT_EQ(known->second.first, partition) << key;
    EXPECT_GT(value, known->second.second) << key;
    known->second.second = value;
  }
  EXPECT_EQ(records, 4000);
  EXPECT_EQ(last.size(), 50u);
  // What murmur2 gives in Kafka's default partitioner, from another implementation of it.
  const std::map<std::string, int> kafkas{{"key0", 2}, {"key1", 0}, {"key2", 3},
                                          {"key3", 1}, {"key4", 1}, {"key5", 3}};
  for (const auto& [name, wanted] : kafkas) EXPECT_EQ(last[name].first, wanted) << name;
}

TEST_F(Records, GoToThePartitionThatIsAskedFor) {
  daemon.ok({"topic", "create", "parts", "--partitions", "3"});
  daemon.ok({"pub", "parts", "-p", "2"}, "a\nb\n");
  EXPECT_EQ(daemon.ok({"sub", "parts", "-e", "-f", "%p:%s "}), "2:a 2:b ");
  EXPECT_EQ(daemon.ok({"sub", "parts", "-e", "-p", "0", "-p", "1"}), "");
}

TEST_F(Records, ReachALiveSubscriberLineByLine) {
  const auto out = daemon.directory() / "live";
  Process live = daemon.start_busway({"sub", "t", "--from", "earliest"}, out);
  pub("first\n");
  EXPECT_TRUE(eventually([&] { return read_file(out) == "first\n"; })) << "what is read is written at once";
  pub("second\n");
  EXPECT_TRUE(eventually([&] { return read_file(out) == "first\nsecond\n"; }));
  live.signal(SIGTERM);
  EXPECT_EQ(live.wait(), 0);
}

TEST_F(Records, InterruptingASubscriberLosesNoOutput) {
  pub("a\nb\n");
  const auto out = daemon.directory() / "live";
  Process live = daemon.start_busway({"sub", "t", "--from", "earliest"}, out);
  EXPECT_TRUE(eventually([&] { return read_file(out) == "a\nb\n"; }));
  live.signal(SIGINT);
  EXPECT_EQ(live.wait(5s), 0);
}

TEST_F(Records, ASubscriberEndsWhenNobodyReadsItsOutput) {
  pub("a\nb\nc\n");
  const ProcessSpec spec = daemon.in_shell("busway sub t --from earliest | head -n 1");
  const Ran ran = run_program(daemon.directory(), spec, {}, 20s);
  EXPECT_EQ(ran.out, "a\n");
  EXPECT_EQ(ran.err, "");
}

TEST_F(Records, DurableOnesAreThereAfterAKillOfBothProcesses) {
  pub("a\nb\n", {"--durable"});
  daemon.kill_both();
  daemon.start();
  EXPECT_EQ(sub(), "a\nb\n");
}

}  // namespace
}  // namespace busway::test
