// One codec behind codec.hpp: turns bytes into compressed bytes and back. Internal to bus/log/codec*.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "bus/base/limits.hpp"
#include "bus/log/batch_format.hpp"
#include "bus/log/batch_view.hpp"
#include "bus/log/growing_buffer.hpp"

namespace busway::log {

class CodecBackend {
 public:
  struct Levels {
    int least;
    int most;
  };

  CodecBackend() = default;
  CodecBackend(const CodecBackend&) = delete;
  CodecBackend& operator=(const CodecBackend&) = delete;
  virtual ~CodecBackend() = default;

  virtual Levels levels() const noexcept = 0;
  virtual void set_level(int level) noexcept = 0;
  /// Bytes written to `out`; 0: it does not fit. Throws std::bad_alloc.
  virtual std::size_t compress(std::span<const std::byte> in, std::span<std::byte> out) = 0;
  /// Replaces what is in `out`, which grows as needed, by at most `most` bytes. Throws std::bad_alloc.
  virtual BatchError decompress(std::span<const std::byte> in, GrowingBuffer& out, std::size_t most,
                                std::size_t& bytes) = 0;

 protected:
  /// A first guess at the decompressed size.
  static std::size_t guess(std::size_t compressed, std::size_t most) noexcept {
    constexpr std::size_t kLeast = 16 * limits::kKiB;
    return std::min(most, std::max(kLeast, 4 * compressed));
  }
  /// More room behind `used` bytes: false once there are `most`.
  static bool make_room(GrowingBuffer& out, std::size_t used, std::size_t most) {
    if (used < std::min(out.size(), most)) return true;
    if (used >= most) return false;
    out.grow(std::min(most, 2 * used), used);
    return true;
  }
};

std::unique_ptr<CodecBackend> make_gzip();
std::unique_ptr<CodecBackend> make_snappy();
std::unique_ptr<CodecBackend> make_lz4();
std::unique_ptr<CodecBackend> make_zstd();

/// Null for Codec::none. Throws std::bad_alloc.
std::unique_ptr<CodecBackend> make_backend(Codec codec);

}  // namespace busway::log
