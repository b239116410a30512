#include "daemon/config_setting.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include <busway/error.hpp>

namespace busway::daemon {
namespace {

using Unit = std::pair<std::string_view, std::int64_t>;

constexpr Unit kByteUnits[] = {
    {"", 1}, {"B", 1}, {"KiB", 1LL << 10}, {"MiB", 1LL << 20}, {"GiB", 1LL << 30}, {"TiB", 1LL << 40}};
constexpr Unit kMillisecondUnits[] = {{"", 1},         {"ms", 1},          {"s", 1000},
                                      {"min", 60'000}, {"h", 3'600'000LL}, {"d", 86'400'000LL}};
constexpr Unit kMicrosecondUnits[] = {{"", 1}, {"us", 1}, {"ms", 1000}, {"s", 1'000'000}};
constexpr Unit kNoUnit[] = {{"", 1}};

std::span<const Unit> units_of(SettingType type) noexcept {
  switch (type) {
    case SettingType::bytes:
      return kByteUnits;
    case SettingType::milliseconds:
      return kMillisecondUnits;
    case SettingType::microseconds:
      return kMicrosecondUnits;
    default:
      return kNoUnit;
  }
}

/// "<whole number><unit>"; nothing on overflow, an unknown unit or anything left over.
std::optional<std::int64_t> parse_quantity(std::string_view text, std::span<const Unit> units) noexcept {
  std::int64_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec != std::errc{}) return std::nullopt;
  std::string_view rest(parsed.ptr, static_cast<std::size_t>(text.data() + text.size() - parsed.ptr));
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  const auto unit = std::find_if(units.begin(), units.end(), [&](const Unit& u) { return u.first == rest; });
  std::int64_t value = 0;
  if (unit == units.end() || __builtin_mul_overflow(number, unit->second, &value)) return std::nullopt;
  return value;
}

std::optional<std::int64_t> parse_mode(std::string_view text) noexcept {
  std::int64_t mode = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
  if (parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return mode;
}

std::optional<std::int64_t> parse_value(const SettingDescription& about, std::string_view text) noexcept {
  switch (about.type) {
    case SettingType::boolean:
      if (text == "true") return 1;
      if (text == "false") return 0;
      return std::nullopt;
    case SettingType::choice: {
      const auto found = std::find_if(about.choices.begin(), about.choices.end(),
                                      [&](const Choice& choice) { return choice.word == text; });
      return found == about.choices.end() ? std::nullopt : std::optional(found->value);
    }
    case SettingType::mode:
      return parse_mode(text);
    case SettingType::text:
      return static_cast<std::int64_t>(text.size());
    default:
      return parse_quantity(text, units_of(about.type));
  }
}

std::string octal(std::int64_t mode) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof(digits), mode, 8).ptr;
  return "0" + std::string(digits, end);
}

std::string join_choices(std::span<const Choice> choices) {
  std::string out;
  for (const Choice& choice : choices) {
    if (!out.empty()) out += &choice == &choices.back() ? " or " : ", ";
    out += choice.word;
  }
  return out;
}

std::string print_bound(SettingType type, std::int64_t value) {
  if (type != SettingType::bytes || value == 0) return std::to_string(value);
  const Unit* best = &kByteUnits[0];
  for (const Unit& unit : kByteUnits) {
    if (!unit.first.empty() && unit.first != "B" && value % unit.second == 0) best = &unit;
  }
  return std::to_string(value / best->second) + std::string(best->first);
}

std::string print_range(const SettingDescription& about) {
  const std::string least = print_bound(about.type, about.least);
  if (about.most == std::numeric_limits<std::int64_t>::max()) return "at least " + least;
  return least + " to " + print_bound(about.type, about.most);
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t swap = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({swap, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::int64_t parse_setting(const SettingDescription& about, std::string_view text) {
  const auto value = parse_value(about, text);
  const bool bounded = about.type != SettingType::boolean && about.type != SettingType::choice;
  if (!value || (bounded && (*value < about.least || *value > about.most))) {
    throw Error(errc::invalid_setting,
                std::string(about.key) + " = " + std::string(text) + ": must be " + allowed_values(about));
  }
  return *value;
}

std::string print_setting(const SettingDescription& about, std::int64_t value) {
  switch (about.type) {
    case SettingType::boolean:
      return value != 0 ? "true" : "false";
    case SettingType::mode:
      return octal(value);
    case SettingType::choice: {
      const auto found = std::find_if(about.choices.begin(), about.choices.end(),
                                      [&](const Choice& choice) { return choice.value == value; });
      return found == about.choices.end() ? std::to_string(value) : std::string(found->word);
    }
    default:
      return std::to_string(value);
  }
}

std::string allowed_values(const SettingDescription& about) {
  const std::string range = print_range(about);
  switch (about.type) {
    case SettingType::integer:
      return "a whole number, " + range;
    case SettingType::bytes:
      return "bytes, or a number with KiB, MiB, GiB or TiB, " + range;
    case SettingType::milliseconds:
      return "milliseconds, or a number with ms, s, min, h or d, " + range;
    case SettingType::microseconds:
      return "microseconds, or a number with us, ms or s, " + range;
    case SettingType::boolean:
      return "true or false";
    case SettingType::choice:
      return join_choices(about.choices);
    case SettingType::mode:
      return "an octal mode, " + octal(about.least) + " to " + octal(about.most);
    case SettingType::text:
      return "text of " + std::to_string(about.least) + " to " + std::to_string(about.most) + " bytes";
  }
  return {};
}

std::string_view nearest_key(std::string_view key, std::span<const std::string_view> known) {
  std::string_view best;
  // Further away than a third of its letters is another word, not a misspelling.
  std::size_t best_distance = std::max<std::size_t>(2, key.size() / 3) + 1;
  for (const std::string_view candidate : known) {
    const std::size_t distance = edit_distance(key, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace busway::daemon
