#include <new>

#include <zstd.h>

#include "bus/log/codec_backends.hpp"

namespace busway::log {
namespace {

class Zstd final : public CodecBackend {
 public:
  ~Zstd() override {
    ::ZSTD_freeCCtx(compress_);
    ::ZSTD_freeDCtx(decompress_);
  }

  Levels levels() const noexcept override { return {1, 22}; }
  void set_level(int level) noexcept override { level_ = level; }

  std::size_t compress(std::span<const std::byte> in, std::span<std::byte> out) override {
    if (compress_ == nullptr && (compress_ = ::ZSTD_createCCtx()) == nullptr) throw std::bad_alloc();
    const std::size_t bytes =
        ::ZSTD_compressCCtx(compress_, out.data(), out.size(), in.data(), in.size(), level_);
    return ::ZSTD_isError(bytes) != 0 ? 0 : bytes;
  }

  BatchError decompress(std::span<const std::byte> in, GrowingBuffer& out, std::size_t most,
                        std::size_t& bytes) override {
    if (decompress_ == nullptr && (decompress_ = ::ZSTD_createDCtx()) == nullptr) throw std::bad_alloc();
    ::ZSTD_DCtx_reset(decompress_, ZSTD_reset_session_only);
    ZSTD_inBuffer from{in.data(), in.size(), 0};
    out.grow(guess(in.size(), most));
    for (bytes = 0;;) {
      const bool room = make_room(out, bytes, most);
      std::byte spare{};  // see codec_gzip.cpp
      ZSTD_outBuffer to{room ? out.data() + bytes : &spare, room ? std::min(out.size(), most) - bytes : 1, 0};
      const std::size_t taken_before = from.pos;
      const std::size_t left = ::ZSTD_decompressStream(decompress_, &to, &from);
      if (::ZSTD_isError(left) != 0) return BatchError::bad_compressed;
      if (!room && to.pos > 0) return BatchError::too_large;
      bytes += to.pos;
      if (left == 0 && from.pos == from.size) return BatchError::none;
      if (to.pos == 0 && from.pos == taken_before) return BatchError::bad_compressed;
    }
  }

 private:
  ZSTD_CCtx* compress_ = nullptr;
  ZSTD_DCtx* decompress_ = nullptr;
  int level_ = ZSTD_CLEVEL_DEFAULT;
};

}  // namespace

std::unique_ptr<CodecBackend> make_zstd() { return std::make_unique<Zstd>(); }

}  // namespace busway::log
