// Tells a process from its forked children: a word in a page that the kernel wipes in every child
// (MADV_WIPEONFORK), so that no pid has to be asked for or compared.
//
// Thread safety: every call is safe from any thread. What costs: one load.
#pragma once

#include <atomic>
#include <cstdint>

namespace busway::control {

namespace detail {
/// The word in the wiped page; made once, never unmapped. Throws errc::io.
std::atomic<std::uint64_t>& fork_word();
}  // namespace detail

/// Remembers the process in which it was made.
class ForkMark {
 public:
  ForkMark();
  /// Whether this is a forked child of that process.
  bool forked() const noexcept {
    // relaxed: the kernel wipes the word before the child runs; nothing else is ordered by it.
    return word_->load(std::memory_order_relaxed) != value_;
  }
  /// Throws errc::forked, saying what to do instead.
  void check() const;

 private:
  std::atomic<std::uint64_t>* word_;
  std::uint64_t value_;
};

}  // namespace busway::control
