// Brings one whole batch of a file into memory and checks it. Internal to bus/log. One thread at a time.
#pragma once

#include <cstdint>

#include "bus/log/batch_view.hpp"
#include "bus/log/byte_source.hpp"

namespace busway::log {

class BatchLoader {
 public:
  explicit BatchLoader(std::size_t window_bytes) noexcept : window_(window_bytes) {}

  /// The batch at `position`, header and CRC checked; `batch` is valid until the next call. With an error
  /// `batch` has the header if that alone made sense (header_ok()). `incomplete` also when reading failed:
  /// see io_error().
  BatchError load(const ByteSource& source, std::int64_t position, std::int32_t most, BatchView& batch);

  /// Of the last load: nothing but zeros where a header should be, or the end of the file.
  bool blank() const noexcept { return blank_; }
  bool at_end() const noexcept { return at_end_; }
  bool header_ok() const noexcept { return header_ok_; }
  int io_error() const noexcept { return window_.error(); }

  /// What was read is stale.
  void forget() noexcept { window_.forget(); }

 private:
  FileWindow window_;
  bool blank_ = false;
  bool at_end_ = false;
  bool header_ok_ = false;
};

}  // namespace busway::log
