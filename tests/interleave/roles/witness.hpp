// What must hold, watched from outside: the witness sees every access as it happens, with the newest values,
// and keeps notes that no actor can see. Its rules are the ring's invariants (docs/ring.md).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "bus/ring/slot.hpp"
#include "tests/interleave/engine/explorer.hpp"
#include "tests/interleave/roles/world.hpp"

namespace busway::interleave {

/// What the roles tell the witness, or ask it.
enum class Report : std::uint8_t {
  read,          ///< reader took (offset, id in the body | id in the header << 32)
  looked,        ///< reader saw the same in place, and its lease was valid afterwards
  lost,          ///< reader of a memory topic goes on at the second offset
  read_log,      ///< asks for the record at (offset), which is below `written`; answer: its id
  registered,    ///< reader of overflow=block: guaranteed from (offset) on
  drained,       ///< worker has the record (offset, ids) on disk
  log_short,     ///< reader was told that (offset) is reclaimed, and does not see that it is written
  drain_behind,  ///< worker met an offset that was reclaimed before it was drained
  disk_end,      ///< asks for the end of the log on disk
  deaths,        ///< asks whether anybody has crashed
  entered,       ///< publisher entered the ring of (generation) whose base is (offset)
  corrupt,       ///< something said: corrupt, bad frame, unknown lane
};

inline void tell(Report what, std::uint64_t first, std::uint64_t second = 0) noexcept {
  Checked::report(static_cast<std::uint8_t>(what), first, second);
}
inline std::uint64_t ask(Report what, std::uint64_t first = 0) noexcept {
  return Checked::report(static_cast<std::uint8_t>(what), first);
}

/// Who is who in a scenario; -1: there is none.
struct Cast {
  std::array<int, 2> publishers{0, 1};
  int reader = -1;
  int worker = -1;
  int heir = -1;  ///< the next worker
};

template <class Memory>
class Witness {
 public:
  struct Notes {
    std::array<std::uint8_t, kOffsetsMost> committed{};  ///< offset -> record id
    std::array<std::uint8_t, kLanesMost + 1> last{};     ///< publisher -> its last record id
    std::array<std::array<std::uint8_t, 8>, kLanesMost>
        frames{};                                         ///< room -> 1 + offset committed last from there
    std::array<std::uint8_t, kLanesMost * 8> rings_of{};  ///< likewise -> its ring
    std::array<std::uint8_t, 2> fences{};                 ///< ring -> 1 + place
    std::uint8_t end = 0;                                 ///< of the log
    std::uint8_t drained = 0;
    std::uint8_t next = 0;  ///< of the reader
    std::uint8_t guaranteed = 0xff;
    std::uint8_t crashed = 0;
    std::array<std::uint8_t, 2> reclaimed{};  ///< of each ring
  };
  static_assert(std::has_unique_object_representations_v<Notes>);

  Witness(const World& world, Cast cast, bool frozen) : world_(&world), cast_(cast), frozen_(frozen) {}

  void accessed(Notes& notes, const Memory& memory, std::size_t actor, const Access& access,
                std::uint64_t answer) const;
  std::uint64_t report(Notes& notes, const Memory& memory, std::size_t actor, const Access& access) const;
  void crashed(Notes& notes, std::size_t actor) const {
    notes.crashed |= static_cast<std::uint8_t>(1U << actor);
  }
  std::string end(const Notes& notes, const std::array<Status, kActorsMost>& status) const;

 private:
  void slot_set(Notes& notes, const Memory& memory, const Access& access) const;
  void record_committed(Notes& notes, const Memory& memory, std::uint32_t ring, std::uint64_t offset,
                        std::uint64_t word) const;
  void fence_set(Notes& notes, std::uint32_t ring, std::uint64_t offset) const;
  void reclaimed_moved(Notes& notes, const Memory& memory, const Access& access) const;
  void frame_begun(const Notes& notes, const Memory& memory, const Access& access) const;
  void took(const Notes& notes, std::uint64_t offset, std::uint64_t ids, const char* who) const;

  std::uint64_t base_of(const Memory& memory, std::uint32_t ring) const {
    return memory.newest(world_->rings[ring].base_word->location());
  }
  /// Up to where whoever sleeps must have come: what a publisher set and then was frozen before it could wake
  /// does not count, unless another one's record lies behind it.
  std::uint64_t announced(const Notes& notes) const;
  std::uint64_t end_of(const Notes& notes, std::uint32_t ring) const {
    return notes.fences[ring] != 0 ? notes.fences[ring] - 1U : notes.end;
  }
  bool gone(const Notes& notes, int actor) const { return actor < 0 || ((notes.crashed >> actor) & 1U) != 0; }
  static void require(bool holds, const char* invariant) {
    if (!holds) throw Broken(invariant);
  }

  const World* world_;
  Cast cast_;
  bool frozen_;
};

}  // namespace busway::interleave
