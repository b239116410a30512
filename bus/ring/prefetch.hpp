// Asking for a cache line before it is needed. A hint: it changes nothing that anybody can see, and any
// address will do.
//
// A publisher's CAS waits until the stores before it have left the core, and they wait for lines that the
// last reader still shares: without this each publish pays that in full (60 ns between distant cores), with
// it the lines of the next few frames are on their way meanwhile.
#pragma once

namespace busway::ring {

/// `at`'s line will be written soon by this core.
inline void prefetch_to_write(const void* at) noexcept {
#if defined(__x86_64__)
  // GCC turns __builtin_prefetch(at, 1) into a prefetch for reading unless it is told of the CPU; every
  // x86-64 takes this one, those that do not know it as a no-op.
  asm volatile("prefetchw %a0" : : "p"(at));
#else
  __builtin_prefetch(at, 1);
#endif
}

/// `at`'s line will be read soon by this core.
inline void prefetch_to_read(const void* at) noexcept {
#if defined(__x86_64__)
  // A function of nothing but __builtin_prefetch has no effect that GCC 12 knows of: it drops the calls.
  asm volatile("prefetcht0 %a0" : : "p"(at));
#else
  __builtin_prefetch(at, 0);
#endif
}

}  // namespace busway::ring
