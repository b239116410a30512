#include "clients/cli/table.hpp"

#include <gtest/gtest.h>

namespace busway::cli {
namespace {

TEST(Table, NumbersStandToTheRightAndWordsToTheLeft) {
  Table table({"NAME", "COUNT", "STATE"});
  table.row({"a", "1", "active"});
  table.row({"longer", "1000000", "disk full"});
  EXPECT_EQ(table.text(),
            "NAME      COUNT  STATE\n"
            "a             1  active\n"
            "longer  1000000  disk full\n");
}

TEST(Table, MayHaveNoRows) { EXPECT_EQ(Table({"A", "B"}).text(), "A  B\n"); }

}  // namespace
}  // namespace busway::cli
