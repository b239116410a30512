#include "clients/cli/commands.hpp"

namespace busway::cli {

Bus connect_to(const std::string& socket) {
  ConnectOptions options;
  options.socket = socket;
  return connect(options);
}

}  // namespace busway::cli
