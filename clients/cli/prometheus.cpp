#include "clients/cli/prometheus.hpp"

#include <charconv>
#include <map>
#include <string_view>

namespace busway::cli {
namespace {

std::string metric_name(std::string_view name) {
  std::string out = name.starts_with("busway_") ? "" : "busway_";
  for (const char c : name) {
    const bool fine =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == ':';
    out += fine ? c : '_';
  }
  return out;
}

bool is_number(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size();
}

std::string label_value(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

std::string as_prometheus(const std::vector<std::pair<std::string, std::string>>& counters) {
  std::map<std::string, std::string> families;  // lines of one name must stand together
  for (const auto& [name, value] : counters) {
    const auto brace = name.find('{');
    std::string family = metric_name(std::string_view(name).substr(0, brace));
    std::string labels = brace == std::string::npos || !name.ends_with('}')
                             ? ""
                             : name.substr(brace + 1, name.size() - brace - 2);
    std::string_view number = value;
    if (!is_number(value)) {
      family += "_info";
      labels += (labels.empty() ? "value=\"" : ",value=\"") + label_value(value) + '"';
      number = "1";
    }
    std::string& lines = families[family];
    lines += family;
    if (!labels.empty()) lines.append("{").append(labels).append("}");
    lines.append(" ").append(number).append("\n");
  }
  std::string out;
  for (const auto& [family, lines] : families) {
    out += "# TYPE " + family + (family.ends_with("_total") ? " counter\n" : " gauge\n") + lines;
  }
  return out;
}

}  // namespace busway::cli
