// The worker's side of the keeper: where descriptors are put so that the next worker finds them.
//
// Model: the manifest (bus/memory/manifest_layout.hpp) says what each kept descriptor is. deposit() fills an
// entry in as `pending`, sends the descriptor to the keeper, and returns once the keeper holds it and has
// made the entry `live`. Only then may the descriptor go to a client. A worker that dies in between leaves a
// pending entry, which the next worker's link drops before anybody sees it.
//
// Two implementations: one to a keeper process (accept_handover), one within this process for EmbeddedDaemon
// and tests (InProcessKeeper), which outlives the worker objects that are started on it one after the other.
//
// Thread safety: every call is safe from any thread; deposits and drops are serialised. An entry's fields
// belong to whoever deposited it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "bus/base/fd.hpp"
#include "bus/base/ids.hpp"
#include "bus/memory/manifest_layout.hpp"

namespace busway::daemon {

/// Place of an entry in the manifest.
enum class EntryIndex : std::uint32_t {};
constexpr auto raw(EntryIndex index) noexcept { return static_cast<std::uint32_t>(index); }

/// What to keep. The fields are those of memory::ManifestEntry; which of them mean something depends on
/// `kind`.
struct Deposit {
  memory::ManifestKind kind = memory::ManifestKind::none;
  Uuid topic{};
  std::uint32_t index = 0;  ///< partition, lane id, or session
  std::uint32_t generation = 0;
  std::uint32_t owner_uid = 0;
  std::uint32_t owner_session = 0;
  std::int32_t owner_pid = 0;
  std::uint64_t bytes = 0;  ///< charged to the memory budget
  std::uint64_t aux = 0;
  int fd = -1;  ///< borrowed: the keeper gets a duplicate, this one stays the caller's
};

/// What the keeper asks of the worker.
enum class KeeperCommand {
  none,
  stop,     ///< fence the rings (stopped), drain, sync, mark the stop as clean, exit with WorkerExit::stopped
  reload,   ///< read the configuration file again
  replace,  ///< fence nothing, finish the writes in flight, exit with WorkerExit::replace
  keeper_gone,  ///< the keeper died: do as for `stop`; no deposit works any more
};

/// Exit status of a worker, as the keeper understands it.
enum class WorkerExit : int {
  stopped = 0,    ///< all is drained and synced; the keeper ends as well
  failed = 1,     ///< could not start. Before any worker was ready the keeper gives up with this status
  undurable = 2,  ///< stopped, but not everything is durable: the keeper ends with a failure
  replace = 70,   ///< start the binary anew at once; every kept descriptor stays
};

class KeeperLink {
 public:
  KeeperLink() = default;
  KeeperLink(const KeeperLink&) = delete;
  KeeperLink& operator=(const KeeperLink&) = delete;
  virtual ~KeeperLink() = default;

  /// Keeps the descriptors and makes their entries live; returns the entries in the order of `deposits`.
  /// Blocks until the keeper has acknowledged all. Throws errc::limit_reached when the manifest or the
  /// keeper's descriptors are used up, errc::stopped when the keeper is gone; after an error none of the
  /// deposits is kept.
  virtual std::vector<EntryIndex> deposit_many(std::span<const Deposit> deposits) = 0;
  EntryIndex deposit(const Deposit& deposit) { return deposit_many({&deposit, 1}).front(); }

  /// The keeper closes the descriptors and empties the entries. Blocks until it has. Throws errc::stopped
  /// when the keeper is gone.
  virtual void drop_many(std::span<const EntryIndex> entries) = 0;
  void drop(EntryIndex entry) { drop_many({&entry, 1}); }

  /// An entry of the manifest. Of a live entry the worker may change `bytes`, `aux` and the owner fields.
  virtual memory::ManifestEntry& entry(EntryIndex index) noexcept = 0;

  /// The entries that are live now, in no particular order.
  virtual std::vector<EntryIndex> live_entries() const = 0;

  /// This worker's own descriptor of a live entry that an earlier worker deposited, to be asked for once.
  /// Checked: a region is a memfd sealed against resizing and at least `bytes` large, a session is a pidfd, a
  /// segment a regular file. errc::corrupt when the descriptor is not what the entry says; drop such an
  /// entry.
  virtual Fd take(EntryIndex index) = 0;

  /// How many workers this keeper has started, this one included: 1 means that there is nothing to take up.
  virtual std::uint32_t worker_starts() const noexcept = 0;

  /// The worker serves clients: READY=1 to the service manager, and no backoff should it die from here on.
  virtual void ready() = 0;
  /// The worker has begun to stop: STOPPING=1.
  virtual void stopping() = 0;
  /// Any other line for the service manager (sd_notify(3)), at most 200 bytes: "STATUS=...",
  /// "EXTEND_TIMEOUT_USEC=...".
  virtual void notify(std::string_view line) = 0;
  /// Has the keeper keep the text of a configuration file that was read without error, for a next worker that
  /// finds the file broken.
  virtual void keep_configuration(std::string_view text) = 0;
  /// What was last kept that way; empty when nothing was.
  virtual std::string kept_configuration() const = 0;

  /// Readable while next_command() has something; for epoll, level-triggered. Owned by the link.
  virtual int command_fd() const noexcept = 0;
  /// Never blocks. Once `keeper_gone` was answered it is answered forever.
  virtual KeeperCommand next_command() = 0;
};

/// A keeper within this process: entries go live at once, nothing is sent to a service manager. It holds a
/// duplicate of each deposited descriptor.
class InProcessKeeper final : public KeeperLink {
 public:
  explicit InProcessKeeper(std::uint32_t entries = limits::kManifestEntries);
  ~InProcessKeeper() override;

  std::vector<EntryIndex> deposit_many(std::span<const Deposit> deposits) override;
  void drop_many(std::span<const EntryIndex> entries) override;
  memory::ManifestEntry& entry(EntryIndex index) noexcept override;
  std::vector<EntryIndex> live_entries() const override;
  Fd take(EntryIndex index) override;
  std::uint32_t worker_starts() const noexcept override;
  void ready() override;
  void stopping() override;
  void notify(std::string_view line) override;
  void keep_configuration(std::string_view text) override;
  std::string kept_configuration() const override;
  int command_fd() const noexcept override;
  KeeperCommand next_command() override;

  /// Has the worker on this link be told so.
  void command(KeeperCommand command);
  /// Counts one more worker: what the keeper process does before it starts the next one.
  void next_worker();
  bool was_ready() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// What a worker process is born with.
struct Handover {
  Fd data_dir_lock;
  Fd listening_socket;  ///< SOCK_SEQPACKET, listening, non-blocking
  std::unique_ptr<KeeperLink> keeper;
};

/// Takes up what the keeper left to this process: `numbers` is the value of the option --worker. Closes every
/// inherited descriptor that no live entry lists, drops pending entries, sets close-on-exec on the rest. Call
/// once, before other descriptors are opened. Throws errc::usage when `numbers` is not what a keeper passes.
Handover accept_handover(std::string_view numbers);

}  // namespace busway::daemon
