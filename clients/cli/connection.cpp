#include "clients/cli/commands.hpp"

namespace busway::cli {

Bus connect_to(const std::string& socket, std::chrono::milliseconds patience) {
  ConnectOptions options;
  options.socket = socket;
  options.timeout = patience;
  return connect(options);
}

}  // namespace busway::cli
