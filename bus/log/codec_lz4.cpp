// lz4 in its frame format, with independent blocks of at most 64 KiB: the only kind that Kafka's Java client
// reads.
#include <new>

#include <lz4frame.h>

#include "bus/log/codec_backends.hpp"

namespace busway::log {
namespace {

class Lz4 final : public CodecBackend {
 public:
  ~Lz4() override {
    ::LZ4F_freeCompressionContext(compress_);
    ::LZ4F_freeDecompressionContext(decompress_);
  }

  Levels levels() const noexcept override { return {1, 17}; }
  void set_level(int level) noexcept override { preferences_.compressionLevel = level; }

  std::size_t compress(std::span<const std::byte> in, std::span<std::byte> out) override {
    if (compress_ == nullptr &&
        ::LZ4F_isError(::LZ4F_createCompressionContext(&compress_, LZ4F_VERSION)) != 0) {
      throw std::bad_alloc();
    }
    // lz4 wants room for the worst case, whatever it writes in the end
    scratch_.grow(LZ4F_HEADER_SIZE_MAX + ::LZ4F_compressBound(in.size(), &preferences_));
    std::size_t bytes = 0;
    const auto take = [&](std::size_t result) {
      bytes += ::LZ4F_isError(result) != 0 ? 0 : result;
      return ::LZ4F_isError(result) == 0;
    };
    const bool done =
        take(::LZ4F_compressBegin(compress_, scratch_.data(), scratch_.size(), &preferences_)) &&
        take(::LZ4F_compressUpdate(compress_, scratch_.data() + bytes, scratch_.size() - bytes, in.data(),
                                   in.size(), nullptr)) &&
        take(::LZ4F_compressEnd(compress_, scratch_.data() + bytes, scratch_.size() - bytes, nullptr));
    if (!done || bytes > out.size()) return 0;
    std::memcpy(out.data(), scratch_.data(), bytes);
    return bytes;
  }

  BatchError decompress(std::span<const std::byte> in, GrowingBuffer& out, std::size_t most,
                        std::size_t& bytes) override {
    if (decompress_ == nullptr &&
        ::LZ4F_isError(::LZ4F_createDecompressionContext(&decompress_, LZ4F_VERSION)) != 0) {
      throw std::bad_alloc();
    }
    ::LZ4F_resetDecompressionContext(decompress_);
    out.grow(guess(in.size(), most));
    for (bytes = 0;;) {
      const bool room = make_room(out, bytes, most);
      std::byte spare{};  // see codec_gzip.cpp
      std::size_t written = room ? std::min(out.size(), most) - bytes : 1;
      std::size_t taken = in.size();
      const std::size_t left = ::LZ4F_decompress(decompress_, room ? out.data() + bytes : &spare, &written,
                                                 in.data(), &taken, nullptr);
      if (::LZ4F_isError(left) != 0) return BatchError::bad_compressed;
      if (!room && written > 0) return BatchError::too_large;
      bytes += written;
      in = in.subspan(taken);
      if (left == 0 && in.empty()) return BatchError::none;
      if (written == 0 && taken == 0) return BatchError::bad_compressed;
    }
  }

 private:
  static LZ4F_preferences_t independent_blocks() noexcept {
    LZ4F_preferences_t preferences{};
    preferences.frameInfo.blockSizeID = LZ4F_max64KB;
    preferences.frameInfo.blockMode = LZ4F_blockIndependent;
    return preferences;
  }

  LZ4F_cctx* compress_ = nullptr;
  LZ4F_dctx* decompress_ = nullptr;
  LZ4F_preferences_t preferences_ = independent_blocks();
  GrowingBuffer scratch_;
};

}  // namespace

std::unique_ptr<CodecBackend> make_lz4() { return std::make_unique<Lz4>(); }

}  // namespace busway::log
