// The keeper of EmbeddedDaemon: a table of duplicated descriptors and a queue of commands behind an eventfd.
#include <deque>
#include <mutex>
#include <unordered_map>
#include <utility>

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "daemon/keeper_entries.hpp"
#include "daemon/keeper_link.hpp"

namespace busway::daemon {

struct InProcessKeeper::State {
  explicit State(std::uint32_t count) : entries(KeeperEntries::create_manifest(count)) {
    entries.header().worker_starts = 1;
    bell.reset(check_errno(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE), "eventfd"));
  }

  mutable std::mutex mutex;
  KeeperEntries entries;
  std::unordered_map<std::uint32_t, Fd> held;  ///< by entry
  std::deque<KeeperCommand> commands;          ///< as many as the bell counts
  Fd bell;
  std::string configuration;
  bool ready = false;
};

InProcessKeeper::InProcessKeeper(std::uint32_t entries) : state_(std::make_unique<State>(entries)) {}
InProcessKeeper::~InProcessKeeper() = default;

std::vector<EntryIndex> InProcessKeeper::deposit_many(std::span<const Deposit> deposits) {
  const std::lock_guard lock(state_->mutex);
  std::vector<Fd> duplicates;
  duplicates.reserve(deposits.size());
  for (const Deposit& deposit : deposits) {
    duplicates.emplace_back(::fcntl(deposit.fd, F_DUPFD_CLOEXEC, 0));
    if (!duplicates.back()) {
      throw Error(errno == EMFILE || errno == ENFILE ? errc::limit_reached : errc::io,
                  "cannot keep a descriptor (limit: ulimit -n): " + std::generic_category().message(errno));
    }
  }
  std::vector<EntryIndex> taken = state_->entries.take(deposits);
  for (std::size_t i = 0; i < taken.size(); ++i) {
    memory::ManifestEntry& entry = state_->entries.at(taken[i]);
    entry.keeper_fd = duplicates[i].get();
    state_->held[raw(taken[i])] = std::move(duplicates[i]);
    // release: pairs with the acquire of whoever looks for live entries
    entry.state.store(static_cast<std::uint32_t>(memory::ManifestState::live), std::memory_order_release);
  }
  return taken;
}

void InProcessKeeper::drop_many(std::span<const EntryIndex> entries) {
  const std::lock_guard lock(state_->mutex);
  for (const EntryIndex index : entries) state_->held.erase(raw(index));
  state_->entries.give_back(entries);
}

memory::ManifestEntry& InProcessKeeper::entry(EntryIndex index) noexcept { return state_->entries.at(index); }

std::vector<EntryIndex> InProcessKeeper::live_entries() const {
  const std::lock_guard lock(state_->mutex);
  return state_->entries.live();
}

Fd InProcessKeeper::take(EntryIndex index) {
  const std::lock_guard lock(state_->mutex);
  const memory::ManifestEntry& entry = state_->entries.at(index);
  const auto found = state_->held.find(raw(index));
  if (found == state_->held.end()) {
    throw Error(errc::usage, "no descriptor is kept for manifest entry " + std::to_string(raw(index)));
  }
  Fd own(check_errno(::fcntl(found->second.get(), F_DUPFD_CLOEXEC, 0), "duplicating a kept descriptor"));
  check_kept_descriptor(entry, own.get());
  return own;
}

std::uint32_t InProcessKeeper::worker_starts() const noexcept {
  const std::lock_guard lock(state_->mutex);
  return std::as_const(state_->entries).header().worker_starts;
}

void InProcessKeeper::ready() {
  const std::lock_guard lock(state_->mutex);
  state_->ready = true;
}

void InProcessKeeper::stopping() {}

void InProcessKeeper::notify(std::string_view /*line*/) {}

void InProcessKeeper::keep_configuration(std::string_view text) {
  const std::lock_guard lock(state_->mutex);
  state_->configuration = text;
}

std::string InProcessKeeper::kept_configuration() const {
  const std::lock_guard lock(state_->mutex);
  return state_->configuration;
}

int InProcessKeeper::command_fd() const noexcept { return state_->bell.get(); }

KeeperCommand InProcessKeeper::next_command() {
  const std::lock_guard lock(state_->mutex);
  if (state_->commands.empty()) return KeeperCommand::none;
  const KeeperCommand command = state_->commands.front();
  if (command == KeeperCommand::keeper_gone) return command;  // for ever, and the bell stays readable
  state_->commands.pop_front();
  eventfd_t one = 0;
  static_cast<void>(::eventfd_read(state_->bell.get(), &one));  // cannot fail: it counts the queue
  return command;
}

void InProcessKeeper::command(KeeperCommand command) {
  const std::lock_guard lock(state_->mutex);
  state_->commands.push_back(command);
  check_errno(::eventfd_write(state_->bell.get(), 1), "eventfd_write");
}

void InProcessKeeper::next_worker() {
  const std::lock_guard lock(state_->mutex);
  ++state_->entries.header().worker_starts;
  state_->ready = false;
}

bool InProcessKeeper::was_ready() const noexcept {
  const std::lock_guard lock(state_->mutex);
  return state_->ready;
}

}  // namespace busway::daemon
