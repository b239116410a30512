// An actor's program as a graph that is built while it is walked: a node is a position (what was answered
// since the last checkpoint), its edges are the answers. Equal positions are one node, so states merge, and
// the code under test is run once for each node, not once for each state.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "tests/interleave/engine/recorder.hpp"

namespace busway::interleave {

/// One actor: its role's memory at the start (trivially copyable, kept at one address while it runs) and its
/// code.
struct Actor {
  std::string name;
  Kind kind = kEverybody;
  std::vector<std::byte> memory;
  Step (*step)(void*) = nullptr;
  bool may_crash = false;
  int successor_of = -1;  ///< starts when that actor crashes
  /// A step of it that ends in waiting has only looked, and it waits for nothing but what it looked at. So it
  /// need not look again before one of those words has changed: an execution with a look in vain is, for
  /// everybody else, one without it.
  bool waits_by_looking = true;
};

/// Makes an actor of a role: a trivially copyable struct with Step step().
template <class Role>
Actor actor_of(std::string name, Kind kind, const Role& role, bool may_crash, int successor_of = -1) {
  static_assert(std::is_trivially_copyable_v<Role> && std::is_trivially_destructible_v<Role>);
  Actor actor{.name = std::move(name),
              .kind = kind,
              .memory = std::vector<std::byte>(sizeof(Role)),
              .step = [](void* memory) { return static_cast<Role*>(memory)->step(); },
              .may_crash = may_crash,
              .successor_of = successor_of};
  std::copy_n(reinterpret_cast<const std::byte*>(&role), sizeof(Role), actor.memory.data());
  return actor;
}

/// Where an answer leads.
struct Target {
  std::uint32_t node = 0;
  Step after = Step::again;  ///< what the role said when a step ended there; again otherwise
  bool boundary = false;     ///< a step ended there
  std::uint64_t looked = 0;  ///< bit per location: what the step that ended there had loaded
};

class Programs {
 public:
  Programs(std::vector<Actor> actors, Recorder& recorder);

  const std::vector<Actor>& actors() const noexcept { return actors_; }
  Target start(std::size_t actor) const { return starts_[actor]; }
  const Access& pending(std::uint32_t node) const { return nodes_[node].pending; }
  Target after(std::uint32_t node, std::uint64_t answer);
  /// Bit per location: what has been loaded since the step began that the node is in.
  std::uint64_t looked(std::uint32_t node) const { return nodes_[node].looked; }
  std::size_t nodes() const noexcept { return nodes_.size(); }

 private:
  struct Node {
    std::uint64_t answer = 0;
    std::uint32_t parent = 0;
    std::uint32_t checkpoint = 0;
    std::uint16_t depth = 0;  ///< answers since the checkpoint
    std::uint8_t actor = 0;
    Access pending;
    std::uint64_t looked = 0;
  };
  struct Key {
    std::uint32_t node;
    std::uint64_t answer;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const noexcept {
      return static_cast<std::size_t>(
          (key.answer ^ (std::uint64_t{key.node} << 32)) * 0x9e3779b97f4a7c15ULL >> 7);
    }
  };

  std::uint32_t checkpoint_of(std::vector<std::byte> memory);
  /// The position where `actor` begins a step with the memory of `checkpoint`.
  Target root(std::size_t actor, std::uint32_t checkpoint);
  /// Runs from the checkpoint with `answers`; the memory afterwards is in arena(actor).
  Ran run(std::size_t actor, std::uint32_t checkpoint, const std::vector<std::uint64_t>& answers);
  std::byte* arena(std::size_t actor) noexcept { return arenas_.data() + actor * kArena; }
  std::vector<std::byte> arena_memory(std::size_t actor);

  static constexpr std::size_t kArena = 8192;
  std::vector<Actor> actors_;
  Recorder* recorder_;
  std::vector<std::byte> arenas_;
  std::vector<Target> starts_;
  std::vector<Node> nodes_;
  std::unordered_map<Key, Target, KeyHash> edges_;
  std::vector<std::vector<std::byte>> checkpoints_;
  std::unordered_multimap<std::uint64_t, std::uint32_t> checkpoint_numbers_;
  std::unordered_map<std::uint64_t, Target> roots_;
};

}  // namespace busway::interleave
