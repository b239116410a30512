// What the suites share: running an exploration as a test.
#pragma once

#include <cctype>
#include <iostream>
#include <string>

#include <gtest/gtest.h>

#include "tests/interleave/catalogue.hpp"

namespace busway::interleave {

/// A test's name may only have letters, digits and underscores.
inline std::string test_name(const std::string& words) {
  std::string name;
  for (const char c : words)
    if (std::isalnum(static_cast<unsigned char>(c)) != 0)
      name += c;
    else if (!name.empty() && name.back() != '_')
      name += '_';
  while (!name.empty() && name.back() == '_') name.pop_back();
  return name;
}

inline std::string name_of_exploration(const testing::TestParamInfo<Exploration>& info) {
  const std::string bounds = " p" + std::to_string(info.param.bounds.preemptions) +
                             (info.param.bounds.frozen ? " f" : " c") +
                             std::to_string(info.param.bounds.crashes);
  return test_name(std::to_string(info.index) + " " + info.param.scenario.name + " " +
                   name_of(info.param.model) + bounds);
}

/// Explores it whole, prints the counts, and fails with the trace of what was found.
inline void check(const Exploration& exploration) {
  Seed none;
  const Verdict verdict = explore(exploration.scenario, exploration.model, exploration.bounds, none);
  std::cout << summary(exploration.scenario, exploration.model, exploration.bounds, verdict) << std::endl;
  std::string trace;
  for (const std::string& line : verdict.trace) trace += "  " + line + "\n";
  EXPECT_TRUE(verdict.broken.empty()) << verdict.broken << "\n" << trace;
  EXPECT_TRUE(verdict.complete);
  EXPECT_GT(verdict.ends, 0U);
}

}  // namespace busway::interleave
