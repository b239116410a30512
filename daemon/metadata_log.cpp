#include "daemon/metadata_log.hpp"

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <span>
#include <thread>
#include <utility>

#include <pthread.h>
#include <signal.h>

#include <busway/error.hpp>

#include "bus/base/fd.hpp"
#include "bus/log/names.hpp"
#include "daemon/metadata_log_format.hpp"

namespace busway::daemon {
namespace {

constexpr std::uint64_t kGrowth = 4;

}  // namespace

struct MetadataLog::Core {
  Core(FileSystem& file_system, std::string metadata_directory, std::uint64_t bytes)
      : files(file_system), directory(std::move(metadata_directory)), file_bytes(bytes) {}

  struct Request {
    std::vector<MetadataChange> changes;
    Done done;
  };

  std::string path(Offset first) const {
    return directory + "/" + log::segment_file_name(first, log::SegmentFile::log);
  }

  std::string spare() const { return directory + "/spare"; }

  void load();
  void clear_away(const std::vector<std::string>& names);
  void reserve_spare();
  int begin_file(const MetadataTable& of);
  int fill(int fd, std::span<const std::byte> snapshot);
  void commit(std::vector<Request> requests);
  int make_durable(const std::vector<MetadataChange>& changes);
  int begin_anew(const std::vector<MetadataChange>& changes, Offset at);
  void run();

  FileSystem& files;
  const std::string directory;
  const std::uint64_t file_bytes;

  // The committing thread's (or, before it runs, the constructor's).
  File file;
  Offset base = 0;
  Offset next_offset = 0;
  std::uint64_t position = 0;
  std::uint64_t begin_anew_at = 0;  // bytes
  int failed = 0;                   // errno: nothing can be made durable any more

