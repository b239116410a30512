#include "clients/cli/arguments.hpp"

#include <cmath>
#include <cstdlib>
#include <iostream>

#include <CLI/CLI.hpp>

#include "bus/base/limits.hpp"

#ifndef BUSWAY_VERSION
#error "BUSWAY_VERSION comes from CMake"
#endif

namespace busway::cli {
namespace {

/// Makes `T` the command when its subcommand is parsed; its options write to `options`.
template <class T>
CLI::App* add_command(CLI::App& parent, const char* name, const char* about, Invocation& invocation,
                      T& options) {
  CLI::App* command = parent.add_subcommand(name, about);
  command->callback([&invocation, &options] { invocation.command = options; });
  return command;
}

/// CLI::Range lets NaN pass.
const CLI::Validator kANumber(
    [](const std::string& text) {
      return std::isnan(std::strtod(text.c_str(), nullptr)) ? text + " is no number" : std::string();
    },
    "");
const CLI::Range kPartitions(0, static_cast<int>(limits::kPartitionsPerTopic) - 1);

struct AllOptions {
  TopicCreate create;
  TopicList list;
  TopicDescribe describe;
  TopicAlter alter;
  TopicDelete remove;
  Pub pub;
  Sub sub;
  LogVerify verify;
  LogDump dump;
  Stats stats;
  Doctor doctor;
};

constexpr const char* kConfigHelp =
    "A setting by Kafka's name, KEY=VALUE, e.g. retention.ms=86400000; repeatable";
constexpr const char* kJsonHelp = "JSON on stdout, for programs";
constexpr const char* kFormatHelp =
    "kcat's: %t topic %p partition %o offset %T timestamp %k key %K its length %s value %S its length "
    "%h headers %% percent, \\n \\t \\0 \\xHH";

void add_topic(CLI::App& app, Invocation& invocation, AllOptions& all) {
  CLI::App* topic = app.add_subcommand("topic", "Create, list, describe, alter and delete topics");
  topic->require_subcommand(1);
  auto* create = add_command(*topic, "create", "Create a topic", invocation, all.create);
  create->add_option("NAME", all.create.name, "Letters, digits, '.', '_' and '-'")->required();
  create->add_option("--partitions", all.create.partitions, "How many partitions")
      ->check(CLI::Range(1, static_cast<int>(limits::kPartitionsPerTopic)))
      ->capture_default_str();
  create->add_option("--config", all.create.config, kConfigHelp)
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false)
      ->take_all();
  auto* list = add_command(*topic, "list", "Names of all topics, one a line", invocation, all.list);
  list->add_flag("--json", all.list.json, kJsonHelp);
  auto* describe =
      add_command(*topic, "describe", "Settings, offsets and sizes of a topic", invocation, all.describe);
  describe->add_option("NAME", all.describe.name, "The topic")->required();
  describe->add_flag("--json", all.describe.json, kJsonHelp);
  auto* alter = add_command(*topic, "alter", "Change settings of a topic", invocation, all.alter);
  alter->add_option("NAME", all.alter.name, "The topic")->required();
  alter->add_option("--config", all.alter.config, kConfigHelp)
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false)
      ->take_all()
      ->required();
  auto* remove = add_command(*topic, "delete", "Delete a topic with all its records", invocation, all.remove);
  remove->add_option("NAME", all.remove.name, "The topic")->required();
}

void add_pub(CLI::App& app, Invocation& invocation, Pub& pub) {
  auto* command =
      add_command(app, "pub", "Publish: one record for each line of FILE or stdin", invocation, pub);
  command->add_option("TOPIC", pub.topic, "Where to")->required();
  command->add_option("FILE", pub.file, "What to read; - is stdin")->capture_default_str();
  auto* key =
      command->add_option("-k,--key", pub.key, "The key of every record (default: null)")->type_name("KEY");
  command
      ->add_option(
          "-K,--key-separator", pub.key_separator,
          "Lines are KEY, this separator, VALUE; without it the key is null; \\t and \\xHH are known")
      ->type_name("SEP")
      ->excludes(key);
  command->add_option("-H,--header", pub.headers, "A header of every record; repeatable")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false)
      ->take_all();
  command
      ->add_option("-p,--partition", pub.partition,
                   "Partition (default: by the key; without one, in turn, 16 KiB each)")
      ->type_name("P")
      ->check(kPartitions);
  command
      ->add_option("--timeout", pub.timeout_s,
                   "Seconds that a record may wait for room, or to become durable")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.0, 86400.0))
      ->check(kANumber)
      ->capture_default_str();
  command->add_flag("--durable", pub.durable, "Return only when every record was synced to disk");
  command->add_flag("--whole", pub.whole, "The whole input is one record");
  command->add_flag("-Z,--null", pub.empty_as_null, "Empty values and keys are null (tombstones)");
}

