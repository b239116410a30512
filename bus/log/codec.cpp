// The two classes of codec.hpp: what is the same for every codec. Each codec itself is in codec_*.cpp.
#include "bus/log/codec.hpp"

#include <array>
#include <cstring>
#include <new>
#include <string>

#include <busway/error.hpp>

#include "bus/base/crc32c.hpp"
#include "bus/log/codec_backends.hpp"

namespace busway::log {

std::optional<Codec> codec_by_name(std::string_view name) noexcept {
  if (name == "uncompressed") return Codec::none;
  for (const Codec codec : {Codec::none, Codec::gzip, Codec::snappy, Codec::lz4, Codec::zstd}) {
    if (name == codec_name(codec)) return codec;
  }
  return std::nullopt;
}

std::unique_ptr<CodecBackend> make_backend(Codec codec) {
  switch (codec) {
    case Codec::none:
      return nullptr;
    case Codec::gzip:
      return make_gzip();
    case Codec::snappy:
      return make_snappy();
    case Codec::lz4:
      return make_lz4();
    case Codec::zstd:
      return make_zstd();
  }
  return nullptr;
}

struct Compressor::State {
  Codec codec;
  std::unique_ptr<CodecBackend> backend;
};

Compressor::Compressor(Codec codec, std::optional<int> level) : state_(std::make_unique<State>()) {
  state_->codec = codec;
  state_->backend = make_backend(codec);
  if (state_->backend == nullptr) {
    throw Error(errc::invalid_setting,
                "There is no compressor for the codec \"" + std::string(codec_name(codec)) + "\".");
  }
  if (!level) return;
  const auto [least, most] = state_->backend->levels();
  if (*level < least || *level > most) {
    throw Error(errc::invalid_setting, std::string(codec_name(codec)) + " has no compression level " +
                                           std::to_string(*level) +
                                           (least == most ? "; it has no levels."
                                                          : "; its levels go from " + std::to_string(least) +
                                                                " to " + std::to_string(most) + "."));
  }
  state_->backend->set_level(*level);
}

Compressor::~Compressor() = default;
Compressor::Compressor(Compressor&&) noexcept = default;
Compressor& Compressor::operator=(Compressor&&) noexcept = default;

bool Compressor::compress(std::span<const std::byte> batch, std::span<std::byte> out,
                          BatchSummary& summary) noexcept {
  if (batch.size() < kBatchHeaderBytes || out.size() <= kBatchHeaderBytes || summary.codec != Codec::none)
    return false;
  std::size_t payload = 0;
  try {
    payload = state_->backend->compress(batch.subspan(kBatchHeaderBytes), out.subspan(kBatchHeaderBytes));
  } catch (const std::bad_alloc&) {
    return false;
  }
  if (payload == 0) return false;
  const std::size_t bytes = kBatchHeaderBytes + payload;
  std::memcpy(out.data(), batch.data(), kBatchHeaderBytes);
  auto& header = *reinterpret_cast<BatchHeader*>(out.data());
  header.batch_length.set(static_cast<std::int32_t>(bytes - kBatchLengthFrom));
  header.attributes.set(static_cast<std::int16_t>((header.attributes.get() & ~kCodecMask) |
                                                  static_cast<std::int16_t>(state_->codec)));
  header.crc.set(crc32c(out.data() + kCrcFrom, bytes - kCrcFrom));
  summary.bytes = static_cast<std::int32_t>(bytes);
  summary.codec = state_->codec;
  return true;
}

struct Decompressor::State {
  std::size_t most;
  GrowingBuffer buffer;
  std::array<std::unique_ptr<CodecBackend>, 5> backends;  // made at first use
};

Decompressor::Decompressor(std::size_t most) : state_(std::make_unique<State>()) { state_->most = most; }
Decompressor::~Decompressor() = default;
Decompressor::Decompressor(Decompressor&&) noexcept = default;
Decompressor& Decompressor::operator=(Decompressor&&) noexcept = default;

BatchError Decompressor::records(const BatchView& batch, std::span<const std::byte>& records) {
  if (batch.codec() == Codec::none) {
    records = batch.payload();
    return BatchError::none;
  }
  auto& backend = state_->backends.at(static_cast<std::size_t>(batch.codec()));
  if (backend == nullptr) backend = make_backend(batch.codec());
  std::size_t bytes = 0;
  const BatchError error = backend->decompress(batch.payload(), state_->buffer, state_->most, bytes);
  records = state_->buffer.span().first(error == BatchError::none ? bytes : 0);
  return error;
}

}  // namespace busway::log
