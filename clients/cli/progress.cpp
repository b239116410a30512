#include "clients/cli/progress.hpp"

#include <cstdio>
#include <utility>

#include <unistd.h>

#include "clients/cli/text.hpp"

namespace busway::cli {

Progress::Progress(std::string what, std::uint64_t total_bytes)
    : what_(std::move(what)), total_bytes_(total_bytes), terminal_(::isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  if (shown_) std::fputs("\r\033[K", stderr);
}

void Progress::at(std::uint64_t records, std::uint64_t bytes) {
  if (!terminal_) return;
  const auto now = Clock::now();
  if (now < next_) return;
  next_ = now + std::chrono::milliseconds{200};
  const double seconds = std::chrono::duration<double>(now - started_).count();
  std::string line = what_ + " ";
  if (records > 0) {
    line += human_count(records) + " records (" +
            human_count(static_cast<std::uint64_t>(static_cast<double>(records) / seconds)) + "/s), ";
  }
  line += human_bytes(bytes);
  if (total_bytes_ > 0) line += " of " + human_bytes(total_bytes_);
  std::fprintf(stderr, "\r%s\033[K", line.c_str());
  shown_ = true;
}

}  // namespace busway::cli
