#include <gtest/gtest.h>

#include "daemon/recovery_checkpoint.hpp"
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

}  // namespace
}  // namespace busway::daemon
