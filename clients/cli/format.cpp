#include "clients/cli/format.hpp"

#include "clients/cli/options.hpp"
#include "clients/cli/text.hpp"

namespace busway::cli {
namespace {

constexpr std::string_view kDirectives = "tpoTkKsSh";

std::int64_t length_of(BytesView bytes) noexcept {
  return bytes.is_null() ? -1 : static_cast<std::int64_t>(bytes.size());
}

}  // namespace

void append_json_or_null(std::string& out, BytesView bytes) {
  if (bytes.is_null()) {
    out += "null";
  } else {
    append_json_bytes(out, bytes.text());
  }
}

Format::Format(std::string_view format, bool show_null) : null_(show_null ? "NULL" : "") {
  std::string literal;
  const auto end_literal = [&] {
    if (!literal.empty()) pieces_.push_back({0, unescape(literal)});
    literal.clear();
  };
  for (std::size_t at = 0; at < format.size(); ++at) {
    if (format[at] != '%') {
      literal += format[at];
      continue;
    }
    const char directive = ++at < format.size() ? format[at] : '\0';
    if (directive == '%') {
      literal += '%';
    } else if (directive != '\0' && kDirectives.find(directive) != std::string_view::npos) {
      end_literal();
      pieces_.push_back({directive, {}});
    } else {
      const std::string given = directive == '\0' ? "%" : std::string("%") + directive;
      throw UsageError("the format's '" + given +
                       "' is not known; there are %t %p %o %T %k %K %s %S %h and %%");
    }
  }
  end_literal();
  only_value_line_ = !show_null && pieces_.size() == 2 && pieces_[0].directive == 's' &&
                     pieces_[1].directive == 0 && pieces_[1].literal == "\n";
}

void Format::bytes(std::string& out, BytesView bytes) const { out += bytes.is_null() ? null_ : bytes.text(); }

void Format::print(std::string& out, std::string_view topic, const Record& record) const {
  if (only_value_line_) {
    out += record.value().text();
    out += '\n';
    return;
  }
  for (const Piece& piece : pieces_) {
    switch (piece.directive) {
      case 't':
        out += topic;
        break;
      case 'p':
        append_number(out, record.partition());
        break;
      case 'o':
        append_number(out, record.offset());
        break;
      case 'T':
        append_number(out, record.timestamp_ms());
        break;
      case 'k':
        bytes(out, record.key());
        break;
      case 'K':
        append_number(out, length_of(record.key()));
        break;
      case 's':
        bytes(out, record.value());
        break;
      case 'S':
        append_number(out, length_of(record.value()));
        break;
      case 'h': {
        std::string_view between;
        for (const Header& header : record.headers()) {
          out.append(between).append(header.name).append(1, '=');
          out += header.value.is_null() ? std::string_view("NULL") : header.value.text();
          between = ",";
        }
        break;
      }
      default:
        out += piece.literal;
    }
  }
}

void print_json(std::string& out, std::string_view topic, const Record& record) {
  out += "{\"topic\":";
  append_json_bytes(out, topic);
  out += ",\"partition\":";
  append_number(out, record.partition());
  out += ",\"offset\":";
  append_number(out, record.offset());
  out += ",\"timestamp\":";
  append_number(out, record.timestamp_ms());
  out += ",\"key\":";
  append_json_or_null(out, record.key());
  out += ",\"value\":";
  append_json_or_null(out, record.value());
  out += ",\"headers\":[";
  bool first = true;
  for (const Header& header : record.headers()) {
    out += first ? "{\"name\":" : ",{\"name\":";
    append_json_bytes(out, header.name);
    out += ",\"value\":";
    append_json_or_null(out, header.value);
    out += '}';
    first = false;
  }
  out += "]}\n";
}

}  // namespace busway::cli
