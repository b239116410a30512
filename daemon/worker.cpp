#include "daemon/worker.hpp"

#include <optional>

#include <unistd.h>

#include "daemon/catalog.hpp"
#include "daemon/logging.hpp"
#include "daemon/version.hpp"

namespace busway::daemon {
namespace {

using namespace std::chrono_literals;

/// Retirement, cooling, retention, grants of memory topics.
constexpr auto kSlowTick = 1000ms;

MemoryBudget budget_of(const Config& config) {
  return {static_cast<std::uint64_t>(config.memory_max_bytes),
          static_cast<std::uint64_t>(config.memory_per_uid_max_bytes), ::geteuid()};
}

DrainOptions drain_options(const Config& config) {
  return {.spin = std::chrono::microseconds(config.drain_spin_us),
          .sweep_active = std::chrono::milliseconds(config.sweep_interval_ms)};
}

ServerLimits server_limits(const Config& config) {
  return {.sessions_most = static_cast<std::uint32_t>(config.sessions_max),
          .sessions_per_uid_most = static_cast<std::uint32_t>(config.sessions_per_uid_max)};
}

std::unique_ptr<Disk> open_disk(const Config& config) {
  return make_disk({.backend = config.disk_backend, .trace_path = config.disk_trace_path});
}

/// The bells that an earlier worker left, or new ones under a new instance id.
KeptRegion open_bells(KeptMemory& memory) {
  KeeperLink& keeper = memory.keeper();
  for (const EntryIndex index : keeper.live_entries()) {
    if (keeper.entry(index).kind == memory::ManifestKind::bells) return memory.take_up(index);
  }
  return memory.make({.kind = memory::Kind::bells,
                      .topic = Uuid::random(),
                      .bytes = memory::bells_bytes(limits::kSessionsMost),
                      .item_count = limits::kSessionsMost,
                      .owner_uid = ::geteuid()},
                     "bells", [](memory::Region&) {});
}

}  // namespace

class Worker::State {
 public:
  explicit State(WorkerSetup setup);
  WorkerExit run();

 private:
  void obey(KeeperCommand command);
  void reload();
  void begin_stop();
  void end_stop();

  Config config_;
  KeeperLink& keeper_;
  std::function<Config()> reload_;
  RealFileSystem files_;
  DataDirectory data_;
  MetadataLog metadata_;
  std::unique_ptr<Disk> disk_;
  StagingArena staging_;
  Janitor janitor_;
  StoreContext store_;
  MemoryBudget budget_;
  KeptMemory memory_;
  KeptRegion bells_;
  Drain drain_;
  DrainReports reports_;
  OrdinalPool ordinals_;
  Services services_;
  Catalog catalog_;
  Server server_;
  std::optional<WorkerExit> exit_;
  bool stopping_ = false;
};

Worker::State::State(WorkerSetup setup)
    : config_(std::move(setup.config)),
      keeper_(setup.keeper),
      reload_(std::move(setup.reload)),
      data_(files_, config_.data_dir, std::move(setup.data_dir_lock)),
      metadata_(files_, data_.path(), MetadataLog::Committer::own_thread),
      disk_(open_disk(config_)),
      staging_(static_cast<std::size_t>(config_.staging_max_bytes)),
      janitor_(Janitor::Mode::own_thread, [](const std::string& sentence) { log_warning(sentence); }),
      store_{files_, *disk_, staging_, janitor_},
      budget_(budget_of(config_)),
      memory_(keeper_, budget_),
      bells_(open_bells(memory_)),
      drain_(*bells_.region.as<memory::BellsHeader>(), *disk_, staging_, drain_options(config_)),
      services_{config_,  keeper_, memory_, budget_,  metadata_,
                data_,    store_,  drain_,  reports_, *bells_.region.as<memory::BellsHeader>(),
                ordinals_},
      catalog_(services_, bells_.region.fd()),
      server_(std::move(setup.listening_socket), catalog_,
              {.instance = bells_.region.as<memory::Identity>()->owner,
               .daemon_version = kVersion,
               .limits = server_limits(config_)}) {
  catalog_.set_server(server_);
  reports_.connect([this](std::function<void()> work) { server_.post(std::move(work)); }, catalog_.reports());
  data_.mark_running();
  drain_.start();
  catalog_.take_up();
}

WorkerExit Worker::State::run() {
  server_.add_timer(kSlowTick, [this] {
    if (stopping_) return;
    catalog_.tick();
    catalog_.slow_tick();
  });
  server_.watch(keeper_.command_fd(), [this] { obey(keeper_.next_command()); });
  keeper_.ready();
  log_info("serving " + config_.data_dir + " with the " + std::string(disk_->name()) + " disk backend");
  while (!exit_) server_.run_once(-1ms);
  drain_.stop();
  return *exit_;
}

void Worker::State::obey(KeeperCommand command) {
  switch (command) {
    case KeeperCommand::none:
      return;
    case KeeperCommand::reload:
      return reload();
    case KeeperCommand::replace:
      log_info("making way for a new worker");
      exit_ = WorkerExit::replace;
      return;
    case KeeperCommand::keeper_gone:
      log_error("the keeper is gone: stopping");
      server_.unwatch(keeper_.command_fd());  // it stays readable for ever
      [[fallthrough]];
    case KeeperCommand::stop:
      return begin_stop();
  }
}

void Worker::State::reload() {
  try {
    const Reload changed = reload_config(config_, reload_());
    config_ = changed.config;
    set_log_level(config_.log_level);
    budget_.set_limits(static_cast<std::uint64_t>(config_.memory_max_bytes),
                       static_cast<std::uint64_t>(config_.memory_per_uid_max_bytes));
    server_.set_limits(server_limits(config_));
    drain_.post([this, options = drain_options(config_)] { drain_.reconfigure(options); });
    catalog_.reconfigured();
    for (const std::string& sentence : changed.pending) log_warning(sentence);
    log_info("configuration reloaded");
  } catch (const Error& error) {
    log_error("the configuration stays as it was: " + error.sentence());
  }
}

void Worker::State::begin_stop() {
  if (stopping_) return;
  stopping_ = true;
  log_info("stopping: draining and syncing");
  try {
    keeper_.stopping();
  } catch (const Error&) {
    // The keeper is gone; the data matters more.
  }
  server_.stop_accepting();
  catalog_.fence_all();
  drain_.post([this] { drain_.finish_all([this] { server_.post([this] { end_stop(); }); }); });
}

void Worker::State::end_stop() {
  if (!catalog_.close_all()) {
    log_error("stopped, but not everything is durable: the next start recovers");
    exit_ = WorkerExit::undurable;
    return;
  }
  exit_ = WorkerExit::stopped;
  try {
    data_.mark_clean_stop();
    log_info("stopped: everything is durable");
  } catch (const Error& error) {
    log_warning("stopped: everything is durable, but the next start checks it anew: " + error.sentence());
  }
}

Worker::Worker(WorkerSetup setup) : state_(std::make_unique<State>(std::move(setup))) {}
Worker::~Worker() = default;
WorkerExit Worker::run() { return state_->run(); }

}  // namespace busway::daemon
