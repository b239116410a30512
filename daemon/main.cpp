// buswayd: the keeper, which starts this same program again as its worker (option --worker).
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <sys/prctl.h>
#include <unistd.h>

#include "daemon/config.hpp"
#include "daemon/keeper.hpp"
#include "daemon/logging.hpp"
#include "daemon/version.hpp"
#include "daemon/worker.hpp"

namespace busway::daemon {
namespace {

constexpr int kDone = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 2;

struct Options {
  ConfigSource source;
  std::vector<std::string> settings;  ///< KEY=VALUE, as given
  std::string data_dir;
  std::string socket;
  bool check_config = false;
  std::string worker_numbers;  ///< given by the keeper alone
};

void describe(CLI::App& app, Options& options) {
  app.set_version_flag("--version", std::string("buswayd ") + kVersion);
  app.add_option("--config", options.source.file,
                 "configuration file (default: /etc/busway/busway.toml, if there is one)")
      ->type_name("FILE");
  // An unset variable of a script must not mean the default.
  const CLI::Validator not_empty(
      [](const std::string& text) { return text.empty() ? "must not be empty" : std::string(); }, "");
  app.add_option("--data-dir", options.data_dir, "directory of the log; setting data.dir")
      ->type_name("DIR")
      ->check(not_empty);
  app.add_option("--socket", options.socket, "control socket; setting socket.path")
      ->type_name("PATH")
      ->check(not_empty);
  app.add_option("--set", options.settings, "set one setting, as in the file; may be repeated")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  app.add_flag("--check-config", options.check_config,
               "read the configuration, print what follows from it, and end");
  app.add_option("--worker", options.worker_numbers)->group("");  // not shown
  app.footer(
      "buswayd stays in the foreground and logs to stderr or the journal. SIGTERM stops it after all is "
      "drained and\n"
      "synced, SIGHUP reloads the configuration, SIGUSR2 replaces the worker by the binary that is installed "
      "now.");
}

void take_overrides(Options& options) {
  for (const std::string& setting : options.settings) {
    const std::size_t equals = setting.find('=');
    if (equals == std::string::npos) throw CLI::ValidationError("--set " + setting, "must be KEY=VALUE");
    options.source.overrides[setting.substr(0, equals)] = setting.substr(equals + 1);
  }
  if (!options.data_dir.empty()) options.source.overrides["data.dir"] = options.data_dir;
  if (!options.socket.empty()) options.source.overrides["socket.path"] = options.socket;
}

std::string own_program(const char* called_as) {
  std::error_code failure;
  const std::string path = std::filesystem::read_symlink("/proc/self/exe", failure).string();
  const bool usable = !failure && std::filesystem::exists(path);  // "... (deleted)" is no path
  return usable ? path : called_as;
}

/// Data directory and socket are the keeper's for its whole life, whatever the file says later on.
std::vector<std::string> worker_command(const Options& options, const Config& config, const char* called_as) {
  std::vector<std::string> command = {own_program(called_as)};
  if (options.source.file) command.insert(command.end(), {"--config", *options.source.file});
  for (const std::string& setting : options.settings) command.insert(command.end(), {"--set", setting});
  command.insert(command.end(), {"--data-dir", config.data_dir, "--socket", config.socket_path});
  return command;
}

int run_keeper(const Options& options, const char* called_as) {
  const Config config = load_config(options.source);
  start_logging("busway", config.log_level);
  raise_descriptor_limit();
  Keeper keeper({.data_dir = config.data_dir,
                 .socket_path = config.socket_path,
                 .socket_mode = static_cast<mode_t>(config.socket_mode),
                 .worker_command = worker_command(options, config, called_as)});
  return keeper.run();
}

/// The file's configuration, which the keeper is given to keep; where the file has been broken since the
/// service was started, what it kept.
Config worker_config(const ConfigSource& source, KeeperLink& keeper) {
  try {
    const std::string text = read_config_text(source);
    Config config = parse_config(text, source.file.value_or(std::string(kDefaultConfigFile)), source);
    keeper.keep_configuration(text);
    return config;
  } catch (const Error& error) {
    if (keeper.worker_starts() == 1) throw;
    log_error("the configuration stays as it was: " + error.sentence());
    return parse_config(keeper.kept_configuration(), "(kept configuration)", source);
  }
}

int run_worker(const Options& options) {
  Handover handover = accept_handover(options.worker_numbers);
  ::prctl(PR_SET_NAME, "buswayd-worker");
  start_logging("busway", LogLevel::info);
  KeeperLink& keeper = *handover.keeper;
  const Config config = worker_config(options.source, keeper);
  set_log_level(config.log_level);
  const auto reload = [&source = options.source, &keeper] {
    const std::string text = read_config_text(source);
    Config fresh = parse_config(text, source.file.value_or(std::string(kDefaultConfigFile)), source);
    keeper.keep_configuration(text);
    return fresh;
  };
  Worker worker({.config = config,
                 .keeper = keeper,
                 .listening_socket = std::move(handover.listening_socket),
                 .data_dir_lock = std::move(handover.data_dir_lock),
                 .reload = reload});
  return static_cast<int>(worker.run());
}

int run(int argc, char** argv) {
  Options options;
  CLI::App app("The Busway daemon: keeps what processes publish through shared memory in a log.", "buswayd");
  describe(app, options);
  try {
    app.parse(argc, argv);
    take_overrides(options);
  } catch (const CLI::ParseError& error) {
    const bool asked = error.get_exit_code() == 0;  // --help, --version
    app.exit(error);
    return asked ? kDone : kUsage;
  }
  if (options.check_config) {
    std::cout << print_config(load_config(options.source));
    return kDone;
  }
  return options.worker_numbers.empty() ? run_keeper(options, argv[0]) : run_worker(options);
}

}  // namespace
}  // namespace busway::daemon

int main(int argc, char** argv) {
  try {
    return busway::daemon::run(argc, argv);
  } catch (const busway::Error& error) {
    std::cerr << "buswayd: " << error.sentence() << std::endl;
  } catch (const std::exception& error) {
    std::cerr << "buswayd: " << error.what() << std::endl;
  }
  return busway::daemon::kFailed;
}