  mutable std::mutex mutex;
  std::condition_variable work;
  MetadataTable table;        // guarded by mutex; written by the committing thread alone
  std::deque<Request> queue;  // guarded by mutex
  bool stopping = false;      // guarded by mutex
  std::mutex commit_mutex;    // who commits, when there is no thread
  bool in_caller = false;
  std::thread thread;
};

void MetadataLog::Core::load() {
  make_directory_durably(files, directory);
  std::vector<std::string> names;
  check_file(files.list(directory, names), "cannot list", directory);
  std::vector<Offset> bases;
  for (const std::string& name : names) {
    const auto segment = log::parse_segment_file_name(name);
    if (segment && segment->kind == log::SegmentFile::log) bases.push_back(segment->base_offset);
  }
  std::sort(bases.begin(), bases.end());
  if (!bases.empty()) {
    // The newest: it was complete before it got its name. Synced before it is believed.
    const File newest = File::open(files, path(bases.back()), OpenMode::write);
    newest.sync();
    LoadedMetadata loaded = load_metadata(newest, bases.back());
    table = std::move(loaded.table);
    next_offset = loaded.next_offset;
  }
  if (const int error = begin_file(table); error != 0) {
    throw_errno("cannot begin a new metadata log in " + directory, error);
  }
  clear_away(names);
  reserve_spare();
  sync_directory(files, directory);
}

/// Best effort: without it the next file needs room on the disk.
void MetadataLog::Core::reserve_spare() {
  const int fd = files.open(spare(), OpenMode::open_always);
  if (fd < 0) return;
  const File reserved(files, fd, spare());
  static_cast<void>(files.reserve(fd, 0, file_bytes));
}

/// Of what was here before the new file one becomes the spare, the others go.
void MetadataLog::Core::clear_away(const std::vector<std::string>& names) {
  bool have_spare = false;
  for (const std::string& name : names) {
    const std::string old = directory + "/" + name;
    if (old == path(base) || old == spare()) continue;
    const int gone = have_spare ? files.unlink(old) : files.rename(old, spare());
    if (gone != -ENOENT) check_file(gone, "cannot remove", old);
    have_spare = true;
  }
}

/// A new file with what is in this table takes the place of the present one, which becomes the spare. 0 or
/// errno; then the present one stays.
int MetadataLog::Core::begin_file(const MetadataTable& of) {
  const EncodedMetadata snapshot = encode_snapshot(of, next_offset);
  const std::string to = path(next_offset);
  const int fd = files.open(spare(), OpenMode::open_always);
  if (fd < 0) return -fd;
  File fresh(files, fd, to);
  int error = fill(fd, snapshot.bytes);
  if (error == 0) error = -files.rename(spare(), to);
  if (error != 0) {
    // Best effort. What room it has is kept on a full disk; what may be a bad place is not.
    if (!is_no_room(error)) static_cast<void>(files.unlink(spare()));
    return error;
  }
  try {
    sync_directory(files, directory);
  } catch (const Error&) {
    // Which of the two files the next start finds is open: nothing may be added to either.
    return failed = EIO;
  }
  const std::string old = file ? file.path() : std::string();
  file = std::move(fresh);
  base = next_offset;
  next_offset = snapshot.next_offset;
  position = snapshot.bytes.size();
  begin_anew_at = std::max(file_bytes, kGrowth * position);
  // Should it stay, the next start clears it away.
  if (!old.empty() && old != to) static_cast<void>(files.rename(old, spare()));
  return 0;
}

/// Whatever was in the file: this is all that is in it now, on the disk, too. 0 or errno.
int MetadataLog::Core::fill(int fd, std::span<const std::byte> snapshot) {
  int error = -files.write(fd, snapshot, 0);
  if (error == 0) error = -files.truncate(fd, snapshot.size());
  if (error != 0) return error;
  // Best effort: the changes that follow have room then, too, however full the disk gets.
  static_cast<void>(files.reserve(fd, 0, file_bytes));
  return -files.sync(fd, SyncKind::data);
}

/// 0 or errno.
int MetadataLog::Core::make_durable(const std::vector<MetadataChange>& changes) {
  if (failed != 0) return failed;
  const EncodedMetadata batch = encode_changes(changes, next_offset);
  const int written = -files.write(file.fd(), batch.bytes, position);
  // Without room nothing of it counts; the next batch goes to the same place.
  if (is_no_room(written)) return written;
  int error = written;
  if (error == 0) error = -files.sync(file.fd(), SyncKind::data);
  if (error != 0) return begin_anew(changes, batch.next_offset);
  position += batch.bytes.size();
  next_offset = batch.next_offset;
  {
    const std::lock_guard lock(mutex);
    for (const MetadataChange& change : changes) table.apply(change);
  }
  // If that does not work out the present file is as good as before.
  if (position >= begin_anew_at && begin_file(table) != 0) begin_anew_at *= 2;
  return 0;
}

/// The present file is not to be trusted any more. Its last batch may be on the disk or not, so the new one
/// must not begin at the same offset. 0 or errno, which is final.
int MetadataLog::Core::begin_anew(const std::vector<MetadataChange>& changes, Offset at) {
  MetadataTable next = table;  // written by this thread alone
  for (const MetadataChange& change : changes) next.apply(change);
  next_offset = at;
  if (const int error = begin_file(next); error != 0) return failed = error;
  static_cast<void>(files.unlink(spare()));  // it may lie in a bad place
  const std::lock_guard lock(mutex);
  table = std::move(next);
  return 0;
}

void MetadataLog::Core::commit(std::vector<Request> requests) {
  std::vector<MetadataChange> changes;
  for (Request& request : requests) {
    std::move(request.changes.begin(), request.changes.end(), std::back_inserter(changes));
  }
  const int error = changes.empty() ? 0 : make_durable(changes);
  for (const Request& request : requests) request.done(error);
}

void MetadataLog::Core::run() {
  std::unique_lock lock(mutex);
  for (;;) {
    work.wait(lock, [this] { return !queue.empty() || stopping; });
    if (queue.empty()) return;
    std::vector<Request> requests(std::make_move_iterator(queue.begin()),
                                  std::make_move_iterator(queue.end()));
    queue.clear();
    lock.unlock();
    commit(std::move(requests));
    lock.lock();
  }
}

MetadataLog::MetadataLog(FileSystem& file_system, const std::string& data_directory, Committer committer,
                         std::uint64_t file_bytes)
    : core_(std::make_unique<Core>(file_system, data_directory + "/" + std::string(kDirectory), file_bytes)) {
  core_->load();
  core_->in_caller = committer == Committer::in_caller;
  if (core_->in_caller) return;
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);  // the thread takes no signals
  core_->thread = std::thread([core = core_.get()] { core->run(); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

MetadataLog::~MetadataLog() {
  {
    const std::lock_guard lock(core_->mutex);
    core_->stopping = true;
  }
  core_->work.notify_all();
  if (core_->thread.joinable()) core_->thread.join();
}

MetadataState MetadataLog::state() const {
  const std::lock_guard lock(core_->mutex);
  return core_->table.state();
}

std::vector<DeletionSet> MetadataLog::deletions() const {
  const std::lock_guard lock(core_->mutex);
  std::vector<DeletionSet> all;
  for (const auto& [uuid, deletion] : core_->table.deletions()) all.push_back(deletion);
  return all;
}

void MetadataLog::append(std::vector<MetadataChange> changes) {
  std::mutex mutex;
  std::condition_variable done;
  int result = -1;
  queue(std::move(changes), [&](int error) {
    const std::lock_guard lock(mutex);
    result = error;
    done.notify_one();  // under the lock: the condition variable dies with append()
  });
  std::unique_lock lock(mutex);
  done.wait(lock, [&] { return result >= 0; });
  if (result > 0) throw_errno("the metadata log in " + core_->directory + " cannot be written", result);
}

void MetadataLog::queue(std::vector<MetadataChange> changes, Done done) {
  if (core_->in_caller) {
    const std::lock_guard lock(core_->commit_mutex);
    std::vector<Core::Request> requests;
    requests.push_back({std::move(changes), std::move(done)});
    return core_->commit(std::move(requests));
  }
  {
    const std::lock_guard lock(core_->mutex);
    core_->queue.push_back({std::move(changes), std::move(done)});
  }
  core_->work.notify_one();
}

}  // namespace busway::daemon
