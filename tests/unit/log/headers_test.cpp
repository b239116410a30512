#include <gtest/gtest.h>

#include "tests/unit/log/log_fixture.hpp"

namespace busway::log {
namespace {

using namespace testing;  // NOLINT: the fixture's words

ByteString encoded(std::initializer_list<HeaderView> headers) {
  return encode_headers(std::span(headers.begin(), headers.size()));
}

TEST(RecordHeaders, HaveKafkasEncoding) {
  const ByteString bytes = encoded({{"ab", "xyz"}, {"n", Bytes()}});
  const std::string_view expected(
      "\x04\x04"
      "ab\x06xyz\x02n\x01",
      11);
  EXPECT_EQ(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()), expected);
}

TEST(RecordHeaders, AreNothingWhenThereAreNone) {
  EXPECT_TRUE(encoded({}).empty());
  EXPECT_EQ(encoded_headers_bytes({}), 1U);
  HeaderCursor none({});
  HeaderView header;
  EXPECT_FALSE(none.next(header));
  EXPECT_TRUE(none.ok());
}

TEST(RecordHeaders, RoundTripWithOrderRepetitionNullAndEmpty) {
  const OwnedRecord record{
      0, {}, {}, {{"a", "1"}, {"a", std::nullopt}, {"", ""}, {"long", std::string(300, 'x')}}};
  const ByteString bytes = headers_of(record);
  EXPECT_EQ(decode_headers(bytes), record.headers);
  EXPECT_TRUE(headers_well_formed(bytes));
}

TEST(RecordHeaders, TakeAHundred) {
  OwnedRecord record;
  for (unsigned i = 0; i < 100; ++i)
    record.headers.emplace_back("name-" + std::to_string(i), std::string(i, 'v'));
  EXPECT_EQ(decode_headers(headers_of(record)), record.headers);
}

TEST(RecordHeaders, AreRefusedWhenCutOrLengthened) {
  const ByteString bytes = encoded({{"ab", "xyz"}, {"n", Bytes()}});
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(headers_well_formed(std::span(bytes).first(length))) << length;
  }
  ByteString longer = bytes;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(headers_well_formed(longer));
}

TEST(RecordHeaders, AreRefusedWithNegativeCountsNamesOrHugeLengths) {
  const auto refused = [](std::initializer_list<unsigned> values) {
    ByteString bytes;
    for (const unsigned value : values) bytes.push_back(static_cast<std::byte>(value));
    return !headers_well_formed(bytes);
  };
  EXPECT_TRUE(refused({0x01})) << "count -1";
  EXPECT_TRUE(refused({0x02, 0x01, 0x00})) << "a null name";
  EXPECT_TRUE(refused({0x02, 0x00, 0x03})) << "a value of length -2";
  EXPECT_TRUE(refused({0xFE, 0xFF, 0xFF, 0xFF, 0x0F, 0x00, 0x00})) << "2147483647 headers";
  EXPECT_TRUE(refused({0x02, 0xFE, 0xFF, 0xFF, 0xFF, 0x0F, 0x00})) << "a name of 2147483647 bytes";
  EXPECT_FALSE(refused({0x02, 0x00, 0x01})) << "an empty name with a null value";
}

}  // namespace
}  // namespace busway::log
