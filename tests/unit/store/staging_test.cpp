#include "daemon/staging.hpp"

#include <cstring>
#include <deque>
#include <random>

#include <gtest/gtest.h>

namespace busway::daemon {
namespace {

constexpr std::size_t kKiB = 1024;

/// Stages `bytes` bytes that all have the value `mark`.
Staged stage(StagingArena& arena, std::size_t bytes, unsigned mark) {
  const auto room = arena.reserve(bytes);
  EXPECT_GE(room.size(), bytes);
  std::memset(room.data(), static_cast<int>(mark), bytes);
  return arena.commit(bytes);
}

bool holds(const Staged& staged, unsigned mark) {
  for (const std::byte byte : staged.span()) {
    if (byte != static_cast<std::byte>(mark)) return false;
  }
  return true;
}

TEST(Staging, bytes_stay_until_they_are_released) {
  StagingArena arena(64 * kKiB, 16 * kKiB);
  std::mt19937 random(7);
  std::deque<std::pair<Staged, unsigned>> staged;
  for (unsigned i = 0; i < 5000; ++i) {
    const std::size_t bytes = 1 + random() % 3000;
    while (arena.reserve(bytes).empty()) {
      ASSERT_FALSE(staged.empty());
      const std::size_t which = random() % staged.size();
      ASSERT_TRUE(holds(staged[which].first, staged[which].second));
      arena.release(staged[which].first);
      staged.erase(staged.begin() + static_cast<std::ptrdiff_t>(which));
    }
    staged.emplace_back(stage(arena, bytes, i & 0xFF), i & 0xFF);
    ASSERT_LE(arena.held_bytes(), arena.max_bytes());
  }
  for (const auto& [bytes, mark] : staged) EXPECT_TRUE(holds(bytes, mark));
}

TEST(Staging, refuses_beyond_its_bound_and_says_before_that_it_is_short) {
  StagingArena arena(64 * kKiB, 16 * kKiB);
  std::vector<Staged> staged;
  EXPECT_FALSE(arena.is_short());
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(arena.is_short(), i >= 2);
    staged.push_back(stage(arena, 16 * kKiB, 1));
  }
  EXPECT_TRUE(arena.reserve(1).empty());
  arena.release(staged.front());
  EXPECT_FALSE(arena.reserve(1).empty());
}

TEST(Staging, takes_the_chunk_that_was_freed_last) {
  StagingArena arena(64 * kKiB, 16 * kKiB);
  const Staged first = stage(arena, 16 * kKiB, 1);
  const Staged second = stage(arena, 16 * kKiB, 2);
  const Staged third = stage(arena, 16 * kKiB, 3);
  arena.release(second);
  arena.release(first);
  EXPECT_EQ(stage(arena, 16 * kKiB, 4).data, first.data);
  EXPECT_TRUE(holds(third, 3));
}

TEST(Staging, a_reservation_survives_releases) {
  StagingArena arena(64 * kKiB, 16 * kKiB);
  const Staged before = stage(arena, 100, 1);
  const auto room = arena.reserve(100);
  std::memset(room.data(), 2, 100);
  arena.release(before);  // now nothing is staged in the chunk
  const Staged after = arena.commit(100);
  EXPECT_EQ(after.data, room.data());
  EXPECT_TRUE(holds(after, 2));
}

TEST(Staging, one_batch_beyond_the_bound_is_taken_alone) {
  StagingArena arena(64 * kKiB, 16 * kKiB);
  const Staged small = stage(arena, 10, 1);
  EXPECT_TRUE(arena.reserve(100 * kKiB).empty());
  arena.release(small);
  arena.trim();
  const Staged large = stage(arena, 100 * kKiB, 2);
  EXPECT_TRUE(holds(large, 2));
  EXPECT_TRUE(arena.is_short());
  EXPECT_TRUE(arena.reserve(16 * kKiB).empty());
  arena.release(large);
  EXPECT_FALSE(arena.reserve(16 * kKiB).empty());
}

TEST(Staging, a_batch_larger_than_a_chunk_gets_one_of_its_own) {
  StagingArena arena(256 * kKiB, 16 * kKiB);
  const Staged large = stage(arena, 40 * kKiB, 1);
  const Staged small = stage(arena, 10, 2);
  EXPECT_NE(large.chunk, small.chunk);
  EXPECT_TRUE(holds(large, 1));
  arena.release(large);
  EXPECT_EQ(arena.held_bytes(), 16 * kKiB);
}

TEST(Staging, trim_leaves_nothing_when_nothing_is_staged) {
  StagingArena arena(64 * kKiB, 16 * kKiB);
  const Staged staged = stage(arena, 16 * kKiB, 1);
  arena.release(staged);
  arena.trim();
  EXPECT_EQ(arena.held_bytes(), 0u);
  EXPECT_TRUE(holds(stage(arena, 10, 9), 9));
}

}  // namespace
}  // namespace busway::daemon
