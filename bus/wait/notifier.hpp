// One thread of a session that sleeps on its bell on behalf of others: subscribers read through a descriptor,
// a callback or a coroutine, receipts that somebody awaits.
//
// A watcher is armed, found ready, fired once and forgotten; whoever wants more arms it again. Invariants: an
// armed watcher has announced itself; it is fired on the notifier's thread, with no lock held, after it was
// retracted; once disarm() has returned it is not fired any more (unless disarm() was called from its own
// fire()). The thread starts with the first arm() and costs nothing while nobody rings: its sleeps back off
// to seconds. Thread safety: every call from any thread.
#pragma once

#include <chrono>
#include <memory>

#include "bus/memory/atomics.hpp"

namespace busway::wait {

class Watcher {
 public:
  Watcher() = default;
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;
  virtual ~Watcher() = default;

  /// Sets or clears its sleeper bits: Sleeper::announce, Sleeper::retract.
  virtual void announce() noexcept = 0;
  virtual void retract() noexcept = 0;
  /// Is there something to do? Called by any thread, after announce().
  virtual bool ready() noexcept = 0;
  /// There is. Must not throw.
  virtual void fire() noexcept = 0;
  /// Nothing came for as long as the notifier sleeps at a time: a chance to look after the connection.
  virtual void idle() noexcept = 0;
};

class Notifier {
 public:
  /// The bell that the session sleeps on, kept mapped by the pointer. It may change when the session connects
  /// anew: set_bell().
  using Bell = std::shared_ptr<memory::Atomic32>;

  explicit Notifier(Bell bell);
  Notifier(const Notifier&) = delete;
  Notifier& operator=(const Notifier&) = delete;
  /// Watchers still armed are forgotten unfired. May run on the notifier's own thread.
  ~Notifier();

  void set_bell(Bell bell);
  /// Throws std::system_error when the thread cannot be started.
  void arm(const std::shared_ptr<Watcher>& watcher);
  /// Returns once the watcher is neither armed nor being fired.
  void disarm(const std::shared_ptr<Watcher>& watcher) noexcept;
  /// Is this the notifier's thread?
  bool on_own_thread() const noexcept;

 private:
  class State;
  std::shared_ptr<State> state_;  // shared with the thread, which may outlive this object by a moment
};

}  // namespace busway::wait
