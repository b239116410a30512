#include <thread>

#include <stdlib.h>
#include <unistd.h>

#include <busway/embedded.hpp>

#include "daemon/logging.hpp"
#include "daemon/server.hpp"
#include "daemon/worker.hpp"

namespace busway {
namespace {

/// A directory of our own for the socket: a path in the data directory may be longer than a socket's can be.
std::string make_socket_directory() {
  const char* base = ::getenv("TMPDIR");
  std::string path = std::string(base == nullptr ? "/tmp" : base) + "/busway-embedded-XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) throw_errno("mkdtemp " + path);
  return path;
}

daemon::Config configuration(const std::string& data_dir, const std::string& socket,
                             const Settings& settings) {
  daemon::ConfigSource source;
  source.overrides = settings;
  source.overrides["data.dir"] = data_dir;
  source.overrides["socket.path"] = socket;
  return daemon::parse_config("", "the embedding program", source);
}

}  // namespace

class EmbeddedDaemon::State {
 public:
  State(const std::string& data_dir, const EmbeddedOptions& options)
      : directory_(make_socket_directory()), socket_(directory_ + "/busway.sock") {
    try {
      start(configuration(data_dir, socket_, options.config));
    } catch (...) {
      remove_socket();
      throw;
    }
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    stop();
    remove_socket();
  }

  void stop() {
    if (!thread_.joinable()) return;
    keeper_.command(daemon::KeeperCommand::stop);
    thread_.join();
    worker_.reset();
  }

  const std::string& socket() const noexcept { return socket_; }

 private:
  void start(const daemon::Config& config) {
    worker_ = std::make_unique<daemon::Worker>(
        daemon::WorkerSetup{.config = config,
                            .keeper = keeper_,
                            .listening_socket = daemon::listen_on(socket_, 0600),
                            .data_dir_lock = Fd(),
                            .reload = [config] { return config; }});
    thread_ = std::thread([this] { worker_->run(); });
  }

  void remove_socket() noexcept {
    ::unlink(socket_.c_str());
    ::rmdir(directory_.c_str());
  }

  std::string directory_;
  std::string socket_;
  daemon::InProcessKeeper keeper_;
  std::unique_ptr<daemon::Worker> worker_;
  std::thread thread_;
};

EmbeddedDaemon::EmbeddedDaemon(const std::string& data_dir, const EmbeddedOptions& options)
    : state_(std::make_unique<State>(data_dir, options)) {}
EmbeddedDaemon::~EmbeddedDaemon() = default;

Bus EmbeddedDaemon::connect(ConnectOptions options) {
  options.socket = state_->socket();
  return busway::connect(options);
}

const std::string& EmbeddedDaemon::socket() const noexcept { return state_->socket(); }
void EmbeddedDaemon::stop() { state_->stop(); }

}  // namespace busway
