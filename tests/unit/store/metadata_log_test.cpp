#include "daemon/metadata_log.hpp"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <busway/error.hpp>

#include "bus/log/verify.hpp"
#include "tests/unit/store/temp_directory.hpp"

namespace busway::daemon {
namespace {

Uuid uuid_of(std::uint8_t mark) {
  Uuid uuid;
  uuid.bytes.fill(mark);
  return uuid;
}

TopicSet topic(const std::string& name, std::uint8_t mark, std::uint32_t partitions) {
  return {name, uuid_of(mark), partitions, {{"retention.ms", "1000"}}};
}

PartitionSet granted(std::uint8_t mark, std::uint32_t partition, Offset offset, int epoch) {
  return {uuid_of(mark), partition, {offset, Epoch{epoch}}};
}

class MetadataLogTest : public testing::TestWithParam<MetadataLog::Committer> {
 protected:
  std::unique_ptr<MetadataLog> open() {
    return std::make_unique<MetadataLog>(files_, temp_.path(), GetParam());
  }
  std::filesystem::path newest() const {
    std::filesystem::path found;
    for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
      if (entry.path().extension() == ".log") found = std::max(found, entry.path());
    }
    return found;
  }
  std::size_t file_count() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(directory_), {}));
  }

  test::TempDirectory temp_;
  const std::string directory_ = temp_ / std::string(MetadataLog::kDirectory);
  RealFileSystem files_;
};

TEST_P(MetadataLogTest, begins_with_nothing) {
  EXPECT_TRUE(open()->state().empty());
  EXPECT_TRUE(open()->state().empty());
}

TEST_P(MetadataLogTest, keeps_topics_partitions_and_settings) {
  MetadataState before;
  {
    const auto log = open();
    log->append({topic("orders", 1, 3), topic("prices", 2, 1)});
    log->append({granted(1, 2, 65536, 0), granted(2, 0, 100, 4)});
    before = log->state();
  }
  EXPECT_EQ(before.at("orders").uuid, uuid_of(1));
  EXPECT_EQ(before.at("orders").state[2].granted, 65536);
  EXPECT_EQ(before.at("orders").state[0].granted, 0);
  EXPECT_EQ(raw(before.at("prices").state[0].epoch), 4);
  EXPECT_EQ(before.at("prices").settings.at("retention.ms"), "1000");
  EXPECT_EQ(open()->state(), before);
  EXPECT_EQ(open()->state(), before) << "the snapshot of a snapshot";
}

TEST_P(MetadataLogTest, a_topic_created_again_forgets_what_was_granted) {
  const auto log = open();
  log->append({topic("orders", 1, 1), granted(1, 0, 500, 1)});
  log->append({TopicDeleted{"orders"}});
  EXPECT_TRUE(log->state().empty());
  log->append({topic("orders", 2, 1), granted(1, 0, 900, 9)});  // the second is of the old topic
  EXPECT_EQ(log->state().at("orders").state[0], PartitionMetadata{});
}

TEST_P(MetadataLogTest, a_deletion_is_remembered_until_it_is_done) {
  const DeletionSet orders{.topic = uuid_of(1), .name = "orders", .partitions = 2};
  {
    const auto log = open();
    log->append({topic("orders", 1, 2)});
    log->append({TopicDeleted{"orders"}, orders});
    EXPECT_EQ(log->deletions(), std::vector{orders});
  }
  EXPECT_EQ(open()->deletions(), std::vector{orders});
  EXPECT_EQ(open()->deletions(), std::vector{orders}) << "the snapshot of a snapshot";
  open()->append({DeletionDone{uuid_of(1)}});
  EXPECT_TRUE(open()->deletions().empty());
}

TEST_P(MetadataLogTest, altering_keeps_what_was_granted) {
  const auto log = open();
  log->append({topic("orders", 1, 1), granted(1, 0, 500, 1)});
  TopicSet more = topic("orders", 1, 2);
  more.settings = {};
  log->append({more});
  EXPECT_EQ(log->state().at("orders").state[0].granted, 500);
  EXPECT_EQ(log->state().at("orders").state.size(), 2u);
  EXPECT_TRUE(log->state().at("orders").settings.empty());
}

TEST_P(MetadataLogTest, names_and_settings_may_hold_anything_that_json_can) {
  TopicSet odd = topic("a-b.c_d", 1, 1);
  odd.settings = {{"quote", "\"\\\n"}, {"empty", ""}};
  open()->append({odd});
  EXPECT_EQ(open()->state().at("a-b.c_d").settings, odd.settings);
}

