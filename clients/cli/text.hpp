// Small texts: sizes and counts for people, escapes in options, UTF-8, base64, JSON strings, times. Thread
// safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace busway::cli {

/// "612 B", "4.0 KiB", "1.5 GiB".
std::string human_bytes(std::uint64_t bytes);
/// "1,000,000".
std::string human_count(std::uint64_t count);

/// Turns \n \r \t \0 \\ \xHH of an option into bytes; any other backslash stays as it is.
std::string unescape(std::string_view text);

/// Is this well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms, nothing above U+10FFFF)?
bool is_utf8(std::string_view bytes) noexcept;
/// RFC 4648 base64 with padding.
void append_base64(std::string& out, std::string_view bytes);
/// A JSON string with its quotes. `text` must be UTF-8.
void append_json_string(std::string& out, std::string_view text);
/// Any bytes as JSON: a string when they are UTF-8, otherwise {"base64":"..."}.
void append_json_bytes(std::string& out, std::string_view bytes);
/// A decimal number.
void append_number(std::string& out, std::int64_t number);

/// "2024-05-06T07:08:09.123Z" from Unix milliseconds; the number itself where that is no year of four digits.
std::string iso_time(std::int64_t unix_ms);
/// Unix milliseconds of "2024-05-06", "2024-05-06T07:08", "...:09", "...:09.123", each with "Z", "+02:00" or,
/// without a zone, in local time; a blank may stand for the T. False when `text` is none of these.
bool parse_iso_time(std::string_view text, std::int64_t& unix_ms);

}  // namespace busway::cli
