// futex(2) on words in shared memory. Never FUTEX_PRIVATE: waiter and waker are different processes.
#pragma once

#include <chrono>
#include <cstdint>

#include "bus/memory/atomics.hpp"

namespace busway::wait {

/// Sleeps while `word` is `expected`, at most `bound`. Returns for any reason: the caller re-checks what it
/// waits for.
void futex_wait(const memory::Atomic32& word, std::uint32_t expected,
                std::chrono::nanoseconds bound) noexcept;

/// Wakes everybody who sleeps on `word`.
void futex_wake_all(memory::Atomic32& word) noexcept;

}  // namespace busway::wait
