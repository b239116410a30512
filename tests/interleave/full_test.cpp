// The checker's full suite: two publishers, a reader and the drain, explored whole to three preemptions with
// a crash at every step, in both memory models, with all that goes with it; and seeded mistakes caught there.
#include <algorithm>

#include "tests/interleave/check.hpp"
#include "tests/interleave/hunt.hpp"

namespace busway::interleave {
namespace {

class Full : public testing::TestWithParam<Exploration> {};

TEST_P(Full, HoldsInEveryInterleaving) { check(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Scenario, Full, testing::ValuesIn(full_explorations()), name_of_exploration);

/// The four actors that the mistakes are put into, and how far they are explored.
const Exploration& cast_of_four(Model model) {
  const auto& all = full_explorations();
  return *std::find_if(all.begin(), all.end(), [&](const Exploration& exploration) {
    return exploration.model == model && exploration.scenario.name == "cast of four, 2 and 1 records";
  });
}

class SeededInTheCastOfFour : public testing::TestWithParam<std::string> {};

TEST_P(SeededInTheCastOfFour, MistakeIsCaught) {
  const auto mistake = std::find_if(mistakes().begin(), mistakes().end(),
                                    [&](const Mistake& other) { return other.name == GetParam(); });
  ASSERT_NE(mistake, mistakes().end());
  const Exploration& cast = cast_of_four(mistake->views_only ? Model::views : Model::sequential);
  const std::unique_ptr<Seed> seed = mistake->make(all_sites());
  const Verdict verdict = explore(cast.scenario, cast.model, cast.bounds, *seed);
  std::cout << mistake->name << " (" << mistake->breaks << "): " << verdict.broken << " ["
            << name_of(cast.model) << ", " << verdict.states << " states]" << std::endl;
  EXPECT_FALSE(verdict.broken.empty());
}

std::string name_of_seeded(const testing::TestParamInfo<std::string>& info) { return test_name(info.param); }
INSTANTIATE_TEST_SUITE_P(
    Code, SeededInTheCastOfFour,
    testing::Values("the lap is one too high", "the commit is a plain store",
                    "the fence's slot is not left free", "nobody asks whether the ring is full",
                    "`reclaimed` is moved by an addition", "`written` is not asked",
                    "the copy is not checked against `reclaimed`",
                    "the reader does not ask whether it is behind",
                    "the slot's lap is not compared by the reader", "the new worker does not raise `written`",
                    "the commit does not release", "moving `reclaimed` does not release",
                    "the reader's slot is loaded relaxed", "the drain's slot is loaded relaxed",
                    "the reader's look behind is relaxed"),
    name_of_seeded);

}  // namespace
}  // namespace busway::interleave
