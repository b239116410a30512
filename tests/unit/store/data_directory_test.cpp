#include "daemon/data_directory.hpp"

#include <fstream>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <busway/error.hpp>

#include "tests/unit/store/temp_directory.hpp"

namespace busway::daemon {
namespace {

class DataDirectoryTest : public testing::Test {
 protected:
  Error error_of_opening() {
    try {
      DataDirectory second(files_, path_);
    } catch (const Error& error) {
      return error;
    }
    return {errc::ok, "no error"};
  }
  void write(const std::string& name, const std::string& text) { std::ofstream(path_ + "/" + name) << text; }

  test::TempDirectory temp_;
  const std::string path_ = temp_ / "some/deep/data";
  RealFileSystem files_;
};

TEST_F(DataDirectoryTest, is_made_with_its_parents) {
  const DataDirectory data(files_, path_ + "/");
  EXPECT_EQ(data.path(), path_);
  EXPECT_TRUE(data.last_stop().first_start);
  EXPECT_FALSE(data.last_stop().clean);
  EXPECT_FALSE(data.last_stop().boot_changed);
  EXPECT_EQ(data.partition_path("orders", 3), path_ + "/orders-3");
}

TEST_F(DataDirectoryTest, a_second_daemon_is_refused_with_the_holders_pid) {
  const DataDirectory first(files_, path_);
  const Error error = error_of_opening();
  EXPECT_EQ(error.error(), errc::data_dir_in_use);
  EXPECT_NE(error.sentence().find(path_), std::string::npos) << error.sentence();
  EXPECT_NE(error.sentence().find("pid " + std::to_string(::getpid()) + ")"), std::string::npos)
      << error.sentence();
}

TEST_F(DataDirectoryTest, the_lock_ends_with_its_holder) {
  { const DataDirectory first(files_, path_); }
  EXPECT_EQ(error_of_opening().error(), errc::ok);
}

TEST_F(DataDirectoryTest, an_inherited_lock_is_taken_over) {
  auto first = std::make_unique<DataDirectory>(files_, path_);
  Fd inherited(::dup(first->lock_fd()));
  first.reset();
  EXPECT_EQ(error_of_opening().error(), errc::data_dir_in_use) << "the duplicate must hold the lock";
  const DataDirectory second(files_, path_, std::move(inherited));
  EXPECT_EQ(error_of_opening().error(), errc::data_dir_in_use);
}

TEST_F(DataDirectoryTest, a_newer_format_is_refused_with_both_versions) {
  { const DataDirectory first(files_, path_); }
  write("version", "busway-data 7\n");
  const Error error = error_of_opening();
  EXPECT_EQ(error.error(), errc::data_dir_version);
  EXPECT_NE(error.sentence().find("format 7"), std::string::npos) << error.sentence();
  EXPECT_NE(error.sentence().find("format 1"), std::string::npos) << error.sentence();
}

TEST_F(DataDirectoryTest, a_version_that_says_nothing_is_an_error) {
  { const DataDirectory first(files_, path_); }
  for (const char* text : {"", "busway-data\n", "busway-data 0\n", "busway-data 1x\n", "something else\n"}) {
    write("version", text);
    EXPECT_EQ(error_of_opening().error(), errc::corrupt) << "\"" << text << "\"";
  }
}

TEST_F(DataDirectoryTest, a_clean_stop_is_told_from_a_crash) {
  {
    DataDirectory data(files_, path_);
    data.mark_running();
  }
  {
    DataDirectory data(files_, path_);
    EXPECT_FALSE(data.last_stop().first_start);
    EXPECT_FALSE(data.last_stop().clean);
    EXPECT_FALSE(data.last_stop().boot_changed);
    data.mark_running();
    data.mark_clean_stop();
  }
  {
    DataDirectory data(files_, path_);
    EXPECT_TRUE(data.last_stop().clean);
    data.mark_running();
  }
  DataDirectory data(files_, path_);
  EXPECT_FALSE(data.last_stop().clean) << "the mark of an earlier clean stop was believed";
}

TEST_F(DataDirectoryTest, another_boot_is_noticed) {
  {
    DataDirectory data(files_, path_);
    data.mark_running();
  }
  write("running", "busway-run 1 boot=00000000-0000-0000-0000-000000000000\n");
  { EXPECT_TRUE(DataDirectory(files_, path_).last_stop().boot_changed); }
  write("running", "nonsense\n");
  { EXPECT_TRUE(DataDirectory(files_, path_).last_stop().boot_changed); }
  write("clean-stop", "busway-stop 1 boot=00000000-0000-0000-0000-000000000000\n");
  const DataDirectory data(files_, path_);
  EXPECT_TRUE(data.last_stop().clean);
  EXPECT_TRUE(data.last_stop().boot_changed);
}

TEST(BootId, is_a_uuid_without_a_line_feed) {
  EXPECT_EQ(current_boot_id().size(), 36u);
  EXPECT_EQ(current_boot_id(), current_boot_id());
}

}  // namespace
}  // namespace busway::daemon
