#include "bus/wait/waker.hpp"

#include "bus/wait/futex.hpp"

namespace busway::wait {
namespace {

void ring_bell(memory::Atomic32& bell) noexcept {
  // relaxed: the value only has to differ from what the sleeper loaded; the futex orders the rest.
  bell.fetch_add(1, std::memory_order_relaxed);
  futex_wake_all(bell);
}

}  // namespace

void Waker::wake_sleepers(const Sleepers& sleepers) const noexcept {
  ring::wake_all<memory::StdAtomics>(sleepers, [this](std::uint32_t bit) {
    // relaxed: written by the daemon before the sleeper was told its bit; a stale value costs one wake.
    const std::uint32_t session =
        memory::marks_tables(marks_)->sleeper_session[bit].load(std::memory_order_relaxed);
    if (session != 0) ring_session(session - 1);
  });
}

void Waker::ring_session(std::uint32_t session) const noexcept {
  if (session < bells_.sessions) ring_bell(bells_.bells[session].word);
}

void Waker::ring_daemon() const noexcept { ring_bell(bells_.header->daemon_bell); }

void Waker::request_sync(std::uint32_t ordinal) const noexcept {
  if (ordinal >= limits::kPartitionsPerDaemon) return;
  memory::BellsHeader& header = *bells_.header;
  const std::uint64_t bit = std::uint64_t{1} << (ordinal % 64);
  // seq_cst, both: before the load of daemon_asleep. The dirty bit, too: it is what the daemon looks at
  // before it sleeps.
  header.sync[ordinal / 64].fetch_or(bit, std::memory_order_seq_cst);
  header.dirty[ordinal / 64].fetch_or(bit, std::memory_order_seq_cst);
  // seq_cst: after our bits; pairs with daemon_sleep()'s exchange.
  if (header.daemon_asleep.load(std::memory_order_seq_cst) != 0) ring_daemon();
}

}  // namespace busway::wait
