// Seeded mistakes: what the code under test would do if one line of it were wrong. The checker must catch
// every one.
//
// A mistake is put in from outside, at the accesses themselves: an order is weakened, a fence left out, an
// access made another one, an answer replaced by what the wrong line would have used. The product's code is
// not touched.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/interleave/engine/recorder.hpp"

namespace busway::interleave {

/// Which accesses: made in `function`, to `place`, by `op`, by actors of these kinds; the n-th such line of
/// the function (from 1), or all of them (0).
struct At {
  std::string function;
  Place place = Place::nowhere;
  Op op = Op::load;
  unsigned nth = 0;
  std::uint8_t kinds = kEverybody;
};

/// The same, as lines of the source that a clean run has met.
class Lines {
 public:
  Lines() = default;
  /// Throws std::invalid_argument when the code has no such access: a mistake must hit something.
  Lines(const At& at, const std::vector<Site>& sites);
  bool have(const Site& site, Kind kind) const;
  /// Is there such an access in `sites`, whatever its number?
  static bool exist(const At& at, const std::vector<Site>& sites);

 private:
  struct Line {
    std::string file;
    std::uint32_t line;
    std::uint32_t column;
  };
  std::vector<Line> lines_;
  Place place_ = Place::nowhere;
  Op op_ = Op::none;
  std::uint8_t kinds_ = 0;
};

/// "publish slot cas #1": how an access is called in tables and test output.
std::string name_of(const At& at);

/// Makes the accesses at `at` have `order`; relaxed leaves a fence out.
class Weakened : public Seed {
 public:
  Weakened(const At& at, std::memory_order order, const std::vector<Site>& sites)
      : lines_(at, sites), order_(order) {}
  void begin(Kind kind, const Locations&) override { kind_ = kind; }
  void alter(Access& access, const Site& site) override;

 private:
  Lines lines_;
  std::memory_order order_;
  Kind kind_ = kEverybody;
};

/// A mistake by name, with what it changes.
struct Mistake {
  std::string name;
  std::string breaks;  ///< which counter-example or invariant of docs/ring.md it is about
  At at;
  std::function<std::unique_ptr<Seed>(const std::vector<Site>&)> make;
  bool views_only = false;  ///< a memory order: sequentially consistent runs do not have any
};
const std::vector<Mistake>& mistakes();

}  // namespace busway::interleave
