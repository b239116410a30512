#include "bus/log/names.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include <busway/error.hpp>

#include "bus/base/limits.hpp"

namespace busway::log {
namespace {

constexpr std::size_t kOffsetDigits = 20;
constexpr std::array<std::string_view, 3> kSuffixes{".log", ".index", ".timeindex"};

// ASCII only: the locale has no say.
constexpr bool allowed(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
         c == '-';
}

template <class Number>
std::optional<Number> parse_decimal(std::string_view digits) noexcept {
  Number number{};
  const char* const end = digits.data() + digits.size();
  const auto [at, error] = std::from_chars(digits.data(), end, number);
  if (error != std::errc{} || at != end || digits.front() == '-') return std::nullopt;
  return number;
}

// A name for a sentence: cut short, without control characters.
std::string quoted(std::string_view name) {
  constexpr std::size_t kShown = 60;
  std::string out = "\"";
  for (const char c : name.substr(0, kShown)) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte == 0x7F ? '?' : c;
  }
  return out + (name.size() > kShown ? "...\"" : "\"");
}

}  // namespace

std::string_view suffix(SegmentFile kind) noexcept { return kSuffixes[static_cast<std::size_t>(kind)]; }

std::string segment_file_name(std::int64_t base_offset, SegmentFile kind) {
  std::string digits = std::to_string(base_offset);
  return std::string(kOffsetDigits - digits.size(), '0') + digits + std::string(suffix(kind));
}

std::optional<SegmentName> parse_segment_file_name(std::string_view name) noexcept {
  if (name.size() <= kOffsetDigits) return std::nullopt;
  const auto kind = std::find(kSuffixes.begin(), kSuffixes.end(), name.substr(kOffsetDigits));
  const auto base = parse_decimal<std::int64_t>(name.substr(0, kOffsetDigits));
  if (kind == kSuffixes.end() || !base) return std::nullopt;
  return SegmentName{*base, static_cast<SegmentFile>(kind - kSuffixes.begin())};
}

std::string partition_directory(std::string_view topic, std::uint32_t partition) {
  return std::string(topic) + "-" + std::to_string(partition);
}

std::optional<PartitionName> parse_partition_directory(std::string_view name) {
  const std::size_t hyphen = name.rfind('-');
  if (hyphen == std::string_view::npos || hyphen + 1 == name.size()) return std::nullopt;
  const std::string_view topic = name.substr(0, hyphen);
  const std::string_view digits = name.substr(hyphen + 1);
  const auto partition = parse_decimal<std::uint32_t>(digits);
  if (!partition || (digits.size() > 1 && digits.front() == '0') || !topic_name_problem(topic).empty()) {
    return std::nullopt;
  }
  return PartitionName{std::string(topic), *partition};
}

std::string topic_name_problem(std::string_view name) {
  if (name.empty())
    return "The topic name is empty; it must have 1 to " + std::to_string(limits::kTopicNameMost) +
           " characters.";
  if (name.size() > limits::kTopicNameMost) {
    return "The topic name " + quoted(name) + " has " + std::to_string(name.size()) +
           " characters; at most " + std::to_string(limits::kTopicNameMost) + " are allowed.";
  }
  if (name == "." || name == "..")
    return "The topic name " + quoted(name) + " is not allowed: it names a directory.";
  const auto bad = std::find_if_not(name.begin(), name.end(), allowed);
  if (bad == name.end()) return {};
  return "The topic name " + quoted(name) + " has a character at position " +
         std::to_string(bad - name.begin() + 1) +
         " that is not allowed; letters a-z and A-Z, digits, '.', '_' and '-' are.";
}

void check_topic_name(std::string_view name) {
  if (const std::string problem = topic_name_problem(name); !problem.empty()) {
    throw Error(errc::invalid_topic_name, problem);
  }
}

}  // namespace busway::log
