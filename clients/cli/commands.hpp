// The commands. Each returns an exit status; failures are thrown (busway::Error, UsageError, OutputClosed).
#pragma once

#include <chrono>
#include <string>

#include <busway/busway.hpp>

#include "clients/cli/options.hpp"

namespace busway::cli {

/// How long a command waits for a daemon that is being started, again and again if need be.
inline constexpr std::chrono::milliseconds kConnectPatience{30'000};

/// A session with the daemon; `socket` empty: the library's default. `patience`: for each request.
Bus connect_to(const std::string& socket, std::chrono::milliseconds patience = kConnectPatience);

int run(const TopicCreate& options, const std::string& socket);
int run(const TopicList& options, const std::string& socket);
int run(const TopicDescribe& options, const std::string& socket);
int run(const TopicAlter& options, const std::string& socket);
int run(const TopicDelete& options, const std::string& socket);
int run(const Pub& options, const std::string& socket);
int run(const Sub& options, const std::string& socket);
int run(const LogVerify& options, const std::string& socket);
int run(const LogDump& options, const std::string& socket);
int run(const Stats& options, const std::string& socket);
int run(const Doctor& options, const std::string& socket);

}  // namespace busway::cli
