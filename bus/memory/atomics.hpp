// The alias through which every shared word is accessed.
//
// The ring's algorithm (bus/ring) is templated on a policy like StdAtomics, so that the interleaving checker
// (tests/interleave) can drive it with atomics of its own, one access at a time.
//
// A policy has: u32, u64 (atomic words), kLeaseCells (how many a publisher keeps room for), kPrefetches,
// fence(order), restart() (see there), copies between private memory and frame bytes, and loads of a frame's
// words. Frame bytes race by design (a lapped reader copies bytes that are being overwritten, then throws the
// copy away); a policy for a checker or for the thread sanitizer makes them relaxed atomic words.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "bus/base/limits.hpp"

namespace busway::memory {

using Atomic32 = std::atomic<std::uint32_t>;
using Atomic64 = std::atomic<std::uint64_t>;
static_assert(Atomic32::is_always_lock_free && sizeof(Atomic32) == 4,
              "shared words must be plain machine words");
static_assert(Atomic64::is_always_lock_free && sizeof(Atomic64) == 8,
              "shared words must be plain machine words");

struct StdAtomics {
  using u32 = Atomic32;
  using u64 = Atomic64;
  static constexpr std::uint32_t kLeaseCells = limits::kSubscribersWithCells;

  /// Are loads that only tell what to prefetch made? They decide nothing: a checker does without.
  static constexpr bool kPrefetches = true;

  /// Stands where a loop starts over, having kept nothing of what it loaded: a checker may forget those loads
  /// too.
  static void restart() noexcept {}

  static void fence(std::memory_order order) noexcept {
#if defined(__SANITIZE_THREAD__)
    // GCC 12's thread sanitizer does not model fences: a read-modify-write of one word orders everything
    // through it.
    static std::atomic<std::uint64_t> word{0};
    (void)order;
    word.fetch_add(1, std::memory_order_acq_rel);
#else
    std::atomic_thread_fence(order);
#endif
  }

  /// Bytes out of a frame that its publisher may be overwriting.
#if defined(__SANITIZE_THREAD__)
  __attribute__((no_sanitize("thread")))
#endif
  static void
  copy_from_shared(void* to, const void* from, std::size_t bytes) noexcept {
#if defined(__SANITIZE_THREAD__)
    auto* out = static_cast<volatile unsigned char*>(to);
    auto* in = static_cast<const volatile unsigned char*>(from);
    for (std::size_t i = 0; i < bytes; ++i) out[i] = in[i];
#else
    std::memcpy(to, from, bytes);
#endif
  }

  /// The first words of a frame, each loaded once whatever the compiler makes of it: what is checked is what
  /// is used. relaxed: as every byte of a frame.
  template <std::size_t kWords>
  static std::array<std::uint64_t, kWords> load_shared(const std::byte* from) noexcept {
    const auto* const words = reinterpret_cast<const std::uint64_t*>(from);
    return [words]<std::size_t... i>(std::index_sequence<i...>) {  // a loop GCC would leave as one
      return std::array<std::uint64_t, kWords>{__atomic_load_n(words + i, __ATOMIC_RELAXED)...};
    }
    (std::make_index_sequence<kWords>());
  }

  /// Bytes into a frame that a lapped reader may be reading.
#if defined(__SANITIZE_THREAD__)
  __attribute__((no_sanitize("thread")))
#endif
  static void
  copy_to_shared(void* to, const void* from, std::size_t bytes) noexcept {
#if defined(__SANITIZE_THREAD__)
    auto* out = static_cast<volatile unsigned char*>(to);
    auto* in = static_cast<const volatile unsigned char*>(from);
    for (std::size_t i = 0; i < bytes; ++i) out[i] = in[i];
#else
    std::memcpy(to, from, bytes);
#endif
  }
};

}  // namespace busway::memory
