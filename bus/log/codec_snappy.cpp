// snappy in the framing of the Java library snappy-java (once by Taro L. Saito at xerial.org), which Kafka's
// Java client writes: a 16-byte header, then blocks of at most 32 KiB, each a big endian length and a bare
// snappy block. Bytes without that header are read as one bare block: librdkafka and others write that.
#include <array>

#include <snappy.h>

#include "bus/log/codec_backends.hpp"

namespace busway::log {
namespace {

struct XerialHeader {
  std::array<unsigned char, 8> magic;
  BigEndian<std::int32_t> version;
  BigEndian<std::int32_t> least_compatible_version;
};
static_assert(sizeof(XerialHeader) == 16 && alignof(XerialHeader) == 1);
constexpr std::array<unsigned char, 8> kXerialMagic{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};
constexpr std::int32_t kXerialVersion = 1;
constexpr std::size_t kBlockBytes = 32 * limits::kKiB;

using BlockLength = BigEndian<std::int32_t>;

const char* chars(const std::byte* bytes) noexcept { return reinterpret_cast<const char*>(bytes); }
char* chars(std::byte* bytes) noexcept { return reinterpret_cast<char*>(bytes); }

class Snappy final : public CodecBackend {
 public:
  Levels levels() const noexcept override { return {0, 0}; }
  void set_level(int /*level*/) noexcept override {}

  std::size_t compress(std::span<const std::byte> in, std::span<std::byte> out) override {
    XerialHeader header{kXerialMagic, {}, {}};
    header.version.set(kXerialVersion);
    header.least_compatible_version.set(kXerialVersion);
    if (out.size() < sizeof header) return 0;
    std::memcpy(out.data(), &header, sizeof header);
    std::size_t bytes = sizeof header;
    scratch_.grow(::snappy::MaxCompressedLength(kBlockBytes));
    while (!in.empty()) {
      const auto block = in.first(std::min(in.size(), kBlockBytes));
      std::size_t length = 0;
      ::snappy::RawCompress(chars(block.data()), block.size(), chars(scratch_.data()), &length);
      if (out.size() - bytes < sizeof(BlockLength) + length) return 0;
      BlockLength prefix;
      prefix.set(static_cast<std::int32_t>(length));
      std::memcpy(out.data() + bytes, &prefix, sizeof prefix);
      std::memcpy(out.data() + bytes + sizeof prefix, scratch_.data(), length);
      bytes += sizeof prefix + length;
      in = in.subspan(block.size());
    }
    return bytes;
  }

  BatchError decompress(std::span<const std::byte> in, GrowingBuffer& out, std::size_t most,
                        std::size_t& bytes) override {
    bytes = 0;
    const bool framed = in.size() >= sizeof(XerialHeader) &&
                        std::memcmp(in.data(), kXerialMagic.data(), kXerialMagic.size()) == 0;
    if (!framed) return decompress_block(in, out, most, bytes);
    for (in = in.subspan(sizeof(XerialHeader)); !in.empty();) {
      if (in.size() < sizeof(BlockLength)) return BatchError::bad_compressed;
      BlockLength prefix;
      std::memcpy(&prefix, in.data(), sizeof prefix);
      in = in.subspan(sizeof prefix);
      const std::int32_t length = prefix.get();
      if (length < 0 || static_cast<std::size_t>(length) > in.size()) return BatchError::bad_compressed;
      const auto block = in.first(static_cast<std::size_t>(length));
      if (const BatchError error = decompress_block(block, out, most, bytes); error != BatchError::none)
        return error;
      in = in.subspan(block.size());
    }
    return BatchError::none;
  }

 private:
  static BatchError decompress_block(std::span<const std::byte> block, GrowingBuffer& out, std::size_t most,
                                     std::size_t& bytes) {
    std::size_t length = 0;
    if (!::snappy::GetUncompressedLength(chars(block.data()), block.size(), &length))
      return BatchError::bad_compressed;
    if (length > most - bytes) return BatchError::too_large;
    // a block of n bytes cannot stand for more than about 21 n: a length beyond that is a lie, and not
    // allocated for
    constexpr std::size_t kExpansionMost = 32;
    if (length > kExpansionMost * block.size()) return BatchError::bad_compressed;
    if (out.size() < bytes + length)
      out.grow(std::min(most, std::max(2 * out.size(), bytes + length)), bytes);
    if (!::snappy::RawUncompress(chars(block.data()), block.size(), chars(out.data() + bytes))) {
      return BatchError::bad_compressed;
    }
    bytes += length;
    return BatchError::none;
  }

  GrowingBuffer scratch_;
};

}  // namespace

std::unique_ptr<CodecBackend> make_snappy() { return std::make_unique<Snappy>(); }

}  // namespace busway::log
