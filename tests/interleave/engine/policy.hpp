// The atomics policy of the checker: words are numbers of locations, every access asks the recorder.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <source_location>

#include "tests/interleave/engine/recorder.hpp"

namespace busway::interleave {

struct Checked {
  using Where = std::source_location;

  /// Stands for an atomic word of T.
  template <class T>
  class Word {
   public:
    Word() = default;
    explicit Word(std::uint8_t location) noexcept : location_(location) {}
    std::uint8_t location() const noexcept { return location_; }

    T load(std::memory_order order, Where where = Where::current()) const noexcept {
      return ask(Op::load, order, 0, 0, where);
    }
    void store(T value, std::memory_order order, Where where = Where::current()) const noexcept {
      ask(Op::store, order, value, 0, where);
    }
    T exchange(T value, std::memory_order order, Where where = Where::current()) const noexcept {
      return ask(Op::exchange, order, value, 0, where);
    }
    T fetch_add(T value, std::memory_order order, Where where = Where::current()) const noexcept {
      return ask(Op::fetch_add, order, value, 0, where);
    }
    T fetch_or(T value, std::memory_order order, Where where = Where::current()) const noexcept {
      return ask(Op::fetch_or, order, value, 0, where);
    }
    T fetch_and(T value, std::memory_order order, Where where = Where::current()) const noexcept {
      return ask(Op::fetch_and, order, value, 0, where);
    }
    bool compare_exchange_strong(T& expected, T desired, std::memory_order success, std::memory_order failure,
                                 Where where = Where::current()) const noexcept {
      const T before = ask(Op::cas, success, desired, expected, where, failure);
      const bool swapped = before == expected;
      expected = before;
      return swapped;
    }
    /// FUTEX_WAIT and FUTEX_WAKE on this word.
    void futex_wait(T expected, Where where = Where::current()) const noexcept {
      ask(Op::futex_wait, std::memory_order_relaxed, 0, expected, where);
    }
    void futex_wake(Where where = Where::current()) const noexcept {
      ask(Op::futex_wake, std::memory_order_relaxed, 0, 0, where);
    }

   private:
    T ask(Op op, std::memory_order order, T operand, T expected, const Where& where,
          std::memory_order failure = std::memory_order_relaxed) const noexcept {
      return static_cast<T>(Recorder::current().perform({.op = op,
                                                         .location = location_,
                                                         .order = order,
                                                         .failure = failure,
                                                         .operand = operand,
                                                         .expected = expected},
                                                        where));
    }
    std::uint8_t location_ = 0;
  };
  using u32 = Word<std::uint32_t>;
  using u64 = Word<std::uint64_t>;
  static constexpr std::uint32_t kLeaseCells = 2;
  static constexpr bool kPrefetches = false;

  static void restart(Where where = Where::current()) noexcept { Recorder::current().restart(where); }
  static void fence(std::memory_order order, Where where = Where::current()) noexcept {
    Recorder::current().perform({.op = Op::fence, .order = order}, where);
  }

  /// Lanes are kFrame-byte cells, each a location: copies start at a cell's first byte.
  static constexpr std::size_t kFrame = 32;
  static void copy_from_shared(void* to, const void* from, std::size_t bytes,
                               Where where = Where::current()) noexcept {
    auto* out = static_cast<std::byte*>(to);
    const auto* in = static_cast<const std::byte*>(from);
    for (std::size_t done = 0; done < bytes; done += kFrame) {
      const std::uint64_t number =
          Recorder::current().perform({.op = Op::load, .location = location_of(in + done)}, where);
      std::memcpy(out + done, Recorder::current().frame(number).data(), std::min(kFrame, bytes - done));
    }
  }
  template <std::size_t kWords>
  static std::array<std::uint64_t, kWords> load_shared(const std::byte* from,
                                                       Where where = Where::current()) noexcept {
    std::array<std::uint64_t, kWords> words;
    copy_from_shared(words.data(), from, sizeof words, where);
    return words;
  }
  static void copy_to_shared(void* to, const void* from, std::size_t bytes,
                             Where where = Where::current()) noexcept {
    auto* out = static_cast<std::byte*>(to);
    const auto* in = static_cast<const std::byte*>(from);
    for (std::size_t done = 0; done < bytes; done += kFrame) {
      const std::uint64_t number =
          Recorder::current().frame_number(in + done, std::min(kFrame, bytes - done));
      Recorder::current().perform({.op = Op::store, .location = location_of(out + done), .operand = number},
                                  where);
    }
  }

  static std::uint64_t choose(std::uint64_t outcomes, Where where = Where::current()) noexcept {
    return Recorder::current().perform({.op = Op::choose, .operand = outcomes}, where);
  }
  static std::uint64_t report(std::uint8_t kind, std::uint64_t first, std::uint64_t second = 0,
                              Where where = Where::current()) noexcept {
    return Recorder::current().perform(
        {.op = Op::report, .location = kind, .operand = first, .expected = second}, where);
  }

  /// The address space of the lanes: nothing is ever stored in it, an address names a cell.
  static constexpr std::size_t kLaneCells = 64;
  alignas(64) static inline std::byte lane_space[kLaneCells * kFrame];
  static inline std::uint8_t lane_locations[kLaneCells];

 private:
  static std::uint8_t location_of(const std::byte* at) noexcept {
    return lane_locations[static_cast<std::size_t>(at - lane_space) / kFrame];
  }
};

}  // namespace busway::interleave
