#include "bus/log/batch_loader.hpp"

#include <algorithm>

namespace busway::log {

BatchError BatchLoader::load(const ByteSource& source, std::int64_t position, std::int32_t most,
                             BatchView& batch) {
  header_ok_ = false;
  auto bytes = window_.view(source, position, kBatchHeaderBytes);
  at_end_ = bytes.empty();
  const auto head = bytes.first(std::min(bytes.size(), kBatchHeaderBytes));
  blank_ = (head.empty() || head.front() == std::byte{0}) &&
           std::all_of(head.begin(), head.end(), [](std::byte byte) { return byte == std::byte{0}; });
  if (io_error() != 0) return BatchError::incomplete;
  if (const BatchError error = BatchView::parse_header(bytes, batch, most); error != BatchError::none)
    return error;
  header_ok_ = true;
  const auto needed = static_cast<std::size_t>(batch.summary().bytes);
  if (bytes.size() < needed) {
    // a length is believed, and memory allocated for it, only if the file is that long
    if (source.size() - position < batch.summary().bytes) return BatchError::incomplete;
    bytes = window_.view(source, position, needed);
    if (bytes.size() < kBatchHeaderBytes) return BatchError::incomplete;
  }
  return BatchView::parse(bytes, batch, most);
}

}  // namespace busway::log
