// How a record is printed: a format in kcat's language, or a JSON object.
//
//   %t topic   %p partition   %o offset   %T timestamp (Unix ms)   %% a percent sign
//   %k key     %K its length  %s value    %S its length (-1: null) %h headers, NAME=VALUE,NAME=VALUE
//   \n \r \t \0 \\ \xHH bytes
//
// Thread safe once made.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <busway/record.hpp>

namespace busway::cli {

class Format {
 public:
  /// Throws UsageError for a directive that does not exist. `show_null`: null keys and values print as NULL,
  /// otherwise as nothing.
  explicit Format(std::string_view format, bool show_null = false);

  /// Appends `record` of `topic` to `out`.
  void print(std::string& out, std::string_view topic, const Record& record) const;

 private:
  struct Piece {
    char directive = 0;   ///< 0: `literal`
    std::string literal;  ///< bytes as they are
  };
  void bytes(std::string& out, BytesView bytes) const;
  std::vector<Piece> pieces_;
  std::string_view null_;
  bool only_value_line_ = false;  ///< the format is "%s\n": the common case
};

/// null, or as append_json_bytes (text.hpp).
void append_json_or_null(std::string& out, BytesView bytes);

/// One JSON object on a line of its own:
/// {"topic":"t","partition":0,"offset":7,"timestamp":1714978089123,"key":null,"value":"v","headers":[{"name":"n",
/// "value":"v"}]}. Null is null; bytes that are not UTF-8 are {"base64":"..."}.
void print_json(std::string& out, std::string_view topic, const Record& record);

}  // namespace busway::cli