TEST_P(MetadataLogTest, queued_changes_are_durable_when_they_are_reported) {
  const auto log = open();
  log->append({topic("orders", 1, 1)});
  std::atomic<int> done = 0;
  constexpr int kChanges = 200;
  for (int i = 1; i <= kChanges; ++i) {
    log->queue({granted(1, 0, i, 0)}, [&done, i](int error) {
      EXPECT_EQ(error, 0);
      EXPECT_EQ(done.fetch_add(1) + 1, i) << "out of order";
    });
  }
  log->append({granted(1, 0, 1'000'000, 0)});
  EXPECT_EQ(done.load(), kChanges);
  EXPECT_EQ(log->state().at("orders").state[0].granted, 1'000'000);
}

TEST_P(MetadataLogTest, several_threads_may_append) {
  const auto log = open();
  log->append({topic("orders", 1, 8)});
  std::vector<std::thread> threads;
  for (std::uint32_t i = 0; i < 8; ++i) {
    threads.emplace_back([&log, i] {
      for (Offset offset = 1; offset <= 20; ++offset) log->append({granted(1, i, offset, 0)});
    });
  }
  for (auto& thread : threads) thread.join();
  const MetadataState state = log->state();
  for (const PartitionMetadata& partition : state.at("orders").state) EXPECT_EQ(partition.granted, 20);
}

TEST_P(MetadataLogTest, a_torn_tail_is_the_end) {
  { open()->append({topic("orders", 1, 1), granted(1, 0, 500, 1)}); }
  const auto before = open()->state();
  std::ofstream(newest(), std::ios::app) << "half a batch";
  EXPECT_EQ(open()->state(), before);
  std::filesystem::path path = newest();
  {
    const auto log = open();
    path = newest();
    log->append({granted(1, 0, 600, 1)});
  }
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  EXPECT_EQ(open()->state(), before) << "half of the last change was believed";
}

TEST_P(MetadataLogTest, damage_before_the_tail_is_an_error_that_names_the_file) {
  std::filesystem::path path;
  {
    const auto log = open();
    path = newest();
    log->append({topic("orders", 1, 1)});
    log->append({granted(1, 0, 600, 1)});
  }
  std::fstream(path, std::ios::in | std::ios::out).seekp(40).put('\x55');
  try {
    open();
    FAIL() << "the damage went unnoticed";
  } catch (const Error& error) {
    EXPECT_EQ(error.error(), errc::corrupt);
    EXPECT_NE(error.sentence().find(path.string()), std::string::npos) << error.sentence();
  }
}

TEST_P(MetadataLogTest, grows_into_a_new_file_and_drops_the_old_one) {
  const auto log = open();
  TopicSet large = topic("orders", 1, 1);
  large.settings["note"] = std::string(300'000, 'x');
  std::string first = newest();
  for (int i = 0; i < 20; ++i) log->append({large});
  EXPECT_NE(newest(), first);
  EXPECT_EQ(file_count(), 2u) << "it and the spare";
  EXPECT_LT(std::filesystem::file_size(newest()), 3'000'000u);
  EXPECT_EQ(log->state().at("orders").settings, large.settings);
}

TEST_P(MetadataLogTest, the_next_file_is_written_over_the_old_one) {
  std::set<ino_t> inodes;
  for (Offset start = 0; start < 6; ++start) {
    const auto log = open();
    if (start > 0) {
      ASSERT_EQ(log->state().at("orders").state[0].granted, start - 1);
    }
    log->append({topic("orders", 1, 1), granted(1, 0, start, 1)});
    struct stat status {};
    ASSERT_EQ(::stat(newest().c_str(), &status), 0);
    inodes.insert(status.st_ino);
    EXPECT_GE(status.st_blocks * 512, MetadataLog::kFileBytes) << "room for the changes to come";
    EXPECT_LT(status.st_size, 4096) << "nothing of the old file is behind it";
  }
  EXPECT_EQ(inodes.size(), 2u) << "only the first start needs room on the disk";
}

TEST_P(MetadataLogTest, is_a_log_that_verifies) {
  {
    const auto log = open();
    log->append({topic("orders", 1, 1)});
    log->append({granted(1, 0, 600, 1), TopicDeleted{"orders"}});
  }
  log::VerifyOptions options;
  options.active = true;
  const log::VerifyReport report = log::verify(newest(), options);
  EXPECT_TRUE(report.ok()) << report.defects.front().sentence();
  EXPECT_EQ(report.segments.front().records, 4);
}

INSTANTIATE_TEST_SUITE_P(Committers, MetadataLogTest,
                         testing::Values(MetadataLog::Committer::own_thread,
                                         MetadataLog::Committer::in_caller),
                         [](const auto& instance) {
                           return instance.param == MetadataLog::Committer::own_thread ? "own_thread"
                                                                                       : "in_caller";
                         });

}  // namespace
}  // namespace busway::daemon
