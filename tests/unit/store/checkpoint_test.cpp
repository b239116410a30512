#include <gtest/gtest.h>

// The small text files of a partition: checkpoint and lost offsets.

#include "daemon/recovery_checkpoint.hpp"
#include "daemon/recovery_lost.hpp"
#include "tests/unit/store/temp_directory.hpp"

namespace busway::daemon {
namespace {

TEST(CheckpointText, is_read_back) {
  const CheckpointValues values{.log_start = 12, .recovery_point = 9'000'000'000'000};
  EXPECT_EQ(parse_checkpoint(print_checkpoint(values)), values);
}

TEST(CheckpointText, every_flipped_bit_and_every_truncation_is_noticed) {
  const std::string text = print_checkpoint({.log_start = 1200, .recovery_point = 34'567});
  for (std::size_t bit = 0; bit < text.size() * 8; ++bit) {
    std::string flipped = text;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(parse_checkpoint(flipped)) << flipped;
  }
  for (std::size_t length = 0; length < text.size(); ++length) {
    EXPECT_FALSE(parse_checkpoint(text.substr(0, length)));
  }
  EXPECT_FALSE(parse_checkpoint(text + " "));
}

TEST(CheckpointFile, moves_forward_only) {
  test::TempDirectory directory;
  RealFileSystem files;
  EXPECT_FALSE(Checkpoint::load(files, directory.path()));
  Checkpoint checkpoint(files, directory.path(), {});
  checkpoint.advance(5, 10);
  checkpoint.advance(3, std::nullopt);
  checkpoint.advance(std::nullopt, 7);
  EXPECT_EQ(checkpoint.values(), (CheckpointValues{5, 10}));
  EXPECT_EQ(Checkpoint::load(files, directory.path()), (CheckpointValues{5, 10}));
}

TEST(LostOffsets, ranges_are_merged_and_found) {
  LostOffsets lost;
  lost.add({10, 20});
  lost.add({30, 40});
  lost.add({5, 5});  // nothing
  lost.add({20, 25});
  EXPECT_EQ(lost.ranges(), (std::vector<OffsetRange>{{10, 25}, {30, 40}}));
  lost.add({24, 31});
  lost.add({1, 2});
  EXPECT_EQ(lost.ranges(), (std::vector<OffsetRange>{{1, 2}, {10, 40}}));
  EXPECT_TRUE(lost.contains(10));
  EXPECT_TRUE(lost.contains(39));
  EXPECT_FALSE(lost.contains(40));
  EXPECT_FALSE(lost.contains(9));
  lost.drop_below(12);
  EXPECT_EQ(lost.ranges(), (std::vector<OffsetRange>{{12, 40}}));
}

TEST(LostOffsets, every_flipped_bit_and_every_truncation_is_noticed) {
  LostOffsets lost;
  lost.add({10, 20});
  lost.add({300, 4000});
  const std::string text = lost.print();
  EXPECT_EQ(LostOffsets::parse(text), lost);
  for (std::size_t bit = 0; bit < text.size() * 8; ++bit) {
    std::string flipped = text;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_TRUE(LostOffsets::parse(flipped).ranges().empty()) << flipped;
  }
  for (std::size_t length = 0; length < text.size(); ++length) {
    EXPECT_TRUE(LostOffsets::parse(text.substr(0, length)).ranges().empty());
  }
}

TEST(LostOffsets, last_over_a_start) {
  test::TempDirectory directory;
  RealFileSystem files;
  EXPECT_TRUE(LostOffsets::load(files, directory.path()).ranges().empty());
  LostOffsets lost;
  lost.add({10, 20});
  lost.save(files, directory.path());
  EXPECT_EQ(LostOffsets::load(files, directory.path()), lost);
}

}  // namespace
}  // namespace busway::daemon
