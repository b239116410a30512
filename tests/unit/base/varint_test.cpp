#include "bus/base/varint.hpp"

#include <array>
#include <limits>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace busway::varint {
namespace {

std::vector<unsigned> bytes_of(std::uint64_t value) {
  std::array<std::byte, kRoom> room{};
  const std::byte* const end = write_unsigned(room.data(), value);
  std::vector<unsigned> bytes;
  for (const std::byte* at = room.data(); at != end; ++at) bytes.push_back(std::to_integer<unsigned>(*at));
  return bytes;
}

TEST(Varint, HasTheDocumentedBytes) {
  EXPECT_EQ(bytes_of(0), (std::vector<unsigned>{0x00}));
  EXPECT_EQ(bytes_of(127), (std::vector<unsigned>{0x7F}));
  EXPECT_EQ(bytes_of(128), (std::vector<unsigned>{0x80, 0x01}));
  EXPECT_EQ(bytes_of(300), (std::vector<unsigned>{0xAC, 0x02}));
  EXPECT_EQ(bytes_of(0xFFFFFFFF), (std::vector<unsigned>{0xFF, 0xFF, 0xFF, 0xFF, 0x0F}));
  EXPECT_EQ(bytes_of(~std::uint64_t{0}).size(), 10U);
}

TEST(Varint, ZigzagTurnsSmallNumbersOfEitherSignIntoSmallOnes) {
  EXPECT_EQ(zigzag32(0), 0U);
  EXPECT_EQ(zigzag32(-1), 1U);
  EXPECT_EQ(zigzag32(1), 2U);
  EXPECT_EQ(zigzag32(std::numeric_limits<std::int32_t>::max()), 0xFFFFFFFEU);
  EXPECT_EQ(zigzag32(std::numeric_limits<std::int32_t>::min()), 0xFFFFFFFFU);
  EXPECT_EQ(zigzag64(std::numeric_limits<std::int64_t>::min()), ~std::uint64_t{0});
}

TEST(Varint, RoundTripsEveryLengthAndItsNeighbours) {
  std::vector<std::uint64_t> values{0, ~std::uint64_t{0}};
  for (unsigned bit = 0; bit < 64; ++bit) {
    const std::uint64_t power = std::uint64_t{1} << bit;
    values.insert(values.end(), {power - 1, power, power + 1});
  }
  for (const std::uint64_t value : values) {
    std::array<std::byte, kRoom> room{};
    std::byte* const end = write_unsigned(room.data(), value);
    ASSERT_EQ(static_cast<std::size_t>(end - room.data()), unsigned_bytes(value)) << value;
    std::uint64_t back = 0;
    ASSERT_EQ(read_unsigned64(room.data(), end, back), end);
    ASSERT_EQ(back, value);
    ASSERT_EQ(unzigzag64(value), unzigzag64(back));
    ASSERT_EQ(zigzag64(unzigzag64(value)), value);

    std::array<std::byte, kRoom> other{};
    ASSERT_EQ(write_short(other.data(), value) - other.data(), end - room.data());
    for (const std::byte* at = room.data(); at != end; ++at)
      ASSERT_EQ(other.at(static_cast<std::size_t>(at - room.data())), *at);

    std::uint32_t narrow = 0;
    const bool fits = value >> 32 == 0;
    ASSERT_EQ(read_unsigned32(room.data(), end, narrow) != nullptr, fits) << value;
    if (fits) {
      ASSERT_EQ(narrow, value);
    }
  }
}

TEST(Varint, RefusesWhatIsCutShortOrTooLong) {
  const std::array<std::byte, 11> endless = [] {
    std::array<std::byte, 11> bytes{};
    bytes.fill(std::byte{0x80});
    return bytes;
  }();
  std::uint32_t narrow = 0;
  std::uint64_t wide = 0;
  for (std::size_t length = 0; length <= endless.size(); ++length) {
    EXPECT_EQ(read_unsigned32(endless.data(), endless.data() + length, narrow), nullptr);
    EXPECT_EQ(read_unsigned64(endless.data(), endless.data() + length, wide), nullptr);
  }
  std::array<std::byte, 10> above{};
  above.fill(std::byte{0xFF});
  above[9] = std::byte{0x02};  // bit 64
  EXPECT_EQ(read_unsigned64(above.data(), above.data() + above.size(), wide), nullptr);
  above[4] = std::byte{0x10};  // bit 32
  EXPECT_EQ(read_unsigned32(above.data(), above.data() + 5, narrow), nullptr);
}

}  // namespace
}  // namespace busway::varint
