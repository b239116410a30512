// gzip by zlib. Several members one behind the other are read as one, as gzip itself and Java do.
#include <new>

#include <zlib.h>

#include "bus/log/codec_backends.hpp"

namespace busway::log {
namespace {

constexpr int kGzipWindow = 15 + 16;  // the largest window, gzip header and trailer
constexpr int kMemoryLevel = 8;       // zlib's default

// zlib's interface is not const correct; it does not write to its input.
Bytef* input(std::span<const std::byte> in) noexcept {
  return const_cast<Bytef*>(reinterpret_cast<const Bytef*>(in.data()));
}

class Gzip final : public CodecBackend {
 public:
  ~Gzip() override {
    if (deflating_) ::deflateEnd(&deflate_);
    if (inflating_) ::inflateEnd(&inflate_);
  }

  Levels levels() const noexcept override { return {1, 9}; }
  void set_level(int level) noexcept override { level_ = level; }

  std::size_t compress(std::span<const std::byte> in, std::span<std::byte> out) override {
    if (!deflating_) {
      if (::deflateInit2(&deflate_, level_, Z_DEFLATED, kGzipWindow, kMemoryLevel, Z_DEFAULT_STRATEGY) !=
          Z_OK) {
        throw std::bad_alloc();
      }
      deflating_ = true;
    } else {
      ::deflateReset(&deflate_);
    }
    deflate_.next_in = input(in);
    deflate_.avail_in = static_cast<uInt>(in.size());
    deflate_.next_out = reinterpret_cast<Bytef*>(out.data());
    deflate_.avail_out = static_cast<uInt>(out.size());
    return ::deflate(&deflate_, Z_FINISH) == Z_STREAM_END ? out.size() - deflate_.avail_out : 0;
  }

  BatchError decompress(std::span<const std::byte> in, GrowingBuffer& out, std::size_t most,
                        std::size_t& bytes) override {
    if (!inflating_) {
      if (::inflateInit2(&inflate_, kGzipWindow) != Z_OK) throw std::bad_alloc();
      inflating_ = true;
    } else {
      ::inflateReset(&inflate_);
    }
    inflate_.next_in = input(in);
    inflate_.avail_in = static_cast<uInt>(in.size());
    out.grow(guess(in.size(), most));
    for (bytes = 0;;) {
      const bool room = make_room(out, bytes, most);
      // with no room left a single spare byte tells a stream that ends here from one that goes on
      std::byte spare{};
      const std::size_t space = room ? std::min(out.size(), most) - bytes : 1;
      inflate_.next_out = reinterpret_cast<Bytef*>(room ? out.data() + bytes : &spare);
      inflate_.avail_out = static_cast<uInt>(space);
      const int result = ::inflate(&inflate_, Z_NO_FLUSH);
      const std::size_t written = space - inflate_.avail_out;
      if (!room && written > 0) return BatchError::too_large;
      bytes += written;
      if (result == Z_STREAM_END) {
        if (inflate_.avail_in == 0) return BatchError::none;
        ::inflateReset(&inflate_);
      } else if (result != Z_OK || (written == 0 && inflate_.avail_in == 0)) {
        return BatchError::bad_compressed;
      }
    }
  }

 private:
  z_stream deflate_{};
  z_stream inflate_{};
  int level_ = Z_DEFAULT_COMPRESSION;
  bool deflating_ = false;
  bool inflating_ = false;
};

}  // namespace

std::unique_ptr<CodecBackend> make_gzip() { return std::make_unique<Gzip>(); }

}  // namespace busway::log
