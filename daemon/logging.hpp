// The daemon's log: sentences for a person, to the journal where stderr is the journal, else to stderr.
//
// Never called on a hot path: what may happen per record goes through a LogLimit. Thread safe. spdlog stays
// behind this header; the client library never logs.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string_view>

namespace busway::daemon {

enum class LogLevel : int { debug = 0, info = 1, warning = 2, error = 3, off = 4 };
enum class LogTarget { automatic, standard_error, journal };

/// Sets the log up; `name` stands in each line. May be called again (a second EmbeddedDaemon, a test).
void start_logging(std::string_view name, LogLevel level, LogTarget target = LogTarget::automatic);
void set_log_level(LogLevel level) noexcept;
/// For work that is only done to be logged.
bool log_enabled(LogLevel level) noexcept;

/// Logs one sentence. Never throws: a sentence that cannot be written is dropped.
void log(LogLevel level, std::string_view sentence) noexcept;
inline void log_debug(std::string_view sentence) noexcept { log(LogLevel::debug, sentence); }
inline void log_info(std::string_view sentence) noexcept { log(LogLevel::info, sentence); }
inline void log_warning(std::string_view sentence) noexcept { log(LogLevel::warning, sentence); }
inline void log_error(std::string_view sentence) noexcept { log(LogLevel::error, sentence); }

/// Lets at most one sentence in each period through, for events that a client can cause at will; the sentence
/// that comes through says how many were held back. One object per kind of event (static, or per session).
/// Thread safe.
class LogLimit {
 public:
  explicit LogLimit(std::chrono::milliseconds period = std::chrono::seconds(10)) noexcept : period_(period) {}
  void log(LogLevel level, std::string_view sentence) noexcept;
  std::uint64_t held_back() const noexcept { return held_back_.load(std::memory_order_relaxed); }

 private:
  std::chrono::nanoseconds period_;
  std::atomic<std::int64_t> next_ns_{0};  // monotonic; relaxed: a second line at a border does no harm
  std::atomic<std::uint64_t> held_back_{0};
};

}  // namespace busway::daemon