void add_sub(CLI::App& app, Invocation& invocation, Sub& sub) {
  auto* command = add_command(app, "sub", "Print the records of a topic", invocation, sub);
  command->add_option("TOPIC", sub.topic, "Where from")->required();
  command
      ->add_option("--from", sub.from,
                   "earliest, latest, an offset, or @ISO-TIME (default: latest; with -e: earliest)")
      ->type_name("WHERE");
  command->add_option("-p,--partition", sub.partitions, "Only this partition; repeatable")
      ->type_name("P")
      ->check(kPartitions)
      ->allow_extra_args(false)
      ->take_all();
  command->add_option("-n,--count", sub.count, "Stop after so many records")
      ->type_name("COUNT")
      ->check(CLI::NonNegativeNumber);
  command->add_flag("-e,--exit-at-end", sub.exit_at_end, "Stop at what was the end when this started");
  auto* format = command->add_option("-f,--format", sub.format, kFormatHelp)->type_name("FORMAT");
  command->add_flag("--json", sub.json, "A JSON object a line; bytes that are not UTF-8 as base64")
      ->excludes(format);
  command->add_flag("-Z,--null", sub.show_null, "Print null keys and values as NULL");
  command->add_flag("--durable", sub.durable_only,
                    "Only records that were synced to disk; with -e it waits for them");
}

void add_log(CLI::App& app, Invocation& invocation, AllOptions& all) {
  CLI::App* log = app.add_subcommand("log", "Look at log files; no daemon is needed");
  log->require_subcommand(1);
  const char* const paths = "Segment files, partition directories, or a data directory";
  auto* verify = add_command(*log, "verify", "Check every batch and index entry", invocation, all.verify);
  verify->add_option("PATH", all.verify.paths, paths)->required();
  verify->add_flag("--active", all.verify.active, "A daemon may be writing: unfinished tails are no defect");
  verify->add_flag("--compacted", all.verify.compacted, "Offsets may be missing inside segments");
  verify->add_flag("--foreign", all.verify.foreign,
                   "Written by Kafka itself: epochs may change in a segment");
  verify->add_flag("--json", all.verify.json, kJsonHelp);
  auto* dump = add_command(*log, "dump", "Print what segment and index files hold", invocation, all.dump);
  dump->add_option("PATH", all.dump.paths, paths)->required();
  dump->add_flag("--batches", all.dump.batches, "Batches only, no records");
  auto* format = dump->add_option("-f,--format", all.dump.format, kFormatHelp)->type_name("FORMAT");
  dump->add_flag("--json", all.dump.json, "A JSON object a line for each record")->excludes(format);
}

void add_rest(CLI::App& app, Invocation& invocation, AllOptions& all) {
  auto* stats =
      add_command(app, "stats", "Counters of the daemon, its topics and clients", invocation, all.stats);
  auto* json = stats->add_flag("--json", all.stats.json, kJsonHelp);
  stats->add_flag("--prometheus", all.stats.prometheus, "Prometheus' text format")->excludes(json);
  auto* doctor = add_command(app, "doctor", "Check this machine and the daemon, and say what to change",
                             invocation, all.doctor);
  doctor->add_flag("--json", all.doctor.json, kJsonHelp);
}

/// The command as far as it was understood: "busway topic create".
std::string command_line_of(const CLI::App& app) {
  std::string words = app.get_name();
  for (const CLI::App* at : app.get_subcommands()) words += ' ' + command_line_of(*at);
  return words;
}

/// The commands that could have stood where `app`'s last one stands, or nothing if it takes none.
std::string commands_of(const CLI::App& app) {
  std::string names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    names += (names.empty() ? "" : ", ") + command->get_name();
  return names;
}

/// What is wrong with the command line. CLI11 says of a word that is no command that one is required.
std::string complaint_of(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App* innermost = &app;
  while (!innermost->get_subcommands().empty()) innermost = innermost->get_subcommands().front();
  const std::string commands = commands_of(*innermost);
  if (commands.empty()) return error.what();
  for (const std::string& word : app.remaining(true))
    if (!word.starts_with('-'))
      return "there is no command '" + word + "' here; the commands are " + commands;
  return error.what();
}

}  // namespace

std::variant<Invocation, Finished> parse_arguments(int argc, const char* const* argv) {
  Invocation invocation;
  AllOptions all;
  CLI::App app("Publish and subscribe through shared memory on this machine, with a Kafka-format log.",
               "busway");
  app.set_version_flag("--version", "busway " BUSWAY_VERSION);
  app.require_subcommand(1);
  app.fallthrough();  // --socket may stand behind the command
  app.add_option("--socket", invocation.socket,
                 "The daemon's socket (default: $BUSWAY_SOCKET, else the usual one)")
      ->type_name("PATH");
  add_topic(app, invocation, all);
  add_pub(app, invocation, all.pub);
  add_sub(app, invocation, all.sub);
  add_log(app, invocation, all);
  add_rest(app, invocation, all);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {  // --help, --version
      app.exit(error, std::cout, std::cerr);
      return Finished{kDone};
    }
    const std::string command = command_line_of(app);
    std::cerr << "busway: " << complaint_of(app, error) << "; `" << command << " --help` says more\n";
    return Finished{kUsage};
  }
  return invocation;
}

}  // namespace busway::cli
