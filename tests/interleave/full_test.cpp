// The checker's full suite: two publishers, a reader and the drain, explored whole to three preemptions with
// a crash at every step, in both memory models, with all that goes with it; and every memory order of
// bus/ring weakened.
#include <algorithm>

#include "tests/interleave/check.hpp"
#include "tests/interleave/hunt.hpp"
#include "tests/interleave/orders.hpp"

namespace busway::interleave {
namespace {

class Full : public testing::TestWithParam<Exploration> {};

TEST_P(Full, HoldsInEveryInterleaving) { check(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Scenario, Full, testing::ValuesIn(full_explorations()), name_of_exploration);

/// One order of one access, one step weaker.
struct Weakening {
  At at;
  std::memory_order from;
  std::memory_order to;
  std::string name() const { return name_of(at) + ": " + name_of(from) + " -> " + name_of(to); }
};

std::vector<Weakening> weakenings() {
  std::vector<Weakening> all;
  for (const At& at : orders_to_weaken(all_sites())) {
    const Lines lines(at, all_sites());
    const auto site = std::find_if(all_sites().begin(), all_sites().end(), [&](const Site& candidate) {
      return lines.have(candidate, static_cast<Kind>(at.kinds));
    });
    for (const std::memory_order to : weaker(site->op, site->order)) all.push_back({at, site->order, to});
  }
  return all;
}

class Order : public testing::TestWithParam<Weakening> {};

TEST_P(Order, IsNeededOrListed) {
  const Weakening& weakening = GetParam();
  const auto& kept = kept_orders();
  const auto listed = std::find_if(kept.begin(), kept.end(),
                                   [&](const KeptOrder& order) { return order.order == weakening.name(); });
  const Catch found = hunt(weakening.at, true, [&] {
    return std::make_unique<Weakened>(weakening.at, weakening.to, all_sites());
  });
  if (listed == kept.end()) {
    std::cout << weakening.name() << ": " << found.how << std::endl;
    EXPECT_TRUE(found.caught) << "no execution needs this order: " << weakening.name();
  } else {
    std::cout << weakening.name() << ": kept, " << listed->why << std::endl;
    EXPECT_FALSE(found.caught) << weakening.name() << " is needed after all: take it off the list\n"
                               << found.how;
  }
}

std::string name_of_order(const testing::TestParamInfo<Weakening>& info) {
  return test_name(info.param.name());
}
INSTANTIATE_TEST_SUITE_P(Weaker, Order, testing::ValuesIn(weakenings()), name_of_order);

TEST(Orders, ListNoneThatIsNotThere) {
  const std::vector<Weakening> all = weakenings();
  for (const KeptOrder& kept : kept_orders())
    EXPECT_TRUE(std::any_of(all.begin(), all.end(), [&](const Weakening& w) {
      return w.name() == kept.order;
    })) << kept.order;
  EXPECT_GE(all.size() - kept_orders().size(), 15U);
}

}  // namespace
}  // namespace busway::interleave
