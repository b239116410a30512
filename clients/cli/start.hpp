// Where `busway sub --from` starts.
#pragma once

#include <string_view>

#include <busway/types.hpp>

namespace busway::cli {

/// "earliest" ("beginning"), "latest" ("end"), an offset, or "@" and an ISO 8601 time. Throws UsageError.
StartAt parse_start(std::string_view text);

}  // namespace busway::cli
