// One session's view of `bells`: its own sleep word, everybody else's, the daemon's.
//
// Every client can write here: an index read from shared memory is checked before it is used, and nothing
// worse than a lost or a spurious wake can come of what others write. Thread safety: a view is a value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "bus/memory/bells_layout.hpp"

namespace busway::wait {

struct BellsView {
  memory::BellsHeader* header = nullptr;
  memory::Bell* bells = nullptr;
  std::uint32_t sessions = 0;
  std::uint32_t own_session = 0;

  /// The word that this session's threads sleep on.
  memory::Atomic32& own() const noexcept { return bells[own_session].word; }
};

/// A view of mapped bells; nothing if what the header claims, or the session's number, cannot be true.
inline std::optional<BellsView> view_bells(memory::BellsHeader* header, std::size_t mapped_bytes,
                                           std::uint32_t own_session) noexcept {
  if (mapped_bytes < sizeof(memory::BellsHeader)) return std::nullopt;
  // One copy: clients can write here.
  const std::uint64_t sessions = header->identity.item_count;
  if (sessions > limits::kSessionsMost || own_session >= sessions ||
      memory::bells_bytes(static_cast<std::uint32_t>(sessions)) > mapped_bytes)
    return std::nullopt;
  return BellsView{.header = header,
                   .bells = memory::bells_of(header),
                   .sessions = static_cast<std::uint32_t>(sessions),
                   .own_session = own_session};
}

}  // namespace busway::wait
