#include "daemon/data_directory.hpp"

#include <cerrno>
#include <charconv>
#include <optional>
#include <span>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <busway/error.hpp>

#include "bus/log/names.hpp"
#include "daemon/lock_file.hpp"

namespace busway::daemon {
namespace {

constexpr std::string_view kLock = "/lock";
constexpr std::string_view kVersion = "/version";
constexpr std::string_view kCleanStop = "/clean-stop";
constexpr std::string_view kRunning = "/running";
constexpr std::string_view kVersionWords = "busway-data ";
constexpr std::string_view kStopWords = "busway-stop 1 boot=";
constexpr std::string_view kRunWords = "busway-run 1 boot=";
constexpr std::uint64_t kSmall = 4096;

void make_directories(FileSystem& file_system, const std::string& path) {
  const int made = file_system.make_directory(path);
  if (made == 0) return sync_directory(file_system, parent_of(path));
  if (made == -EEXIST) return;
  if (made == -ENOENT && parent_of(path) != path) {
    make_directories(file_system, parent_of(path));
    return make_directories(file_system, path);
  }
  check_file(made, "cannot create the data directory", path);
}

std::optional<std::string> read_small(FileSystem& file_system, const std::string& path) {
  const File file = File::open_if_there(file_system, path, OpenMode::read);
  if (!file) return std::nullopt;
  std::string text(std::min(file.size(), kSmall), '\0');
  text.resize(file.read(std::as_writable_bytes(std::span(text)), 0));
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

void write_small(FileSystem& file_system, const std::string& path, std::string text) {
  text += '\n';
  replace_durably(file_system, path, std::as_bytes(std::span(text)));
}

/// What stands behind `words` in a marker; nothing if that is not how it begins.
std::optional<std::string> behind(const std::optional<std::string>& text, std::string_view words) {
  if (!text || !text->starts_with(words)) return std::nullopt;
  return text->substr(words.size());
}

}  // namespace

std::string current_boot_id() {
  const std::string path = "/proc/sys/kernel/random/boot_id";
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) throw_errno("cannot open " + path);
  char text[64];
  const ssize_t count = ::read(file.get(), text, sizeof text);
  if (count <= 0) throw_errno("cannot read " + path);
  std::string id(text, static_cast<std::size_t>(count));
  while (id.ends_with('\n')) id.pop_back();
  return id;
}

DataDirectory::DataDirectory(FileSystem& file_system, std::string path, Fd inherited_lock)
    : file_system_(file_system), path_(std::move(path)), lock_(std::move(inherited_lock)) {
  while (path_.size() > 1 && path_.ends_with('/')) path_.pop_back();
  make_directories(file_system_, path_);
  lock();
  check_version();
  look_at_last_stop();
}

void DataDirectory::lock() {
  const bool inherited = static_cast<bool>(lock_);
  if (!inherited) {
    const std::string path = path_ + std::string(kLock);
    lock_.reset(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640));
    if (!lock_) throw_errno("cannot open " + path);
  }
  // The lock belongs to the open file, which an inherited descriptor shares: taking it again succeeds.
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) throw_errno("cannot lock " + path_ + std::string(kLock));
    const pid_t holder = recorded_pid(lock_.get());
    throw Error(errc::data_dir_in_use,
                "the data directory " + path_ + " is in use by another daemon (pid " +
                    (holder == 0 ? "unknown" : std::to_string(holder)) +
                    "): stop that one, or give this one a directory of its own (--data-dir)");
  }
  if (inherited) return;
  record_pid(lock_.get(), path_ + std::string(kLock));
}

void DataDirectory::check_version() {
  const std::string path = path_ + std::string(kVersion);
  const auto text = read_small(file_system_, path);
  if (!text) {
    last_stop_.first_start = true;
    return write_small(file_system_, path, std::string(kVersionWords) + std::to_string(kFormatVersion));
  }
  const std::string number = behind(text, kVersionWords).value_or("");
  int version = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), version);
  if (error != std::errc() || end != number.data() + number.size() || version < 1) {
    throw Error(errc::corrupt, path + " does not say which format the data directory has (\"" + *text +
                                   "\"); this daemon writes \"" + std::string(kVersionWords) +
                                   std::to_string(kFormatVersion) + "\"");
  }
  if (version != kFormatVersion) {
    throw Error(errc::data_dir_version,
                "the data directory " + path_ + " has format " + std::to_string(version) +
                    " of a newer Busway; this one knows format " + std::to_string(kFormatVersion) +
                    ": use the newer one, or another directory (--data-dir)");
  }
}

void DataDirectory::look_at_last_stop() {
  const std::string boot = current_boot_id();
  const auto clean = behind(read_small(file_system_, path_ + std::string(kCleanStop)), kStopWords);
  const auto running = behind(read_small(file_system_, path_ + std::string(kRunning)), kRunWords);
  marked_ = running == boot;
  last_stop_.clean = clean.has_value();
  if (clean) {
    last_stop_.boot_changed = *clean != boot;
  } else {
    // Who does not know must assume the worse.
    last_stop_.boot_changed = !last_stop_.first_start && running != boot;
  }
}

void DataDirectory::mark_running() {
  if (!marked_) mark_boot();
  marked_ = true;
  remove(kCleanStop);
}

void DataDirectory::mark_boot() {
  try {
    write_small(file_system_, path_ + std::string(kRunning), std::string(kRunWords) + current_boot_id());
  } catch (const Error& error) {
    // A full disk keeps nobody from starting: after a crash the worse is assumed, then.
    if (error.error() != errc::disk_full) throw;
    remove(kRunning);
  }
}

void DataDirectory::remove(std::string_view name) {
  const std::string path = path_ + std::string(name);
  if (remove_if_there(file_system_, path)) sync_directory(file_system_, path_);
}

void DataDirectory::mark_clean_stop() {
  write_small(file_system_, path_ + std::string(kCleanStop), std::string(kStopWords) + current_boot_id());
}

std::string DataDirectory::partition_path(const std::string& topic, std::uint32_t partition) const {
  return path_ + "/" + log::partition_directory(topic, partition);
}

}  // namespace busway::daemon
