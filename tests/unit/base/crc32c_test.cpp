// Every implementation against known vectors and against a bitwise reference, at random lengths and
// alignments.
#include "bus/base/crc32c.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace busway {
namespace {

using crc32c_detail::Implementation;

std::uint32_t bitwise(const void* data, std::size_t bytes, std::uint32_t before) {
  const auto* at = static_cast<const unsigned char*>(data);
  std::uint32_t crc = ~before;
  for (std::size_t i = 0; i < bytes; ++i) {
    crc ^= at[i];
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0x82F63B78U : 0U);
  }
  return ~crc;
}

class Crc32c : public testing::TestWithParam<Implementation> {
 protected:
  void SetUp() override {
    if (!GetParam().usable()) GTEST_SKIP() << "this CPU has no " << GetParam().name;
  }
  static std::uint32_t crc(const void* data, std::size_t bytes, std::uint32_t before = 0) {
    return GetParam().function(data, bytes, before);
  }
};

std::vector<unsigned char> random_bytes(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<unsigned char> bytes(count);
  for (auto& byte : bytes) byte = static_cast<unsigned char>(random());
  return bytes;
}

// RFC 3720 (iSCSI), appendix B.4, and the usual check value.
TEST_P(Crc32c, GivesTheKnownVectors) {
  std::vector<unsigned char> block(32, 0x00);
  EXPECT_EQ(crc(block.data(), 32), 0x8A9136AAU);
  block.assign(32, 0xFF);
  EXPECT_EQ(crc(block.data(), 32), 0x62A8AB43U);
  std::iota(block.begin(), block.end(), static_cast<unsigned char>(0));
  EXPECT_EQ(crc(block.data(), 32), 0x46DD794EU);
  std::reverse(block.begin(), block.end());
  EXPECT_EQ(crc(block.data(), 32), 0x113FDB5CU);
  EXPECT_EQ(crc("123456789", 9), 0xE3069283U);
  EXPECT_EQ(crc("", 0), 0U);
}

TEST_P(Crc32c, AgreesWithTheReferenceAtEveryShortLengthAndAlignment) {
  const auto bytes = random_bytes(1100, 1);
  for (std::size_t length = 0; length <= 1024; ++length) {
    const std::size_t shift = length % 71;
    ASSERT_EQ(crc(bytes.data() + shift, length), bitwise(bytes.data() + shift, length, 0)) << length;
  }
}

TEST_P(Crc32c, AgreesWithTheReferenceAtRandomLengthsAlignmentsAndStarts) {
  const auto bytes = random_bytes(200'000, 2);
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    const std::size_t limit = round % 10 == 0 ? 100'000 : 8192;
    const std::size_t length = random() % limit;
    const std::size_t shift = random() % 4096;
    const auto before = static_cast<std::uint32_t>(random());
    ASSERT_EQ(crc(bytes.data() + shift, length, before), bitwise(bytes.data() + shift, length, before))
        << "length " << length << " shift " << shift << " before " << before;
  }
}

TEST_P(Crc32c, IsTheSameInPieces) {
  const auto bytes = random_bytes(5000, 4);
  const std::uint32_t whole = crc(bytes.data(), bytes.size());
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    const std::size_t cut = random() % bytes.size();
    ASSERT_EQ(crc(bytes.data() + cut, bytes.size() - cut, crc(bytes.data(), cut)), whole) << cut;
  }
}

TEST_P(Crc32c, TouchesNothingOutsideItsInput) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  void* const memory = ::mmap(nullptr, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  auto* const middle = static_cast<unsigned char*>(memory) + page;
  ASSERT_EQ(::mprotect(middle, page, PROT_READ | PROT_WRITE), 0);
  const auto bytes = random_bytes(page, 6);
  std::memcpy(middle, bytes.data(), page);
  for (std::size_t length = 0; length <= 600; ++length) {
    ASSERT_EQ(crc(middle, length), bitwise(middle, length, 0));
    ASSERT_EQ(crc(middle + page - length, length), bitwise(middle + page - length, length, 0));
  }
  ::munmap(memory, 3 * page);
}

INSTANTIATE_TEST_SUITE_P(Every, Crc32c,
                         testing::ValuesIn(crc32c_detail::implementations().begin(),
                                           crc32c_detail::implementations().end()),
                         [](const auto& implementation) {
                           return std::string(implementation.param.name) == "sse4.2"
                                      ? "sse42"
                                      : implementation.param.name;
                         });

TEST(Crc32cChoice, IsTheBestThatTheCpuHasAndAgreesWithTheLast) {
  const auto bytes = random_bytes(3000, 7);
  EXPECT_EQ(crc32c(bytes.data(), bytes.size()), bitwise(bytes.data(), bytes.size(), 0));
  EXPECT_EQ(crc32c(std::as_bytes(std::span(bytes))), bitwise(bytes.data(), bytes.size(), 0));
  EXPECT_TRUE(crc32c_detail::implementations().back().usable());
}

}  // namespace
}  // namespace busway
