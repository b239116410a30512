// busway topic create | list | describe | alter | delete
#include <cstdio>
#include <iostream>

#include <nlohmann/json.hpp>
#include <unistd.h>

#include "clients/cli/commands.hpp"
#include "clients/cli/output.hpp"
#include "clients/cli/table.hpp"
#include "clients/cli/text.hpp"

namespace busway::cli {
namespace {

Settings parse_settings(const std::vector<std::string>& given) {
  Settings settings;
  for (const std::string& one : given) {
    const auto equals = one.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw UsageError("--config " + one + ": expected KEY=VALUE, e.g. retention.ms=86400000");
    }
    if (!settings.emplace(one.substr(0, equals), one.substr(equals + 1)).second) {
      throw UsageError("--config " + one.substr(0, equals) + " is given twice");
    }
  }
  return settings;
}

std::string describe_text(const TopicInfo& topic) {
  std::string out = "topic       " + topic.name + "\nuuid        " + topic.uuid + "\npartitions  " +
                    std::to_string(topic.partitions.size()) + '\n';
  std::string_view label = "settings    ";
  for (const auto& [key, value] : topic.config) {
    out.append(label).append(key).append("=").append(value).append("\n");
    label = "            ";
  }
  Table table({"PARTITION", "LOG START", "LOG END", "WRITTEN", "DURABLE", "EPOCH", "SEGMENTS", "LOG BYTES",
               "RING SLOTS", "STATE"});
  for (const PartitionInfo& one : topic.partitions) {
    table.row({std::to_string(one.partition), std::to_string(one.log_start), std::to_string(one.log_end),
               std::to_string(one.written), std::to_string(one.durable), std::to_string(one.epoch),
               std::to_string(one.segments), std::to_string(one.log_bytes), std::to_string(one.ring_slots),
               one.state});
  }
  return out + '\n' + table.text();
}

std::string describe_json(const TopicInfo& topic) {
  auto partitions = nlohmann::ordered_json::array();
  for (const PartitionInfo& one : topic.partitions) {
    partitions.push_back({{"partition", one.partition},
                          {"log_start", one.log_start},
                          {"log_end", one.log_end},
                          {"written", one.written},
                          {"durable", one.durable},
                          {"epoch", one.epoch},
                          {"segments", one.segments},
                          {"log_bytes", one.log_bytes},
                          {"ring_slots", one.ring_slots},
                          {"state", one.state}});
  }
  const nlohmann::ordered_json json = {
      {"name", topic.name}, {"uuid", topic.uuid}, {"config", topic.config}, {"partitions", partitions}};
  return json.dump(2) + '\n';
}

void print(const std::string& text) {
  Output out(STDOUT_FILENO);
  out.write(text);
  out.flush();
}

}  // namespace

int run(const TopicCreate& options, const std::string& socket) {
  const TopicSpec spec{options.partitions, parse_settings(options.config)};
  connect_to(socket).create_topic(options.name, spec);
  std::cerr << "created topic " << options.name << " with " << options.partitions
            << (options.partitions == 1 ? " partition\n" : " partitions\n");
  return kDone;
}

int run(const TopicList& options, const std::string& socket) {
  const auto names = connect_to(socket).topics();
  std::string out;
  if (options.json) {
    out = nlohmann::json(names).dump(2) + '\n';
  } else {
    for (const std::string& name : names) out += name + '\n';
    if (names.empty())
      std::cerr << "there are no topics that you may see; `busway topic create NAME` makes one\n";
  }
  print(out);
  return kDone;
}

int run(const TopicDescribe& options, const std::string& socket) {
  const TopicInfo topic = connect_to(socket).describe_topic(options.name);
  print(options.json ? describe_json(topic) : describe_text(topic));
  return kDone;
}

int run(const TopicAlter& options, const std::string& socket) {
  const Settings settings = parse_settings(options.config);
  connect_to(socket).alter_topic(options.name, settings);
  std::cerr << "altered topic " << options.name << '\n';
  return kDone;
}

int run(const TopicDelete& options, const std::string& socket) {
  connect_to(socket).delete_topic(options.name);
  std::cerr << "deleted topic " << options.name << '\n';
  return kDone;
}

}  // namespace busway::cli
