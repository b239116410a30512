#include "daemon/recovery_checkpoint.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <span>
#include <utility>

#include "bus/base/crc32c.hpp"

namespace busway::daemon {
namespace {

constexpr std::uint64_t kCheckpointBytesMost = 4096;

/// Takes `word` off the front of `text`.
bool take(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  return true;
}

bool take_number(std::string_view& text, Offset& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

}  // namespace

std::string print_checkpoint(const CheckpointValues& values) {
  std::string line = "busway-checkpoint 1 log_start=" + std::to_string(values.log_start) +
                     " recovery_point=" + std::to_string(values.recovery_point);
  char crc[16];
  std::snprintf(crc, sizeof crc, " crc=%08x\n", crc32c(line.data(), line.size()));
  return line + crc;
}

std::optional<CheckpointValues> parse_checkpoint(std::string_view text) {
  CheckpointValues values;
  std::string_view rest = text;
  const bool understood = take(rest, "busway-checkpoint 1 log_start=") &&
                          take_number(rest, values.log_start) && take(rest, " recovery_point=") &&
                          take_number(rest, values.recovery_point);
  // Printed again it must be the same text, CRC and all.
  if (!understood || print_checkpoint(values) != text) return std::nullopt;
  return values;
}

Checkpoint::Checkpoint(FileSystem& file_system, const std::string& directory, CheckpointValues values)
    : file_system_(file_system), directory_(directory), values_(values) {}

std::optional<CheckpointValues> Checkpoint::load(FileSystem& file_system, const std::string& directory) {
  const std::string path = directory + "/" + std::string(kFileName);
  const File file = File::open_if_there(file_system, path, OpenMode::read);
  if (!file) return std::nullopt;
  std::string text(std::min(file.size(), kCheckpointBytesMost), '\0');
  text.resize(file.read(std::as_writable_bytes(std::span(text)), 0));
  return parse_checkpoint(text);
}

CheckpointValues Checkpoint::values() const {
  const std::lock_guard lock(mutex_);
  return values_;
}

void Checkpoint::owe(LostOffsets lost) {
  const std::lock_guard lock(mutex_);
  owed_ = std::move(lost);
}

bool Checkpoint::owes() const {
  const std::lock_guard lock(mutex_);
  return owed_.has_value();
}

void Checkpoint::advance(std::optional<Offset> log_start, std::optional<Offset> recovery_point) {
  const std::lock_guard lock(mutex_);
  if (owed_) owed_->save(file_system_, directory_);
  owed_.reset();
  CheckpointValues next = values_;
  if (log_start) next.log_start = std::max(next.log_start, *log_start);
  if (recovery_point) next.recovery_point = std::max(next.recovery_point, *recovery_point);
  if (next == values_) return;
  const std::string text = print_checkpoint(next);
  replace_durably(file_system_, directory_ + "/" + std::string(kFileName), std::as_bytes(std::span(text)));
  values_ = next;
}

}  // namespace busway::daemon
