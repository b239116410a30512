// busway stats: the daemon's counters as text, JSON, or for Prometheus.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include <nlohmann/json.hpp>
#include <unistd.h>

#include "clients/cli/commands.hpp"
#include "clients/cli/output.hpp"
#include "clients/cli/prometheus.hpp"
#include "clients/cli/table.hpp"

namespace busway::cli {
namespace {

using Counters = std::vector<std::pair<std::string, std::string>>;

std::string as_json(const Counters& counters) {
  auto json = nlohmann::ordered_json::object();
  for (const auto& [name, value] : counters) json[name] = value;
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + '\n';
}

std::string as_text(const Counters& counters) {
  Table table({"NAME", "VALUE"});
  for (const auto& [name, value] : counters) table.row({name, value});
  return table.text();
}

}  // namespace

int run(const Stats& options, const std::string& socket) {
  const Counters counters = connect_to(socket).stats();
  Output out(STDOUT_FILENO);
  out.write(options.prometheus ? as_prometheus(counters)
            : options.json     ? as_json(counters)
                               : as_text(counters));
  out.flush();
  return kDone;
}

}  // namespace busway::cli
