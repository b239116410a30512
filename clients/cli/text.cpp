#include "clients/cli/text.hpp"

#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>

#include <time.h>

namespace busway::cli {

std::string human_bytes(std::uint64_t bytes) {
  constexpr std::array kUnits{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) return std::to_string(bytes) + " B";
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (value >= 1023.95 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f %s", value, kUnits[unit]);
  return text.data();
}

std::string human_count(std::uint64_t count) {
  std::string digits = std::to_string(count);
  for (std::size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, 1, ',');
  }
  return digits;
}

std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\\' || at + 1 == text.size()) {
      out += text[at];
      continue;
    }
    const char next = text[++at];
    unsigned value = 0;
    if (next == 'n')
      out += '\n';
    else if (next == 'r')
      out += '\r';
    else if (next == 't')
      out += '\t';
    else if (next == '0')
      out += '\0';
    else if (next == '\\')
      out += '\\';
    else if (next == 'x' && at + 2 < text.size() &&
             std::from_chars(&text[at + 1], &text[at + 1] + 2, value, 16).ptr == &text[at + 1] + 2) {
      out += static_cast<char>(value);
      at += 2;
    } else {
      out += '\\';
      out += next;
    }
  }
  return out;
}

bool is_utf8(std::string_view bytes) noexcept {
  std::size_t at = 0;
  const auto byte = [&](std::size_t index) { return static_cast<unsigned char>(bytes[index]); };
  while (at < bytes.size()) {
    const unsigned lead = byte(at);
    if (lead < 0x80) {
      ++at;
      continue;
    }
    const std::size_t length = lead >= 0xC2 && lead <= 0xDF   ? 2
                               : lead >= 0xE0 && lead <= 0xEF ? 3
                               : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                              : 0;
    if (length == 0 || at + length > bytes.size()) return false;
    // The second byte's bounds rule out overlong forms, surrogates and what lies beyond U+10FFFF.
    const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (byte(at + 1) < low || byte(at + 1) > high) return false;
    for (std::size_t more = 2; more < length; ++more) {
      if ((byte(at + more) & 0xC0) != 0x80) return false;
    }
    at += length;
  }
  return true;
}

void append_base64(std::string& out, std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - at);
    std::uint32_t group = 0;
    for (std::size_t index = 0; index < 3; ++index) {
      group = group << 8 | (index < count ? static_cast<unsigned char>(bytes[at + index]) : 0u);
    }
    for (std::size_t digit = 0; digit < 4; ++digit) {
      out += digit <= count ? kDigits[group >> (18 - 6 * digit) & 63] : '=';
    }
  }
}

void append_json_string(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out += '"';
  std::size_t plain = 0;  // start of what needs no escape
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
    out.append(text, plain, at - plain);
    plain = at + 1;
    out += '\\';
    if (byte == '"' || byte == '\\')
      out += static_cast<char>(byte);
    else if (byte == '\n')
      out += 'n';
    else if (byte == '\t')
      out += 't';
    else if (byte == '\r')
      out += 'r';
    else
      out.append("u00").append(1, kHex[byte >> 4]).append(1, kHex[byte & 15]);
  }
  out.append(text, plain);
  out += '"';
}

void append_json_bytes(std::string& out, std::string_view bytes) {
  if (is_utf8(bytes)) {
    append_json_string(out, bytes);
    return;
  }
  out += "{\"base64\":\"";
  append_base64(out, bytes);
  out += "\"}";
}

void append_number(std::string& out, std::int64_t number) {
  std::array<char, 24> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  out.append(digits.data(), end);
}

