// Where a subscriber starts.
#include "clients/cli/start.hpp"

#include <gtest/gtest.h>

#include "clients/cli/options.hpp"

namespace busway::cli {
namespace {

void expect_start(std::string_view text, StartAt wanted) {
  const StartAt got = parse_start(text);
  EXPECT_EQ(got.kind(), wanted.kind()) << text;
  EXPECT_EQ(got.value(), wanted.value()) << text;
}

TEST(Start, WordsOffsetsAndTimes) {
  expect_start("earliest", earliest);
  expect_start("beginning", earliest);
  expect_start("latest", latest);
  expect_start("end", latest);
  expect_start("0", at_offset(0));
  expect_start("9223372036854775807", at_offset(9223372036854775807));
  expect_start("@2024-05-06T07:08:09.123Z", at_time(1714979289123));
}

TEST(Start, AnythingElseIsRefused) {
  for (const char* text :
       {"", "first", "-1", "1x", "9223372036854775808", "@", "@yesterday", "@2024-13-01"}) {
    EXPECT_THROW(parse_start(text), UsageError) << text;
  }
}

}  // namespace
}  // namespace busway::cli
