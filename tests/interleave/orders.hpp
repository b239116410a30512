// Memory orders of bus/ring that no execution here needs, and why each is kept.
#pragma once

#include <string>
#include <vector>

namespace busway::interleave {

struct KeptOrder {
  std::string order;  ///< as Weakening's name
  std::string why;
};
const std::vector<KeptOrder>& kept_orders();

}  // namespace busway::interleave
