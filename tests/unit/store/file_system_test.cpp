#include "daemon/file_system.hpp"

#include <cerrno>
#include <cstring>

#include <gtest/gtest.h>

#include <busway/error.hpp>

#include "tests/unit/store/temp_directory.hpp"

namespace busway::daemon {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class FileSystemTest : public testing::Test {
 protected:
  test::TempDirectory directory_;
  RealFileSystem files_;
};

TEST_F(FileSystemTest, errors_name_the_file_and_the_reason) {
  try {
    File::open(files_, directory_ / "nothing", OpenMode::read);
    FAIL() << "opened a file that is not there";
  } catch (const Error& error) {
    EXPECT_EQ(error.error(), errc::io);
    EXPECT_NE(error.sentence().find(directory_ / "nothing"), std::string::npos);
    EXPECT_NE(error.sentence().find(std::strerror(ENOENT)), std::string::npos);
  }
  EXPECT_FALSE(File::open_if_there(files_, directory_ / "nothing", OpenMode::read));
  File::open(files_, directory_ / "file", OpenMode::create);
  EXPECT_THROW(File::open_if_there(files_, directory_ / "file/in a file", OpenMode::read), Error);
}

TEST_F(FileSystemTest, create_does_not_take_a_file_that_is_there) {
  const std::string path = directory_ / "file";
  File::open(files_, path, OpenMode::create).write(bytes_of("abc"), 0);
  EXPECT_EQ(files_.open(path, OpenMode::create), -EEXIST);
  File::open(files_, path, OpenMode::open_always).write(bytes_of("X"), 1);
  EXPECT_EQ(text_of(read_whole(files_, path, 100)), "aXc");
}

TEST_F(FileSystemTest, reads_up_to_the_end_and_allocates_zeros) {
  const File file = File::open(files_, directory_ / "file", OpenMode::create);
  file.write(bytes_of("hello"), 0);
  std::vector<std::byte> some(10);
  EXPECT_EQ(file.read(some, 3), 2u);
  EXPECT_EQ(file.read(some, 99), 0u);
  ASSERT_EQ(files_.allocate(file.fd(), 8), 0);
  EXPECT_EQ(file.size(), 8u);
  EXPECT_EQ(text_of(read_whole(files_, file.path(), 100)), std::string("hello\0\0\0", 8));
  file.truncate(2);
  EXPECT_EQ(text_of(read_whole(files_, file.path(), 100)), "he");
  EXPECT_THROW(read_whole(files_, file.path(), 1), Error);
}

TEST_F(FileSystemTest, replaces_a_file_and_leaves_nothing_aside) {
  const std::string path = directory_ / "file";
  replace_durably(files_, path, bytes_of("one"));
  File::open(files_, path + ".new", OpenMode::create).write(bytes_of("left by a crash"), 0);
  replace_durably(files_, path, bytes_of("two"));
  EXPECT_EQ(text_of(read_whole(files_, path, 100)), "two");
  std::vector<std::string> names;
  ASSERT_EQ(files_.list(directory_.path(), names), 0);
  EXPECT_EQ(names, std::vector<std::string>{"file"});
}

TEST_F(FileSystemTest, a_file_is_closed_once) {
  File one = File::open(files_, directory_ / "file", OpenMode::create);
  const int fd = one.fd();
  File two = std::move(one);
  EXPECT_FALSE(one);  // NOLINT(bugprone-use-after-move): an empty File is what is promised
  EXPECT_EQ(two.fd(), fd);
  two = File();
  EXPECT_EQ(files_.size(fd), -EBADF);
}

TEST_F(FileSystemTest, parents) {
  EXPECT_EQ(parent_of("/a/b"), "/a");
  EXPECT_EQ(parent_of("/a"), "/");
  EXPECT_EQ(parent_of("a"), ".");
}

}  // namespace
}  // namespace busway::daemon
