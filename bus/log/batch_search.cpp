#include "bus/log/batch_search.hpp"

#include <algorithm>
#include <cstring>

#include "bus/base/fd.hpp"
#include "bus/base/limits.hpp"

namespace busway::log {
namespace {

constexpr std::size_t kWindow = limits::kMiB;
constexpr std::size_t kLoaderWindow = 64 * limits::kKiB;
constexpr std::size_t kMagicAt = offsetof(BatchHeader, magic);

void check(int io_error) {
  if (io_error != 0) throw_errno("reading a log segment", io_error);
}

}  // namespace

bool search_accepts(const BatchView& batch, const SearchRules& rules) noexcept {
  if (batch.base_offset() < rules.least_offset || batch.next_offset() > rules.offset_limit) return false;
  if (rules.leader_epoch >= 0 && batch.leader_epoch() != rules.leader_epoch) return false;
  if (rules.foreign) return true;
  const BatchHeader& header = batch.header();
  return header.producer_id.get() == kNoProducerId && header.producer_epoch.get() == kNoProducerEpoch &&
         header.base_sequence.get() == kNoSequence && (header.attributes.get() & ~kCodecMask) == 0;
}

BatchSearch::BatchSearch(const ByteSource& source, std::int64_t size)
    : source_(source), size_(size), window_(kWindow), loader_(kLoaderWindow) {}

FoundBatch BatchSearch::find(std::int64_t from, const SearchRules& rules, FoundBatch first) {
  FoundBatch found = first ? first : scan(from, rules);
  while (found) {
    const Chain chain = follow(found, rules);
    if (chain.whole) return found;
    const FoundBatch later = scan(chain.position, rules);
    if (!later || !contradicts(later, chain, rules)) return found;
    found = later;
  }
  return found;
}

// Base offsets lie outside the CRC. Two batches side by side whose offsets do not meet: one has a damaged
// offset. The later one has the right one if it is below the other's end, or if the batch behind it goes on
// from there.
bool BatchSearch::contradicts(const FoundBatch& later, const Chain& chain, const SearchRules& rules) {
  if (later.base_offset < chain.next_offset) return true;
  const bool side_by_side = later.position == chain.position && later.base_offset != chain.next_offset;
  return side_by_side && !rules.gaps && chain.batches == 1 && follow(later, rules).batches > 1;
}

FoundBatch BatchSearch::scan(std::int64_t from, const SearchRules& rules) {
  constexpr auto kHeader = static_cast<std::int64_t>(kBatchHeaderBytes);
  while (from + kHeader <= size_) {
    // a header can begin up to 60 bytes before data that follows a hole
    const std::int64_t data = source_.data_from(from);
    from = std::max(from, data - kHeader);
    const auto bytes = window_.view(source_, from, kBatchHeaderBytes);
    check(window_.error());
    if (bytes.size() < kBatchHeaderBytes) return {};
    const std::size_t starts = bytes.size() - kBatchHeaderBytes + 1;
    for (std::size_t at = 0; at < starts; ++at) {
      const void* hit = std::memchr(bytes.data() + at + kMagicAt, kMagic, starts - at);
      if (hit == nullptr) break;
      at = static_cast<std::size_t>(static_cast<const std::byte*>(hit) - bytes.data()) - kMagicAt;
      const auto position = from + static_cast<std::int64_t>(at);
      if (const FoundBatch found = try_at(position, bytes.subspan(at), rules)) return found;
    }
    from += static_cast<std::int64_t>(starts);
  }
  return {};
}

FoundBatch BatchSearch::try_at(std::int64_t position, std::span<const std::byte> bytes,
                               const SearchRules& rules) {
  BatchView batch;
  if (BatchView::parse_header(bytes, batch, rules.batch_bytes_most) != BatchError::none) return {};
  if (!search_accepts(batch, rules) || position + batch.summary().bytes > size_) return {};
  const BatchError error = loader_.load(source_, position, rules.batch_bytes_most, batch);
  check(loader_.io_error());
  return error == BatchError::none ? FoundBatch{position, batch.base_offset()} : FoundBatch{};
}

BatchSearch::Chain BatchSearch::follow(FoundBatch from, const SearchRules& rules) {
  Chain chain{from.position, from.base_offset, 0, false};
  while (chain.position < size_) {
    const auto bytes = window_.view(source_, chain.position, kBatchHeaderBytes);
    check(window_.error());
    const auto head = bytes.first(std::min(bytes.size(), kBatchHeaderBytes));
    if (std::all_of(head.begin(), head.end(), [](std::byte byte) { return byte == std::byte{0}; })) {
      chain.whole = data_end(chain.position) == chain.position;
      return chain;
    }
    BatchView batch;
    if (BatchView::parse_header(head, batch, rules.batch_bytes_most) != BatchError::none) return chain;
    if (batch.follows(chain.next_offset, -1, rules.gaps) != BatchError::none || !search_accepts(batch, rules))
      return chain;
    chain.position += batch.summary().bytes;  // beyond the end: a torn batch, which is an end as well
    chain.next_offset = batch.next_offset();
    ++chain.batches;
  }
  chain.whole = true;
  return chain;
}

std::int64_t BatchSearch::data_end(std::int64_t from) {
  std::int64_t end = from;
  for (std::int64_t at = source_.data_from(from); at < size_; at = source_.data_from(at)) {
    const auto bytes = window_.view(source_, at, 1);
    check(window_.error());
    if (bytes.empty()) break;
    const auto last =
        std::find_if(bytes.rbegin(), bytes.rend(), [](std::byte byte) { return byte != std::byte{0}; });
    if (last != bytes.rend()) end = at + (bytes.rend() - last);
    at += std::ssize(bytes);
  }
  return std::min(end, size_);
}

}  // namespace busway::log
