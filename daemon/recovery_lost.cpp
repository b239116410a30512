#include "daemon/recovery_lost.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <span>

#include "bus/base/crc32c.hpp"

namespace busway::daemon {
namespace {

constexpr std::string_view kFirstLine = "busway-lost 1\n";
constexpr std::uint64_t kLostListBytesMost = std::uint64_t{16} << 20;

/// A number and the character behind it, off the front of `text`.
bool take_number(std::string_view& text, Offset& number, char behind) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (!text.starts_with(behind)) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

void LostOffsets::add(OffsetRange range) {
  if (range.first >= range.next) return;
  std::vector<OffsetRange> merged;
  for (const OffsetRange& other : ranges_) {
    if (other.next < range.first || range.next < other.first) {
      merged.push_back(other);
    } else {
      range = {std::min(range.first, other.first), std::max(range.next, other.next)};
    }
  }
  merged.push_back(range);
  std::sort(merged.begin(), merged.end(),
            [](const OffsetRange& a, const OffsetRange& b) { return a.first < b.first; });
  ranges_ = std::move(merged);
}

void LostOffsets::drop_below(Offset offset) {
  std::erase_if(ranges_, [offset](const OffsetRange& range) { return range.next <= offset; });
  if (!ranges_.empty()) ranges_.front().first = std::max(ranges_.front().first, offset);
}

bool LostOffsets::contains(Offset offset) const {
  return std::any_of(ranges_.begin(), ranges_.end(), [offset](const OffsetRange& range) {
    return range.first <= offset && offset < range.next;
  });
}

std::string LostOffsets::print() const {
  std::string text(kFirstLine);
  for (const OffsetRange& range : ranges_) {
    text += std::to_string(range.first) + " " + std::to_string(range.next) + "\n";
  }
  char crc[16];
  std::snprintf(crc, sizeof crc, "crc=%08x\n", crc32c(text.data(), text.size()));
  return text + crc;
}

LostOffsets LostOffsets::parse(std::string_view text) {
  LostOffsets lost;
  std::string_view rest = text;
  if (!rest.starts_with(kFirstLine)) return {};
  rest.remove_prefix(kFirstLine.size());
  while (!rest.starts_with("crc=")) {
    OffsetRange range;
    if (!take_number(rest, range.first, ' ') || !take_number(rest, range.next, '\n')) return {};
    lost.add(range);
  }
  // Printed again it must be the same text, CRC and all.
  return lost.print() == text ? lost : LostOffsets();
}

LostOffsets LostOffsets::load(FileSystem& file_system, const std::string& directory) {
  const std::string path = directory + "/" + std::string(kFileName);
  const File file = File::open_if_there(file_system, path, OpenMode::read);
  if (!file) return {};
  std::string text(std::min(file.size(), kLostListBytesMost), '\0');
  text.resize(file.read(std::as_writable_bytes(std::span(text)), 0));
  return parse(text);
}

void LostOffsets::save(FileSystem& file_system, const std::string& directory) const {
  const std::string text = print();
  replace_durably(file_system, directory + "/" + std::string(kFileName), std::as_bytes(std::span(text)));
}

}  // namespace busway::daemon
