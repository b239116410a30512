// Sizes, escapes, UTF-8, base64, JSON strings, times.
#include "clients/cli/text.hpp"

#include <cstdlib>

#include <gtest/gtest.h>
#include <time.h>

namespace busway::cli {
namespace {

using namespace std::string_literals;

TEST(Text, SizesAndCountsForPeople) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(1023), "1023 B");
  EXPECT_EQ(human_bytes(1024), "1.0 KiB");
  EXPECT_EQ(human_bytes(1024 * 1024 - 1), "1.0 MiB");
  EXPECT_EQ(human_bytes(5'905'580'032), "5.5 GiB");
  EXPECT_EQ(human_count(0), "0");
  EXPECT_EQ(human_count(999), "999");
  EXPECT_EQ(human_count(1'000'000), "1,000,000");
}

TEST(Text, Escapes) {
  EXPECT_EQ(unescape("a\\nb\\tc\\r\\0\\\\"), "a\nb\tc\r\0\\"s);
  EXPECT_EQ(unescape("\\x41\\xfF"), "A\xff");
  EXPECT_EQ(unescape("\\q\\x4\\"), "\\q\\x4\\") << "what is no escape stays";
}

TEST(Text, Utf8) {
  for (const auto& good : {""s, "abc"s, "\0"s, "\xC2\x80"s, "\xE0\xA0\x80"s, "\xED\x9F\xBF"s, "\xEF\xBF\xBF"s,
                           "\xF0\x90\x80\x80"s, "\xF4\x8F\xBF\xBF"s}) {
    EXPECT_TRUE(is_utf8(good)) << good;
  }
  for (const auto& bad :
       {"\x80"s, "\xC0\x80"s, "\xC1\xBF"s, "\xC2"s, "\xC2\x41"s, "\xE0\x9F\xBF"s, "\xED\xA0\x80"s,
        "\xF0\x8F\xBF\xBF"s, "\xF4\x90\x80\x80"s, "\xF5\x80\x80\x80"s, "a\xE2\x82"s, "\xFF"s}) {
    EXPECT_FALSE(is_utf8(bad)) << bad;
  }
}

TEST(Text, Base64OfTheStandardsExamples) {
  const auto encoded = [](std::string_view bytes) {
    std::string out;
    append_base64(out, bytes);
    return out;
  };
  EXPECT_EQ(encoded(""), "");
  EXPECT_EQ(encoded("f"), "Zg==");
  EXPECT_EQ(encoded("fo"), "Zm8=");
  EXPECT_EQ(encoded("foo"), "Zm9v");
  EXPECT_EQ(encoded("foob"), "Zm9vYg==");
  EXPECT_EQ(encoded("\xff\xff\xfe"), "///+");
}

TEST(Text, JsonStrings) {
  std::string out;
  append_json_string(out, "a\"\\\n\t\r\x01\x1f\x7f\xC3\xA9");
  EXPECT_EQ(out, "\"a\\\"\\\\\\n\\t\\r\\u0001\\u001f\x7f\xC3\xA9\"");
}

TEST(Text, TimesToIso) {
  EXPECT_EQ(iso_time(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(iso_time(1714979289123), "2024-05-06T07:08:09.123Z");
  EXPECT_EQ(iso_time(-1), "1969-12-31T23:59:59.999Z");
  EXPECT_EQ(iso_time(INT64_MAX), "9223372036854775807");
  EXPECT_EQ(iso_time(INT64_MIN), "-9223372036854775808");
}

std::int64_t ms(std::string_view text) {
  std::int64_t unix_ms = -12345;
  EXPECT_TRUE(parse_iso_time(text, unix_ms)) << text;
  return unix_ms;
}

TEST(Text, TimesFromIso) {
  EXPECT_EQ(ms("2024-05-06T07:08:09Z"), 1714979289000);
  EXPECT_EQ(ms("2024-05-06 07:08:09.5Z"), 1714979289500);
  EXPECT_EQ(ms("2024-05-06T09:08:09.123456+02:00"), 1714979289123);
  EXPECT_EQ(ms("2024-05-06T01:38-0530"), 1714979280000);
  ::setenv("TZ", "XYZ-3", 1);  // three hours east of UTC
  ::tzset();
  EXPECT_EQ(ms("2024-05-06T10:08:09"), 1714979289000);
  EXPECT_EQ(ms("2024-05-06"), 1714942800000);
  ::unsetenv("TZ");
  ::tzset();
}

TEST(Text, NoTimes) {
  std::int64_t unix_ms = 0;
  for (const char* text :
       {"", "2024", "2024-5-6", "2024-02-30", "2024-05-06T", "2024-05-06T24:00", "2024-05-06T07:60",
        "2024-05-06T07:08:09.Z", "2024-05-06T07:08:09ZZ", "2024-05-06T07:08:09+2", "2024-05-06Q"}) {
    EXPECT_FALSE(parse_iso_time(text, unix_ms)) << text;
  }
}

}  // namespace
}  // namespace busway::cli
