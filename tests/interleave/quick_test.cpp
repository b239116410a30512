// The checker's quick suite: small scenarios of every part of the ring's algorithm explored whole, in both
// memory models, and every seeded mistake caught.
#include "tests/interleave/check.hpp"
#include "tests/interleave/hunt.hpp"

namespace busway::interleave {
namespace {

class Quick : public testing::TestWithParam<Exploration> {};

TEST_P(Quick, HoldsInEveryInterleaving) { check(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Scenario, Quick, testing::ValuesIn(quick_explorations()), name_of_exploration);

class Seeded : public testing::TestWithParam<Mistake> {};

TEST_P(Seeded, MistakeIsCaught) {
  const Mistake& mistake = GetParam();
  const Catch found = hunt(mistake.at, mistake.views_only, [&] { return mistake.make(all_sites()); });
  std::cout << mistake.name << " (" << mistake.breaks << "): " << found.how << std::endl;
  EXPECT_TRUE(found.caught) << mistake.name;
}

std::string name_of_mistake(const testing::TestParamInfo<Mistake>& info) {
  return test_name(info.param.name);
}
INSTANTIATE_TEST_SUITE_P(Code, Seeded, testing::ValuesIn(mistakes()), name_of_mistake);

TEST(Checker, RefusesAMistakeThatHitsNothing) {
  EXPECT_THROW(Lines({"commit_at", Place::daemon_bell, Op::store}, all_sites()), std::invalid_argument);
}

}  // namespace
}  // namespace busway::interleave
