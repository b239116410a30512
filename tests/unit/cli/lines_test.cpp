// Lines out of files and pipes.
#include "clients/cli/lines.hpp"

#include <cstdio>
#include <memory>
#include <random>
#include <string>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <busway/error.hpp>

#include "bus/base/fd.hpp"

namespace busway::cli {
namespace {

Fd file_of(std::string_view text) {
  Fd file(::memfd_create("lines", MFD_CLOEXEC));
  EXPECT_EQ(::write(file.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  ::lseek(file.get(), 0, SEEK_SET);
  return file;
}

std::vector<std::string> all_lines(std::string_view text, std::size_t chunk = 16, std::size_t most = 3) {
  const Fd file = file_of(text);
  LineReader reader(file.get(), 1000, -1, chunk);
  std::vector<std::string> lines;
  for (;;) {
    const auto some = reader.next(most);
    if (some.empty()) break;
    EXPECT_LE(some.size(), most);
    lines.insert(lines.end(), some.begin(), some.end());
  }
  EXPECT_EQ(reader.bytes_done(), text.size());
  return lines;
}

using Lines = std::vector<std::string>;

TEST(Lines, EveryByteSequenceBetweenNewlinesIsALine) {
  EXPECT_EQ(all_lines(""), Lines{});
  EXPECT_EQ(all_lines("a\nb\n"), (Lines{"a", "b"}));
  EXPECT_EQ(all_lines("\n\na\n\n"), (Lines{"", "", "a", ""}));
  EXPECT_EQ(all_lines("a\r\nb"), (Lines{"a\r", "b"})) << "a carriage return is a byte like any other";
}

TEST(Lines, TheLastNeedsNoNewline) {
  EXPECT_EQ(all_lines("a\nb"), (Lines{"a", "b"}));
  EXPECT_EQ(all_lines("x"), Lines{"x"});
}

TEST(Lines, LongerThanTheBufferAreWhole) {
  const std::string longer(100, 'x');
  EXPECT_EQ(all_lines(longer + "\n" + longer), (Lines{longer, longer}));
}

TEST(Lines, AnyTextComesBackWhateverTheBufferAndTheBatch) {
  std::mt19937 random(11);
  for (int round = 0; round < 500; ++round) {
    std::string text(random() % 200, '\0');
    for (char& c : text) c = "\nab\0"[random() % 4];
    std::string joined;
    for (const std::string& line : all_lines(text, 1 + random() % 40, 1 + random() % 20))
      joined += line + '\n';
    if (!text.empty() && text.back() != '\n') joined.pop_back();
    ASSERT_EQ(joined, text) << "round " << round;
  }
}

TEST(Lines, TooLongALineIsRefused) {
  const Fd file = file_of("short\n" + std::string(1002, 'x') + "\n");
  LineReader reader(file.get(), 1000, -1, 16);
  EXPECT_EQ(reader.next(1).size(), 1u);
  try {
    reader.next(1);
    FAIL() << "the line was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.error(), errc::record_too_large);
    EXPECT_NE(error.sentence().find("max.message.bytes"), std::string::npos) << error.sentence();
  }
}

class Pipe {
 public:
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
    reader = Fd(ends[0]);
    writer = Fd(ends[1]);
  }
  void write(std::string_view text) {
    EXPECT_EQ(::write(writer.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  Fd reader;
  Fd writer;
};

TEST(Lines, OfAPipeComeAsSoonAsTheyAreWhole) {
  Pipe pipe;
  LineReader reader(pipe.reader.get(), 1000);
  pipe.write("first\nsecond\nthi");
  EXPECT_EQ(reader.next(100).size(), 2u);
  EXPECT_FALSE(reader.more_at_hand());
  pipe.write("rd\n");
  pipe.writer.reset();
  EXPECT_EQ(reader.next(100).front(), "third");
  EXPECT_TRUE(reader.next(100).empty());
  EXPECT_FALSE(reader.stopped());
}

TEST(Lines, WaitingForInputEndsWhenToldToStop) {
  Pipe input;
  Pipe stop;
  LineReader reader(input.reader.get(), 1000, stop.reader.get());
  input.write("whole\nunfinished");
  EXPECT_EQ(reader.next(100).size(), 1u);
  stop.write("!");
  EXPECT_TRUE(reader.next(100).empty()) << "an unfinished line is not published";
  EXPECT_TRUE(reader.stopped());
}

TEST(Whole, InputIsTakenToItsLastByte) {
  const std::string bytes = std::string(3'000'000, 'x') + '\n' + '\0';
  const Fd file = file_of(bytes);
  bool stopped = false;
  const auto got = read_whole(file.get(), 4'000'000, -1, stopped);
  EXPECT_EQ(std::string(got.begin(), got.end()), bytes);
  EXPECT_FALSE(stopped);
}

TEST(Whole, TooLargeAnInputIsRefused) {
  const Fd file = file_of(std::string(2'000, 'x'));
  bool stopped = false;
  EXPECT_THROW(read_whole(file.get(), 1'000, -1, stopped), Error);
}

}  // namespace
}  // namespace busway::cli
