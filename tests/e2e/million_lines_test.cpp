// A file of a million lines goes in while a subscriber runs, and comes out the same.
#include <random>

#include <gtest/gtest.h>

#include "tests/support/load_files.hpp"
#include "tests/support/private_daemon.hpp"

namespace busway::test {
namespace {

constexpr int kLines = 1'000'000 / kLoadDivisor;

/// Lines of 0 to 150 bytes, of any byte but a newline; the last one without a newline.
std::string a_million_lines() {
  std::mt19937_64 random(2024);
  std::string text;
  text.reserve(kLines * 50);
  for (int line = 0; line < kLines; ++line) {
    const std::size_t length = random() % 10 == 0 ? random() % 150 : random() % 60;
    for (std::size_t at = 0; at < length; ++at) {
      const char byte = static_cast<char>(random());
      text += byte == '\n' ? ' ' : byte;
    }
    text += '\n';
  }
  text += "the end";
  return text;
}

class MillionLines : public ::testing::Test {
 protected:
  void SetUp() override {
    text = a_million_lines();
    input = daemon.directory().file("big.txt", text);
  }
  void TearDown() override { daemon.finish(); }
  std::string read_again(const std::string& topic) const {
    const auto out = daemon.directory() / "again.txt";
    Process sub = daemon.start_busway({"sub", topic, "--from", "earliest", "-e", "-f", "%s\\n"}, out);
    EXPECT_EQ(sub.wait(120s), 0);
    return read_file(out);
  }
  PrivateDaemon daemon;
  std::string text;
  std::filesystem::path input;
};

TEST_F(MillionLines, GoInWhileASubscriberRunsAndComeOutTheSame) {
  daemon.ok({"topic", "create", "t"});
  const auto live_out = daemon.directory() / "live.txt";
  Process live =
      daemon.start_busway({"sub", "t", "--from", "earliest", "-n", std::to_string(kLines + 1)}, live_out);
  Process pub = daemon.start_busway({"pub", "t", input}, daemon.directory() / "pub.out");
  EXPECT_EQ(pub.wait(120s), 0);
  EXPECT_EQ(live.wait(120s), 0);
  EXPECT_TRUE(read_file(live_out) == text + '\n') << "what the live subscriber saw";
  EXPECT_TRUE(read_again("t") == text + '\n') << "what was read later";
  EXPECT_EQ(daemon.stop(), 0);
  daemon.start();
  EXPECT_TRUE(read_again("t") == text + '\n') << "what was read from the log";
  EXPECT_NE(daemon.ok({"log", "verify", "--active", daemon.data()}).find("no defect"), std::string::npos);
}

TEST_F(MillionLines, AreOneRecordIfAskedFor) {
  daemon.ok({"topic", "create", "t", "--config", "max.message.bytes=16000000"});
  const std::string most = text.substr(0, 15'900'000);
  write_file(input, most);
  daemon.ok({"pub", "t", "--whole", input});
  EXPECT_TRUE(daemon.ok({"sub", "t", "-e", "-f", "%s"}) == most);
}

}  // namespace
}  // namespace busway::test
