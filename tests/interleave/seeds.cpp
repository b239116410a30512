#include "tests/interleave/seeds.hpp"

#include <algorithm>
#include <stdexcept>

namespace busway::interleave {

namespace {

bool same_access(const Site& site, const At& at) {
  return site.function == at.function && site.place == at.place && site.op == at.op &&
         (site.kinds & at.kinds) != 0;
}

}  // namespace

Lines::Lines(const At& at, const std::vector<Site>& sites) : place_(at.place), op_(at.op), kinds_(at.kinds) {
  std::vector<const Site*> found;
  for (const Site& site : sites)
    if (same_access(site, at)) found.push_back(&site);
  std::sort(found.begin(), found.end(), [](const Site* a, const Site* b) {
    return std::tie(a->line, a->column) < std::tie(b->line, b->column);
  });
  for (std::size_t i = 0; i < found.size(); ++i)
    if (at.nth == 0 || at.nth == i + 1) lines_.push_back({found[i]->file, found[i]->line, found[i]->column});
  if (lines_.empty()) throw std::invalid_argument("no such access: " + name_of(at));
}

bool Lines::exist(const At& at, const std::vector<Site>& sites) {
  return std::any_of(sites.begin(), sites.end(), [&](const Site& site) { return same_access(site, at); });
}

bool Lines::have(const Site& site, Kind kind) const {
  if (site.place != place_ || site.op != op_ || (kinds_ & kind) == 0) return false;
  return std::any_of(lines_.begin(), lines_.end(), [&](const Line& line) {
    return line.line == site.line && line.column == site.column && line.file == site.file;
  });
}

std::string name_of(const At& at) {
  std::string name = at.function + " " + name_of(at.place) + " " + name_of(at.op);
  if (at.nth != 0) name += " #" + std::to_string(at.nth);
  if (at.kinds == kPublisher) name += " (publisher)";
  if (at.kinds == kReader) name += " (reader)";
  if (at.kinds == kWorker) name += " (worker)";
  return name;
}

void Weakened::alter(Access& access, const Site& site) {
  if (!lines_.have(site, kind_)) return;
  access.order = order_;
  if (access.op == Op::fence && order_ == std::memory_order_relaxed) access.op = Op::none;
}

}  // namespace busway::interleave