std::string iso_time(std::int64_t unix_ms) {
  using namespace std::chrono;
  constexpr std::int64_t kFirst = -62'135'596'800'000;  // year 1
  constexpr std::int64_t kLast = 253'402'300'799'999;   // year 9999
  if (unix_ms < kFirst || unix_ms > kLast) return std::to_string(unix_ms);
  const sys_time<milliseconds> time{milliseconds{unix_ms}};
  const auto day = floor<days>(time);
  const year_month_day date{day};
  const hh_mm_ss clock{time - day};
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ",
                static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                static_cast<unsigned>(date.day()), static_cast<int>(clock.hours().count()),
                static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count()),
                static_cast<int>(clock.subseconds().count()));
  return text.data();
}

namespace {

/// Takes exactly `digits` digits off the front of `text`.
bool take_digits(std::string_view& text, std::size_t digits, int& value) {
  if (text.size() < digits) return false;
  for (const char c : text.substr(0, digits)) {
    if (c < '0' || c > '9') return false;
  }
  std::from_chars(text.data(), text.data() + digits, value);
  text.remove_prefix(digits);
  return true;
}

bool take(std::string_view& text, char wanted) {
  if (text.empty() || text.front() != wanted) return false;
  text.remove_prefix(1);
  return true;
}

struct ClockTime {
  int hour = 0, minute = 0, second = 0, millisecond = 0;
};

bool take_clock(std::string_view& text, ClockTime& clock) {
  if (!take_digits(text, 2, clock.hour) || !take(text, ':') || !take_digits(text, 2, clock.minute))
    return false;
  if (take(text, ':') && !take_digits(text, 2, clock.second)) return false;
  if (take(text, '.')) {
    int scale = 100;
    int digit = 0;
    if (!take_digits(text, 1, digit)) return false;
    do {
      clock.millisecond += digit * scale;
      scale /= 10;
    } while (take_digits(text, 1, digit));
  }
  return clock.hour < 24 && clock.minute < 60 && clock.second < 61;
}

/// "Z" or "+02:00" at the end of `text`; `minutes` east of UTC. False: neither.
bool take_zone(std::string_view& text, int& minutes) {
  minutes = 0;
  if (take(text, 'Z')) return text.empty();
  const int sign = text.starts_with('-') ? -1 : 1;
  if (!take(text, '+') && !take(text, '-')) return false;
  int hours = 0;
  int rest = 0;
  if (!take_digits(text, 2, hours) || !(take(text, ':') || true) || !take_digits(text, 2, rest)) return false;
  minutes = sign * (hours * 60 + rest);
  return text.empty() && hours < 15 && rest < 60;
}

}  // namespace

bool parse_iso_time(std::string_view text, std::int64_t& unix_ms) {
  using namespace std::chrono;
  int year_number = 0;
  int month_number = 0;
  int day_number = 0;
  if (!take_digits(text, 4, year_number) || !take(text, '-') || !take_digits(text, 2, month_number) ||
      !take(text, '-') || !take_digits(text, 2, day_number)) {
    return false;
  }
  const year_month_day date{year{year_number}, month{static_cast<unsigned>(month_number)},
                            day{static_cast<unsigned>(day_number)}};
  if (!date.ok()) return false;
  ClockTime clock;
  if ((take(text, 'T') || take(text, ' ')) && !take_clock(text, clock)) return false;
  if (!text.empty()) {
    int zone_minutes = 0;
    if (!take_zone(text, zone_minutes)) return false;
    const auto time = sys_days{date} + hours{clock.hour} + minutes{clock.minute - zone_minutes} +
                      seconds{clock.second} + milliseconds{clock.millisecond};
    unix_ms = duration_cast<milliseconds>(time.time_since_epoch()).count();
    return true;
  }
  tm local{};
  local.tm_year = year_number - 1900;
  local.tm_mon = month_number - 1;
  local.tm_mday = day_number;
  local.tm_hour = clock.hour;
  local.tm_min = clock.minute;
  local.tm_sec = clock.second;
  local.tm_isdst = -1;
  unix_ms = static_cast<std::int64_t>(::mktime(&local)) * 1000 + clock.millisecond;
  return true;
}

}  // namespace busway::cli
