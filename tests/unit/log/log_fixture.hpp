// What the log room's tests tell their stories with: records that own their bytes, batches of them, segments
// on disk in a temporary directory that goes when the test does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bus/log/batch_encoder.hpp"
#include "bus/log/batch_view.hpp"
#include "bus/log/codec.hpp"
#include "bus/log/names.hpp"
#include "bus/log/record_headers.hpp"
#include "bus/log/segment_index.hpp"

namespace busway::log::testing {

using ByteString = std::vector<std::byte>;

/// A record that owns its bytes.
struct OwnedRecord {
  std::int64_t timestamp_ms = 0;
  std::optional<std::string> key;
  std::optional<std::string> value;
  std::vector<std::pair<std::string, std::optional<std::string>>> headers;
  friend bool operator==(const OwnedRecord&, const OwnedRecord&) = default;
};

inline Bytes bytes_of(const std::optional<std::string>& text) {
  return text ? Bytes(std::string_view(*text)) : Bytes();
}

inline std::optional<std::string> text_of(Bytes bytes) {
  if (bytes.is_null()) return std::nullopt;
  return std::string(bytes.text());
}

inline ByteString headers_of(const OwnedRecord& record) {
  std::vector<HeaderView> views;
  for (const auto& [name, value] : record.headers) views.push_back({name, bytes_of(value)});
  return encode_headers(views);
}

inline std::vector<std::pair<std::string, std::optional<std::string>>> decode_headers(
    std::span<const std::byte> encoded) {
  std::vector<std::pair<std::string, std::optional<std::string>>> headers;
  HeaderCursor cursor(encoded);
  HeaderView header;
  while (cursor.next(header)) headers.emplace_back(std::string(header.name), text_of(header.value));
  return headers;
}

/// A batch of these records with its summary.
struct BuiltBatch {
  ByteString bytes;
  BatchSummary summary;
};

inline BuiltBatch build_batch(const std::vector<OwnedRecord>& records, std::int64_t base_offset = 0,
                              std::int32_t epoch = 0) {
  std::size_t most = kBatchHeaderBytes;
  for (const OwnedRecord& record : records) {
    most += BatchEncoder::record_bytes_most(headers_of(record).size(), bytes_of(record.key).length(),
                                            bytes_of(record.value).length());
  }
  BuiltBatch built;
  built.bytes.resize(most);
  BatchEncoder encoder;
  encoder.begin(built.bytes, base_offset, Epoch{epoch});
  for (const OwnedRecord& record : records) {
    const ByteString headers = headers_of(record);
    const RecordParts parts{record.timestamp_ms, bytes_of(record.key), bytes_of(record.value), headers};
    if (encoder.append(parts) != AppendResult::appended) throw std::logic_error("the batch's bound is wrong");
  }
  if (records.empty()) encoder.skip();
  built.summary = encoder.finish();
  built.bytes.resize(static_cast<std::size_t>(built.summary.bytes));
  return built;
}

inline BuiltBatch compressed(const BuiltBatch& plain, Codec codec) {
  if (codec == Codec::none) return plain;
  BuiltBatch built{ByteString(2 * plain.bytes.size() + 1024), plain.summary};
  if (!Compressor(codec).compress(plain.bytes, built.bytes, built.summary))
    throw std::logic_error("does not compress");
  built.bytes.resize(static_cast<std::size_t>(built.summary.bytes));
  return built;
}

/// The records of a batch, or the error that stopped it.
struct ReadBatch {
  BatchError error = BatchError::none;
  std::vector<OwnedRecord> records;
  std::vector<std::int64_t> offsets;
};

inline ReadBatch read_batch(std::span<const std::byte> bytes) {
  ReadBatch read;
  BatchView view;
  Decompressor decompressor(64 * 1024 * 1024);
  std::span<const std::byte> plain;
  read.error = BatchView::parse(bytes, view);
  if (read.error == BatchError::none) read.error = decompressor.records(view, plain);
  if (read.error != BatchError::none) return read;
  RecordCursor cursor(view, plain);
  RecordView record;
  while (cursor.next(record)) {
    read.records.push_back(
        {record.timestamp_ms, text_of(record.key), text_of(record.value), decode_headers(record.headers)});
    read.offsets.push_back(record.offset);
  }
  read.error = cursor.error();
  return read;
}

/// A directory of its own that is removed with everything in it.
class TempDirectory {
 public:
  TempDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "busway-log-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = name;
  }
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;
  ~TempDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline ByteString read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

inline void write_file(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!out.flush()) throw std::runtime_error("writing " + path.string());
}

/// Writes one segment with its indexes, batch by batch.
class SegmentBuilder {
 public:
  SegmentBuilder(std::filesystem::path directory, std::int64_t base_offset,
                 std::int32_t interval_bytes = SegmentIndexer::kIntervalBytesDefault)
      : directory_(std::move(directory)), base_offset_(base_offset), indexer_(base_offset, interval_bytes) {}

  SegmentBuilder& add(const BuiltBatch& batch) {
    positions_.push_back(std::ssize(log_));
    summaries_.push_back(batch.summary);
    indexer_.add(batch.summary, std::ssize(log_));
    log_.insert(log_.end(), batch.bytes.begin(), batch.bytes.end());
    next_offset_ = batch.summary.next_offset();
    return *this;
  }

  /// A clean stop: the last time index entry, then all three files.
  SegmentBuilder& write() {
    indexer_.finish();
    write_file(path(SegmentFile::log), log_);
    write_file(path(SegmentFile::index), indexer_.offset_bytes());
    write_file(path(SegmentFile::time_index), indexer_.time_bytes());
    return *this;
  }

  std::filesystem::path path(SegmentFile kind) const {
    return directory_ / segment_file_name(base_offset_, kind);
  }
  std::int64_t next_offset() const { return next_offset_ < 0 ? base_offset_ : next_offset_; }
  const std::vector<std::int64_t>& positions() const { return positions_; }
  const std::vector<BatchSummary>& summaries() const { return summaries_; }
  const ByteString& log() const { return log_; }

 private:
  std::filesystem::path directory_;
  std::int64_t base_offset_;
  std::int64_t next_offset_ = -1;
  SegmentIndexer indexer_;
  ByteString log_;
  std::vector<std::int64_t> positions_;
  std::vector<BatchSummary> summaries_;
};

/// `count` records, one millisecond apart, that say where they are.
inline std::vector<OwnedRecord> numbered_records(std::int64_t first, int count,
                                                 std::int64_t start_ms = 1'700'000'000'000) {
  std::vector<OwnedRecord> records;
  for (std::int64_t n = first; n < first + count; ++n) {
    records.push_back(
        {start_ms + n, "key-" + std::to_string(n % 7), "value number " + std::to_string(n), {}});
  }
  return records;
}

}  // namespace busway::log::testing
