#include "bus/control/fork_mark.hpp"

#include <new>

#include <sys/mman.h>
#include <unistd.h>

#include <busway/error.hpp>

#include "bus/base/fd.hpp"

namespace busway::control {
namespace {

/// Lies in ordinary memory: a child inherits its value, so its own mark is one that no ancestor has.
std::atomic<std::uint64_t> next_mark{1};

std::atomic<std::uint64_t>* make_word() {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  void* memory = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw_errno("mmap of the page that tells a forked child");
  if (::madvise(memory, page, MADV_WIPEONFORK) != 0) {
    const int error = errno;
    ::munmap(memory, page);
    throw_errno("madvise(MADV_WIPEONFORK)", error);
  }
  return new (memory) std::atomic<std::uint64_t>(0);
}

}  // namespace

namespace detail {

std::atomic<std::uint64_t>& fork_word() {
  static std::atomic<std::uint64_t>* const word = make_word();
  return *word;
}

}  // namespace detail

ForkMark::ForkMark() : word_(&detail::fork_word()), value_(word_->load(std::memory_order_relaxed)) {
  if (value_ != 0) return;
  // Several threads may make the process's first mark: one value wins, the others take it.
  // relaxed: only the value itself is agreed upon.
  const std::uint64_t fresh = next_mark.fetch_add(1, std::memory_order_relaxed);
  if (word_->compare_exchange_strong(value_, fresh, std::memory_order_relaxed)) value_ = fresh;
}

void ForkMark::check() const {
  if (!forked()) return;
  throw Error(errc::forked,
              "this Busway session was opened by the parent process; a forked child must connect anew with "
              "busway::connect() and make its own publishers and subscribers");
}

}  // namespace busway::control
