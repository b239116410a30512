// One setting, described: its name, type, default, bounds and meaning, and how its value is read from and
// written as text. The daemon's settings (config.hpp) and the topics' (topic_config.hpp) are tables of these.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace busway::daemon {

enum class SettingType {
  integer,
  bytes,         ///< "65536", "64KiB", "1GiB"
  milliseconds,  ///< "100", "10s", "7d"
  microseconds,  ///< "50", "50us", "2ms"
  boolean,       ///< "true", "false"
  choice,        ///< one of `choices`
  mode,          ///< octal file mode
  text,          ///< any text; `least` and `most` bound its length
};

/// One word of a choice and the number it stands for.
struct Choice {
  std::string_view word;
  std::int64_t value;
};

struct SettingDescription {
  std::string_view key;
  SettingType type;
  std::string_view standard;  ///< the default, as text
  std::int64_t least;
  std::int64_t most;
  bool changeable;  ///< by SIGHUP, or for a topic by `alter`
  std::string_view meaning;
  std::span<const Choice> choices = {};
};

/// A value's text as a number. Throws errc::invalid_setting: "KEY = VALUE: what is wrong and what is
/// allowed".
std::int64_t parse_setting(const SettingDescription& about, std::string_view text);
/// The text that parse_setting takes back.
std::string print_setting(const SettingDescription& about, std::int64_t value);
/// "from 14 to 2147483647", "true or false", "none, gzip, ...", for errors and for docs/configuration.md.
std::string allowed_values(const SettingDescription& about);

/// The key out of `known` that is least edits away from `key`; empty when none is close.
std::string_view nearest_key(std::string_view key, std::span<const std::string_view> known);

}  // namespace busway::daemon
