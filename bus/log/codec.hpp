// Compression of whole batches with Kafka's codecs: gzip, lz4 (frame format), zstd, snappy (xerial framing,
// as Kafka's Java client writes it; a bare snappy block is read too, as librdkafka writes it).
//
// Both classes keep their contexts and buffers from batch to batch; one thread at a time each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "bus/log/batch_format.hpp"
#include "bus/log/batch_view.hpp"

namespace busway::log {

/// A batch is not decompressed beyond this, unless the caller says otherwise.
inline constexpr std::size_t kDecompressedBytesMost = 256 * std::size_t{1024} * 1024;

/// "none" | "uncompressed" | "gzip" | "snappy" | "lz4" | "zstd": the values of compression.type (without
/// "producer").
[[nodiscard]] std::optional<Codec> codec_by_name(std::string_view name) noexcept;

class Compressor {
 public:
  /// `level`: the codec's own (gzip 1 to 9, lz4 1 to 17, zstd 1 to 22); none = its default. Throws
  /// busway::Error (invalid_setting) for Codec::none or a level that the codec does not have.
  explicit Compressor(Codec codec, std::optional<int> level = std::nullopt);
  ~Compressor();
  Compressor(Compressor&&) noexcept;
  Compressor& operator=(Compressor&&) noexcept;

  /// Writes `batch`, as BatchEncoder::finish() left it, with compressed records, new length, attributes and
  /// CRC to `out`, and brings `summary` (bytes, codec) up to date. False: it does not fit into `out` (or is
  /// no plain batch); then `summary` is as before: write the batch as it is. Give `out` batch.size() bytes to
  /// get only what is smaller.
  [[nodiscard]] bool compress(std::span<const std::byte> batch, std::span<std::byte> out,
                              BatchSummary& summary) noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class Decompressor {
 public:
  explicit Decompressor(std::size_t most = kDecompressedBytesMost);
  ~Decompressor();
  Decompressor(Decompressor&&) noexcept;
  Decompressor& operator=(Decompressor&&) noexcept;

  /// The records of a parsed batch: its payload itself if it is not compressed, otherwise a buffer of this
  /// object, valid until the next call. Throws nothing but std::bad_alloc.
  BatchError records(const BatchView& batch, std::span<const std::byte>& records);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace busway::log
