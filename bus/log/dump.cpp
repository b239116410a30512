#include <algorithm>

#include "bus/log/log_files.hpp"
#include "bus/log/names.hpp"
#include "bus/log/segment_scanner.hpp"
#include "bus/log/verify.hpp"

namespace busway::log {
namespace {

namespace fs = std::filesystem;

class Dumper {
 public:
  Dumper(const DumpSink& sink, bool gaps) : sink_(sink), gaps_(gaps) {}

  void log_file(const fs::path& path, std::int64_t base_offset);
  void offset_index(const fs::path& path, std::int64_t base_offset);
  void time_index(const fs::path& path, std::int64_t base_offset);
  std::int64_t defects() const noexcept { return defects_; }

 private:
  void batch(const SegmentScanner& scanner, const fs::path& path);
  void region(const fs::path& path, const BadRegion& bad);
  void defect(const Defect& defect);

  const DumpSink& sink_;
  Decompressor decompressor_;
  bool gaps_;
  std::int64_t defects_ = 0;
};

void Dumper::defect(const Defect& defect) {
  ++defects_;
  if (sink_.defect) sink_.defect(defect);
}

void Dumper::region(const fs::path& path, const BadRegion& bad) {
  const bool torn = bad.next_offset < 0;
  defect(Defect{torn ? DefectKind::torn_tail : DefectKind::bad_batch, path, bad.position, bad.bytes,
                bad.first_offset, torn ? -1 : std::max(bad.first_offset, bad.next_offset - 1),
                std::string(text(bad.error))});
}

void Dumper::log_file(const fs::path& path, std::int64_t base_offset) {
  if (sink_.file) sink_.file(path);
  const Fd fd = open_log_file(path);
  ScanOptions options;
  options.gaps = gaps_;
  options.epochs_may_rise = gaps_;
  SegmentScanner scanner(fd.get(), base_offset, options);
  for (ScanEvent event = scanner.next(); event != ScanEvent::end; event = scanner.next()) {
    if (event == ScanEvent::batch) {
      batch(scanner, path);
    } else {
      region(path, scanner.bad());
    }
  }
}

void Dumper::batch(const SegmentScanner& scanner, const fs::path& path) {
  const BatchView& view = scanner.batch();
  if (sink_.batch) sink_.batch(scanner.batch_position(), view);
  if (!sink_.record) return;
  std::span<const std::byte> records;
  BatchError error = decompressor_.records(view, records);
  RecordCursor cursor(view, records);
  RecordView record;
  while (error == BatchError::none && cursor.next(record)) sink_.record(record);
  if (error == BatchError::none) error = cursor.error();
  if (error == BatchError::none) return;
  region(path, BadRegion{error, scanner.batch_position(), view.summary().bytes, view.base_offset(),
                         view.next_offset()});
}

void Dumper::offset_index(const fs::path& path, std::int64_t base_offset) {
  if (sink_.file) sink_.file(path);
  if (!sink_.offset_entry) return;
  for (const OffsetPosition& entry : decode_offset_index(read_small_file(path), base_offset))
    sink_.offset_entry(entry);
}

void Dumper::time_index(const fs::path& path, std::int64_t base_offset) {
  if (sink_.file) sink_.file(path);
  if (!sink_.time_entry) return;
  for (const TimestampOffset& entry : decode_time_index(read_small_file(path), base_offset))
    sink_.time_entry(entry);
}

}  // namespace

std::int64_t dump(const fs::path& path, const DumpSink& sink, bool gaps) {
  Dumper dumper(sink, gaps);
  // of a single file only that file; of a directory everything
  const auto named = parse_segment_file_name(path.filename().string());
  const auto wanted = [&](const fs::path& file, SegmentFile kind) {
    return !file.empty() && (!named || named->kind == kind);
  };
  for (const LogDirectory& directory : find_log_files(path)) {
    for (const SegmentPaths& paths : directory.segments) {
      if (wanted(paths.log, SegmentFile::log)) dumper.log_file(paths.log, paths.base_offset);
      if (wanted(paths.index, SegmentFile::index)) dumper.offset_index(paths.index, paths.base_offset);
      if (wanted(paths.time_index, SegmentFile::time_index))
        dumper.time_index(paths.time_index, paths.base_offset);
    }
  }
  return dumper.defects();
}

}  // namespace busway::log
