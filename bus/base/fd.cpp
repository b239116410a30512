#include "bus/base/fd.hpp"

namespace busway {

void throw_errno(const std::string& what, int error) {
  const errc code = is_no_room(error) ? errc::disk_full : errc::io;
  throw Error(code, what + ": " + std::generic_category().message(error));
}

}  // namespace busway
