#include "clients/cli/start.hpp"

#include <charconv>
#include <string>

#include "clients/cli/options.hpp"
#include "clients/cli/text.hpp"

namespace busway::cli {

StartAt parse_start(std::string_view text) {
  if (text == "earliest" || text == "beginning") return earliest;
  if (text == "latest" || text == "end") return latest;
  if (text.starts_with('@')) {
    std::int64_t unix_ms = 0;
    if (parse_iso_time(text.substr(1), unix_ms)) return at_time(unix_ms);
    throw UsageError("--from " + std::string(text) +
                     ": not a time; write it like @2024-05-06T07:08:09Z (without Z or +02:00: local time)");
  }
  Offset offset = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), offset);
  if (error == std::errc{} && end == text.data() + text.size() && offset >= 0) return at_offset(offset);
  throw UsageError("--from " + std::string(text) +
                   ": expected earliest, latest, an offset from 0 on, or @ and a time");
}

}  // namespace busway::cli
