#include "daemon/logging.hpp"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/sinks/systemd_sink.h>
#include <sys/stat.h>
#include <unistd.h>

namespace busway::daemon {
namespace {

spdlog::level::level_enum spdlog_level(LogLevel level) noexcept {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
    case LogLevel::off:
      return spdlog::level::off;
  }
  return spdlog::level::info;
}

/// Whether stderr is a stream into the journal (systemd.exec(5), $JOURNAL_STREAM).
bool stderr_is_journal() noexcept {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat status {};
  unsigned long device = 0;
  unsigned long inode = 0;
  return stream != nullptr && std::sscanf(stream, "%lu:%lu", &device, &inode) == 2 &&
         ::fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device && status.st_ino == inode;
}

std::shared_ptr<spdlog::logger> make_logger(std::string_view name, LogTarget target) {
  const bool journal =
      target == LogTarget::journal || (target == LogTarget::automatic && stderr_is_journal());
  spdlog::sink_ptr sink;
  if (journal) {
    sink = std::make_shared<spdlog::sinks::systemd_sink_mt>(std::string(name));
    sink->set_pattern("%v");
  } else {
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    sink->set_pattern("%Y-%m-%d %H:%M:%S.%e %n[%P] %l: %v");
  }
  auto logger = std::make_shared<spdlog::logger>(std::string(name), std::move(sink));
  logger->flush_on(spdlog::level::debug);
  logger->set_level(spdlog::level::info);
  return logger;
}

std::mutex& guard() {
  static std::mutex mutex;
  return mutex;
}
std::shared_ptr<spdlog::logger>& slot() {
  static auto* logger = new std::shared_ptr<spdlog::logger>(make_logger("busway", LogTarget::automatic));
  return *logger;  // never destroyed: other threads may log while the process exits
}
std::shared_ptr<spdlog::logger> current() {
  const std::lock_guard lock(guard());
  return slot();
}

std::int64_t monotonic_ns() noexcept { return std::chrono::steady_clock::now().time_since_epoch().count(); }

}  // namespace

void start_logging(std::string_view name, LogLevel level, LogTarget target) {
  auto logger = make_logger(name, target);
  logger->set_level(spdlog_level(level));
  const std::lock_guard lock(guard());
  slot() = std::move(logger);
}

void set_log_level(LogLevel level) noexcept { current()->set_level(spdlog_level(level)); }

bool log_enabled(LogLevel level) noexcept { return current()->should_log(spdlog_level(level)); }

void log(LogLevel level, std::string_view sentence) noexcept {
  try {
    current()->log(spdlog_level(level), spdlog::string_view_t(sentence.data(), sentence.size()));
  } catch (...) {  // a log that cannot be written must not take the daemon down
  }
}

void LogLimit::log(LogLevel level, std::string_view sentence) noexcept {
  const std::int64_t now = monotonic_ns();
  std::int64_t next = next_ns_.load(std::memory_order_relaxed);
  if (now < next ||
      !next_ns_.compare_exchange_strong(next, now + period_.count(), std::memory_order_relaxed)) {
    held_back_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  const std::uint64_t held_back = held_back_.exchange(0, std::memory_order_relaxed);
  if (held_back == 0) {
    daemon::log(level, sentence);
    return;
  }
  try {
    daemon::log(level,
                std::string(sentence) + " (and " + std::to_string(held_back) + " more like it before)");
  } catch (...) {
    daemon::log(level, sentence);
  }
}

}  // namespace busway::daemon
