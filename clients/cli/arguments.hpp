// The command line: what options there are, and what they say about themselves.
#pragma once

#include <variant>

#include "clients/cli/options.hpp"

namespace busway::cli {

/// Nothing is left to be done (help or version was asked for and printed): exit with this status.
struct Finished {
  int status = kDone;
};

/// Reads a command line. Help goes to stdout, complaints to stderr (then Finished has kUsage).
std::variant<Invocation, Finished> parse_arguments(int argc, const char* const* argv);

}  // namespace busway::cli
