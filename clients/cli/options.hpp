// What a command line asks for, free of how it was written: one struct for each command.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <busway/types.hpp>

namespace busway::cli {

/// Exit statuses.
inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;

/// The command line makes no sense: exit status kUsage. what() is a sentence without "busway: ".
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct TopicCreate {
  std::string name;
  std::int32_t partitions = 1;
  std::vector<std::string> config;  ///< KEY=VALUE
};
struct TopicList {
  bool json = false;
};
struct TopicDescribe {
  std::string name;
  bool json = false;
};
struct TopicAlter {
  std::string name;
  std::vector<std::string> config;  ///< KEY=VALUE
};
struct TopicDelete {
  std::string name;
};

struct Pub {
  std::string topic;
  std::string file = "-";            ///< "-": standard input
  std::optional<std::string> key{};  ///< of every record
  std::optional<std::string> key_separator{};
  std::vector<std::string> headers{};  ///< NAME=VALUE, of every record
  std::optional<std::int32_t> partition{};
  double timeout_s = 60;  ///< how long a record may wait for room, and the last one to be durable
  bool durable = false;
  bool whole = false;          ///< the input is one record
  bool empty_as_null = false;  ///< an empty value, or key, is null
};

struct Sub {
  std::string topic;
  std::optional<std::string> from{};
  std::vector<std::int32_t> partitions{};  ///< none: all
  std::optional<std::uint64_t> count{};
  bool exit_at_end = false;
  std::optional<std::string> format{};
  bool json = false;
  bool show_null = false;  ///< print null keys and values as NULL
  bool durable_only = false;
};

struct LogVerify {
  std::vector<std::string> paths;
  bool active = false;     ///< a daemon may be writing: unfinished tails are no defect
  bool compacted = false;  ///< offsets may be missing inside segments
  bool foreign = false;    ///< written by Kafka itself
  bool json = false;
};
struct LogDump {
  std::vector<std::string> paths;
  bool batches = false;  ///< batch headers, no records
  bool json = false;
  std::optional<std::string> format{};
};

struct Stats {
  bool json = false;
  bool prometheus = false;
};
struct Doctor {
  bool json = false;
};

using Command = std::variant<TopicCreate, TopicList, TopicDescribe, TopicAlter, TopicDelete, Pub, Sub,
                             LogVerify, LogDump, Stats, Doctor>;

struct Invocation {
  std::string socket;  ///< empty: the library's default
  Command command;
};

}  // namespace busway::cli
