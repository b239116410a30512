// The two memories that programs run on: sequentially consistent, and release/acquire with stale reads.
//
// A model executes one access of one actor and says what it returned. Where more than one outcome is allowed
// it counts them, and the explorer asks for each: outcome 0 is always the newest value.
#pragma once

#include <array>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "tests/interleave/engine/access.hpp"

namespace busway::interleave {

/// What an access did.
struct Effect {
  std::uint64_t answer = 0;
  std::uint32_t outcomes = 1;  ///< how many there are
  bool wrote = false;          ///< a word has a new newest value
  bool stale = false;          ///< what was read was not the newest value
};

using Kinds = std::array<std::uint8_t, kActorsMost>;

/// The value that a read-modify-write leaves.
std::uint64_t modified(const Access& access, std::uint64_t before) noexcept;

/// Every access happens at once, for everybody.
class SequentialMemory {
 public:
  static constexpr const char* kName = "sequentially consistent";
  static constexpr bool kWeak = false;

  explicit SequentialMemory(const Locations& locations);
  Effect apply(std::size_t actor, const Access& access, std::uint32_t outcome);
  std::uint64_t newest(std::size_t location) const noexcept { return values_[location]; }
  void store_newest(std::size_t /*actor*/, std::size_t location, std::uint64_t value) {
    values_[location] = value;
  }
  /// Is the access without effect on others, now and ever?
  static bool invisible(const Access& access) noexcept { return access.op == Op::fence; }
  bool up_to_date(std::size_t) const noexcept { return true; }
  void bring_up_to_date(std::size_t) noexcept {}
  void forget_actor(std::size_t) noexcept {}
  void inherit(std::size_t, std::size_t) noexcept {}
  void tidy(const Locations&, const Kinds&) noexcept {}
  void hash(Hasher& hasher) const noexcept { hasher.feed(values_.data(), used_ * sizeof values_[0]); }

 private:
  std::array<std::uint64_t, kLocationsMost> values_{};
  std::size_t used_;
};

/// For each location a time stamp: "sees everything up to here".
struct View {
  alignas(16) std::array<std::uint8_t, kLocationsMost> at{};
  void join(const View& other) noexcept {
    for (std::size_t i = 0; i < kLocationsMost; ++i) at[i] = at[i] < other.at[i] ? other.at[i] : at[i];
  }
  friend bool operator==(const View&, const View&) = default;
};

/// C++'s release/acquire as an operational machine (the promise-free view machine of Kang et al., "A
/// promising semantics for relaxed-memory concurrency", POPL 2017, with C++20's seq_cst accesses and fences
/// over one global view): each location keeps its modification order, each actor the oldest entry of each
/// that it may still read; a message carries what its writer had released. Loads may be stale, stores may
/// land before others' in the modification order, a read-modify-write reads its direct predecessor. Load
/// buffering is not modelled.
class ViewMemory {
 public:
  static constexpr const char* kName = "release/acquire views";
  static constexpr bool kWeak = true;

  explicit ViewMemory(const Locations& locations);
  ViewMemory(const ViewMemory& other) noexcept { *this = other; }
  ViewMemory& operator=(const ViewMemory& other) noexcept;  ///< only as many messages as there are
  Effect apply(std::size_t actor, const Access& access, std::uint32_t outcome);
  std::uint64_t newest(std::size_t location) const noexcept {
    return messages_[begin_[location + 1] - 1U].value;
  }
  void store_newest(std::size_t actor, std::size_t location, std::uint64_t value);
  /// Fences but seq_cst ones touch the actor's own views only.
  static bool invisible(const Access& access) noexcept {
    return access.op == Op::fence && access.order != std::memory_order_seq_cst;
  }
  bool up_to_date(std::size_t actor) const noexcept;
  /// Time has passed: every store has reached it.
  void bring_up_to_date(std::size_t actor) noexcept;
  void forget_actor(std::size_t actor) noexcept { threads_[actor] = {}; }
  /// A new process starts that knows what a reaped one knew.
  void inherit(std::size_t actor, std::size_t from) noexcept { threads_[actor] = threads_[from]; }
  /// Drops what nobody can read any more. `alive`: kinds of the actors, 0 for who is not.
  void tidy(const Locations& locations, const Kinds& alive);
  void hash(Hasher& hasher) const;

 private:
  struct Message {
    std::uint64_t value = 0;
    std::uint32_t view = 0;      ///< number in the table of views: what its writer released
    std::uint32_t attached = 0;  ///< 1: a read-modify-write of its predecessor: nothing may come between
  };
  struct Thread {
    View current;
    View acquired;  ///< what an acquire fence would make current
    View released;  ///< what relaxed stores release: current at the last release fence
  };
  static constexpr std::size_t kMessagesMost = 224;

  std::uint8_t newest_time(std::size_t location) const noexcept {
    return static_cast<std::uint8_t>(first_.at[location] + begin_[location + 1] - begin_[location] - 1);
  }
  Message& message(std::size_t location, std::uint8_t time) noexcept {
    return messages_[begin_[location] + std::size_t{time} - first_.at[location]];
  }
  const Message& message(std::size_t location, std::uint8_t time) const noexcept {
    return messages_[begin_[location] + std::size_t{time} - first_.at[location]];
  }
  std::uint8_t lower_bound(const Thread& thread, const Access& access,
                           std::memory_order order) const noexcept;
  void read(Thread& thread, std::size_t location, std::uint8_t time, std::memory_order order);
  Effect load(Thread& thread, const Access& access, std::uint32_t outcome);
  Effect store(Thread& thread, const Access& access, std::uint32_t outcome);
  Effect update(Thread& thread, const Access& access, std::uint32_t outcome);
  void fence(Thread& thread, std::memory_order order) noexcept;
  /// Puts a message behind `time` in the modification order and makes the writer see it.
  bool insert(Thread& thread, const Access& access, std::uint8_t time, std::uint64_t value, bool attached);
  void drop_below(const View& least);
  void shift_times(std::size_t location, std::uint8_t from);

  std::array<std::uint8_t, kLocationsMost + 1> begin_{};  ///< of each location's messages
  View first_;                                            ///< time stamp of its first one
  View sequential_;                                       ///< what seq_cst accesses and fences have in common
  std::array<Thread, kActorsMost> threads_{};
  std::array<Message, kMessagesMost> messages_;
  std::uint8_t locations_;
};

}  // namespace busway::interleave
