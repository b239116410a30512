// Looking at log files without a daemon.
#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "bus/log/names.hpp"
#include "tests/support/private_daemon.hpp"

namespace busway::test {
namespace {

using nlohmann::json;

/// A topic with three records in its log, and no daemon any more.
class StoppedLog : public ::testing::Test {
 protected:
  void SetUp() override {
    daemon.ok({"topic", "create", "t"});
    daemon.ok({"pub", "t", "-k", "key", "-H", "n=v"}, "first\nsecond\nthird\n");
    ASSERT_EQ(daemon.stop(), 0) << daemon.words();
  }
  void TearDown() override { daemon.start(); }  // there is always a daemon to be stopped

  std::filesystem::path segment() const {
    return daemon.partition("t") / log::segment_file_name(0, log::SegmentFile::log);
  }
  void flip_bit(std::streamoff position) const {
    std::fstream file(segment(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(position);
    const char byte = static_cast<char>(file.get() ^ 0x10);
    file.seekp(position);
    file.put(byte);
  }
  PrivateDaemon daemon;
};

TEST_F(StoppedLog, Verifies) {
  const std::string text = daemon.ok({"log", "verify", daemon.partition("t")});
  EXPECT_NE(text.find("3 records"), std::string::npos) << text;
  EXPECT_NE(text.find("no defect"), std::string::npos) << text;
  const json report = json::parse(daemon.ok({"log", "verify", "--json", segment()}));
  EXPECT_EQ(report["ok"], true);
  EXPECT_EQ(report["segments"][0]["records"], 3);
  EXPECT_EQ(report["segments"][0]["next_offset"], 3);
}

TEST_F(StoppedLog, AFlippedBitIsFoundWithFileOffsetsAndByteRange) {
  const auto size = std::filesystem::file_size(segment());
  flip_bit(70);
  const std::string complaint = daemon.fails({"log", "verify", segment()});
  EXPECT_NE(complaint.find(segment().string()), std::string::npos) << complaint;
  EXPECT_NE(complaint.find("checksum"), std::string::npos) << complaint;
  const json report = json::parse(daemon.busway({"log", "verify", "--json", segment()}).out);
  EXPECT_EQ(report["ok"], false);
  EXPECT_EQ(report["defects"][0]["position"], 0);
  EXPECT_LE(report["defects"][0]["bytes"].get<std::size_t>(), size);
  EXPECT_EQ(report["defects"][0]["first_offset"], 0);
}

TEST_F(StoppedLog, AFlippedBitIsNoRetentionToASubscriber) {
  const auto first_batch = static_cast<std::streamoff>(std::filesystem::file_size(segment()));
  daemon.start();
  daemon.ok({"pub", "t", "--durable"}, "fourth\n");
  std::string many;  // so that the batch is far from the end, which the next start looks at
  for (int line = 0; line < 20'000; ++line) many += "line " + std::to_string(line) + '\n';
  daemon.ok({"pub", "t"}, many);
  ASSERT_EQ(daemon.stop(), 0) << daemon.words();
  flip_bit(first_batch + 70);
  daemon.start();
  const Ran ran = daemon.busway({"sub", "t", "-e"});
  EXPECT_EQ(ran.status, 1);
  EXPECT_EQ(ran.out, "first\nsecond\nthird\n" + many);
  EXPECT_NE(ran.err.find("1 records of topic t cannot be read"), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find("checksum"), std::string::npos) << ran.err;
  EXPECT_EQ(ran.err.find("retention"), std::string::npos) << ran.err;
  ASSERT_EQ(daemon.stop(), 0) << daemon.words();
}

TEST_F(StoppedLog, ASubscriberIsToldOfOffsetsThatARecoverySetAside) {
  const auto first_batch = static_cast<std::streamoff>(std::filesystem::file_size(segment()));
  daemon.start();
  daemon.ok({"pub", "t"}, "fourth\n");
  ASSERT_EQ(daemon.stop(), 0) << daemon.words();
  flip_bit(first_batch + 70);
  daemon.start();
  const Ran ran = daemon.busway({"sub", "t", "-e"});
  EXPECT_EQ(ran.out, "first\nsecond\nthird\n");
  EXPECT_NE(ran.err.find("1 offsets of topic t hold no record"), std::string::npos) << ran.err;
  ASSERT_EQ(daemon.stop(), 0) << daemon.words();
}

TEST_F(StoppedLog, CanBePrinted) {
  EXPECT_EQ(daemon.ok({"log", "dump", "-f", "%t %p %o %k %s %h\\n", segment()}),
            "t 0 0 key first n=v\nt 0 1 key second n=v\nt 0 2 key third n=v\n");
  std::istringstream lines(daemon.ok({"log", "dump", "--json", segment()}));
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(json::parse(line)["value"], "first");
  const std::string text = daemon.ok({"log", "dump", daemon.partition("t")});
  EXPECT_NE(text.find("key=\"key\" value=\"second\""), std::string::npos) << text;
  EXPECT_NE(text.find("epoch"), std::string::npos) << text;
  EXPECT_EQ(daemon.ok({"log", "dump", "--batches", segment()}).find("value="), std::string::npos);
}

TEST_F(StoppedLog, WhatIsNoLogIsRefused) {
  daemon.fails({"log", "verify", daemon.directory() / "nowhere"});
  std::filesystem::create_directory(daemon.directory() / "empty");
  EXPECT_NE(daemon.fails({"log", "verify", daemon.directory() / "empty"}).find("no segment files"),
            std::string::npos);
  const auto other = daemon.directory().file("notes.txt", "hello");
  const std::string complaint = daemon.fails({"log", "dump", other});
  EXPECT_NE(complaint.find("notes.txt"), std::string::npos) << complaint;
}

}  // namespace
}  // namespace busway::test
