// Explores every interleaving of some actors, depth first, equal states merged, up to a number of preemptions
// and crashes.
//
// A state is the memory, the actors' positions and the witness's notes; it is remembered by a 64-bit hash
// (two states of one hash would be taken for one: at 10^7 states the odds are about 3 in a million). A
// preemption is a switch away from an actor that could go on. A crash is a move of the actor that is about to
// make an access; an actor that is frozen for ever is one that crashed without anybody being told, one that
// is frozen for a while is one that was preempted. Checked: whatever the witness says about each write,
// report and end, and that from every state an end that the witness accepts can still be reached (nobody is
// stuck, no wake is lost, nothing goes round for ever).
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/interleave/engine/access.hpp"
#include "tests/interleave/engine/memory_models.hpp"
#include "tests/interleave/engine/program.hpp"
#include "tests/interleave/engine/state_table.hpp"

namespace busway::interleave {

/// Thrown by a witness: the invariant that does not hold.
struct Broken : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Bounds {
  unsigned preemptions = 3;
  unsigned crashes = 0;
  bool frozen =
      false;  ///< a crash is a stop for ever that nobody is told of: sleeps stay unbounded, no heir comes
  std::uint64_t states = std::numeric_limits<std::uint32_t>::max();  ///< give up beyond
};

struct Verdict {
  std::string broken;              ///< empty: nothing was found
  std::vector<std::string> trace;  ///< of what was found, one access a line
  bool complete = false;           ///< every state within the bounds was seen
  std::uint64_t states = 0;
  std::uint64_t transitions = 0;
  std::uint64_t executions = 0;  ///< paths to an end or to a state that was known
  std::vector<std::pair<std::string, std::uint64_t>> crashes;  ///< moves that crashed each actor
  std::uint64_t ends = 0;                                      ///< distinct ends
  std::size_t deepest = 0;
  std::size_t positions = 0;  ///< of all programs together
  double seconds = 0;
};

enum class Status : std::uint8_t {
  ready,
  wait,        ///< until somebody changes a word
  wait_stale,  ///< likewise, having looked at old values: time shows it the newest
  wait_time,   ///< until somebody changes a word or time passes
  asleep,      ///< on a bell
  finished,
  crashed,
  absent  ///< not yet born
};
constexpr bool waits(Status status) noexcept { return status >= Status::wait && status <= Status::wait_time; }

/// Witness: a class with a trivially copyable `Notes`, and
///   void accessed(Notes&, const Memory&, std::size_t actor, const Access&, std::uint64_t answer) after each
///   access std::uint64_t report(Notes&, const Memory&, std::size_t actor, const Access&) void
///   crashed(Notes&, std::size_t actor) std::string end(const Notes&, const std::array<Status, kActorsMost>&)
///   when nobody can go on: empty if all is well
/// of which the first two may throw Broken.
template <class Memory, class Witness>
class Explorer {
 public:
  Explorer(const Locations& locations, Programs& programs, const Witness& witness, Bounds bounds)
      : locations_(&locations), programs_(&programs), witness_(&witness), bounds_(bounds) {
    for (std::size_t location = 0; location < locations.size(); ++location)
      if (locations[location].place == Place::pidfd)
        pidfds_[locations[location].index] = static_cast<int>(location);
  }

  Verdict run() {
    const auto start = std::chrono::steady_clock::now();
    State first(*locations_);
    try {
      begin(first);
      remember(first, 0, {});
      stack_.push_back({first, 0});
      while (!stack_.empty() && table_.size() < bounds_.states) step_down();
      verdict_.complete = stack_.empty();
      if (verdict_.complete) find_stuck();
    } catch (const std::exception& broken) {
      verdict_.broken = broken.what();
    }
    if (!verdict_.broken.empty()) retrace(first);
    verdict_.states = table_.size();
    verdict_.positions = programs_->nodes();
    for (std::size_t actor = 0; actor < actors(); ++actor)
      if (programs_->actors()[actor].may_crash)
        verdict_.crashes.emplace_back(programs_->actors()[actor].name, crashes_[actor]);
    verdict_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return verdict_;
  }

 private:
  struct State {
    explicit State(const Locations& locations) : memory(locations) {}
    std::array<std::uint32_t, kActorsMost> node{};
    std::array<Status, kActorsMost> status{};
    std::uint8_t current = kNobody;
    std::uint8_t preemptions_left = 0;
    std::uint8_t crashes_left = 0;
    std::uint8_t stirred = 0;  ///< bit per actor: somebody else changed a word that its step had looked at
    std::uint8_t stale = 0;    ///< bit per actor: it has read an old value since its step began
    std::array<std::uint64_t, kActorsMost> watched{};  ///< bit per location: whose change ends its waiting
    typename Witness::Notes notes{};
    Memory memory;
  };
  struct Frame {
    State state;
    std::uint32_t number;
    std::uint8_t actor = 0;
    std::uint32_t outcome = 0;
    bool leaf = true;
  };
  static constexpr std::uint8_t kNobody = 0xff;
  static constexpr std::uint64_t kAll = ~std::uint64_t{0};

  std::size_t actors() const noexcept { return programs_->actors().size(); }

  void begin(State& state) {
    state.status.fill(Status::absent);
    state.preemptions_left = static_cast<std::uint8_t>(bounds_.preemptions);
    state.crashes_left = static_cast<std::uint8_t>(bounds_.crashes);
    for (std::size_t actor = 0; actor < actors(); ++actor) {
      if (programs_->actors()[actor].successor_of >= 0) continue;
      arrive(state, actor, programs_->start(actor));
      settle(state, actor);
    }
    tidy(state);
  }

  // --- one move ---

  static Status status_after(Step step) noexcept {
    switch (step) {
      case Step::wait:
        return Status::wait;
      case Step::wait_time:
        return Status::wait_time;
      case Step::done:
        return Status::finished;
      case Step::again:
        break;
    }
    return Status::ready;
  }

  void arrive(State& state, std::size_t actor, Target target) {
    state.node[actor] = target.node;
    state.status[actor] = status_after(target.after);
    state.watched[actor] = 0;
    if (!target.boundary) return;
    // Somebody changed a word while this step was on its way: what it waits for may be there.
    const auto bit = static_cast<std::uint8_t>(1U << actor);
    if (waits(state.status[actor]) && (state.stirred & bit) != 0) state.status[actor] = Status::ready;
    if (state.status[actor] == Status::wait && (state.stale & bit) != 0)
      state.status[actor] = Status::wait_stale;
    if (waits(state.status[actor]))
      state.watched[actor] = state.status[actor] == Status::wait ? watched_by(actor, target.looked) : kAll;
    state.stirred &= static_cast<std::uint8_t>(~bit);
    state.stale &= static_cast<std::uint8_t>(~bit);
    if (state.status[actor] == Status::finished) {
      state.node[actor] = 0;
      bury(state, actor);
    }
  }

  /// Does what cannot matter to others right away: it is no scheduling point.
  void settle(State& state, std::size_t actor) {
    while (state.status[actor] == Status::ready && invisible(programs_->pending(state.node[actor])))
      execute(state, actor, 0);
  }
  bool invisible(const Access& access) const {
    if (access.op == Op::report || Memory::invisible(access)) return true;
    return access.op == Op::load && (*locations_)[access.location].constant;
  }

  /// Executes the pending access of `actor` and says how many outcomes it has.
  std::uint32_t execute(State& state, std::size_t actor, std::uint32_t outcome) {
    const Access access = programs_->pending(state.node[actor]);
    Effect effect;
    switch (access.op) {
      case Op::choose:
        effect = {.answer = outcome, .outcomes = static_cast<std::uint32_t>(access.operand), .wrote = false};
        break;
      case Op::report:
        effect.answer = witness_->report(state.notes, state.memory, actor, access);
        break;
      case Op::futex_wait:
        // The kernel looks at the word as it is, and whoever asked cannot see an older value of it from then
        // on.
        look_at_newest(state, actor, access.location);
        if (state.memory.newest(access.location) == access.expected) {
          state.status[actor] = Status::asleep;
          return 1;
        }
        break;
      case Op::futex_wake:
        wake(state, access.location);
        break;
      default:
        check_kind(actor, access);
        effect = state.memory.apply(actor, access, outcome);
        witness_->accessed(state.notes, state.memory, actor, access, effect.answer);
    }
    if (effect.stale) state.stale |= static_cast<std::uint8_t>(1U << actor);
    arrive(state, actor, programs_->after(state.node[actor], effect.answer));
    if (effect.wrote) stir(state, actor, access.location);
    return effect.outcomes;
  }

  void check_kind(std::size_t actor, const Access& access) const {
    const bool loads = access.op == Op::load || access.op == Op::cas;
    if (loads && ((*locations_)[access.location].loaders & programs_->actors()[actor].kind) == 0)
      throw std::logic_error(programs_->actors()[actor].name + " loads " + locations_->name(access.location) +
                             ", which the world says it does not");
  }
  static void look_at_newest(State& state, std::size_t actor, std::uint8_t location) {
    state.memory.apply(actor, {.op = Op::load, .location = location, .order = std::memory_order_relaxed}, 0);
  }

  void wake(State& state, std::size_t bell) {
    for (std::size_t sleeper = 0; sleeper < actors(); ++sleeper) {
      if (state.status[sleeper] != Status::asleep || programs_->pending(state.node[sleeper]).location != bell)
        continue;
      arrive(state, sleeper, programs_->after(state.node[sleeper], 0));
      settle(state, sleeper);
    }
  }

  std::uint64_t watched_by(std::size_t actor, std::uint64_t looked) const {
    return programs_->actors()[actor].waits_by_looking ? looked : kAll;
  }

  /// Somebody changed a word: whoever waits for it looks again.
  void stir(State& state, std::size_t by, std::size_t location) const {
    const std::uint64_t changed = std::uint64_t{1} << location;
    for (std::size_t actor = 0; actor < actors(); ++actor) {
      if (actor == by) continue;
      if (waits(state.status[actor]) && (state.watched[actor] & changed) != 0) {
        state.status[actor] = Status::ready;
        state.watched[actor] = 0;
      } else if (state.status[actor] == Status::ready &&
                 (watched_by(actor, programs_->looked(state.node[actor])) & changed) != 0) {
        state.stirred |= static_cast<std::uint8_t>(1U << actor);
      }
    }
  }

  /// The actor has ended.
  void bury(State& state, std::size_t actor) const {
    // A pidfd that is readable says that all its owner did has been done. Nobody is told of one that is
    // frozen.
    if (pidfds_[actor] >= 0 && !(bounds_.frozen && state.status[actor] == Status::crashed)) {
      state.memory.store_newest(actor, static_cast<std::size_t>(pidfds_[actor]), 1);
      stir(state, actor, static_cast<std::size_t>(pidfds_[actor]));
    }
    state.memory.forget_actor(actor);
  }

  void crash(State& state, std::size_t actor) {
    state.status[actor] = Status::crashed;
    state.node[actor] = 0;
    state.watched[actor] = 0;
    const auto others = static_cast<std::uint8_t>(~(1U << actor));
    state.stirred &= others;
    state.stale &= others;
    --state.crashes_left;
    state.current = kNobody;
    witness_->crashed(state.notes, actor);
    for (std::size_t heir = 0; heir < actors() && !bounds_.frozen; ++heir)
      if (programs_->actors()[heir].successor_of == static_cast<int>(actor)) {
        state.memory.inherit(heir, actor);
        arrive(state, heir, programs_->start(heir));
        settle(state, heir);
      }
    bury(state, actor);
  }

  /// Nobody can go on, and it is not over: time passes. False: there is nothing that time could change.
  bool pass_time(State& state) {
    bool changed = false;
    const bool sweeps =
        !bounds_.frozen && std::count(state.status.begin(), state.status.end(), Status::crashed) > 0;
    for (std::size_t actor = 0; actor < actors(); ++actor) {
      const Status status = state.status[actor];
      const bool outdated = status == Status::wait && !state.memory.up_to_date(actor);
      const bool bounded = status == Status::wait_time || (status == Status::asleep && sweeps);
      if (!outdated && !bounded && status != Status::wait_stale) continue;
      changed = true;
      state.memory.bring_up_to_date(actor);
      if (status == Status::asleep)
        arrive(state, actor, programs_->after(state.node[actor], 0));
      else
        state.status[actor] = Status::ready;
      state.watched[actor] = 0;
      settle(state, actor);
    }
    state.current = kNobody;
    return changed;
  }

  void tidy(State& state) {
    Kinds alive{};
    for (std::size_t actor = 0; actor < actors(); ++actor)
      if (state.status[actor] < Status::finished) alive[actor] = programs_->actors()[actor].kind;
    state.memory.tidy(*locations_, alive);
  }

  std::uint64_t hash(const State& state) const {
    Hasher hasher;
    hasher.feed(state.node.data(), sizeof state.node);
    std::uint64_t rest = state.current;
    for (const Status status : state.status) rest = rest << 4 | static_cast<std::uint64_t>(status);
    hasher.feed(rest);
    hasher.feed(std::uint64_t{state.stale} << 16 | std::uint64_t{state.stirred} << 8 | state.crashes_left);
    hasher.feed(state.watched.data(), sizeof state.watched);
    hasher.feed(&state.notes, sizeof state.notes);
    state.memory.hash(hasher);
    return hasher.done();
  }

  // --- the search ---

  /// Makes `move` in `state`. The number of outcomes there are.
  std::uint32_t make(State& state, Move move) {
    std::uint32_t outcomes = 1;
    const bool costs = state.current != kNobody && state.current != move.actor &&
                       state.status[state.current] == Status::ready;
    if (move.kind == Move::Kind::step) {
      if (costs) --state.preemptions_left;
      state.current = move.actor;
      outcomes = execute(state, move.actor, move.outcome);
      settle(state, move.actor);
      if (state.status[move.actor] != Status::ready) state.current = kNobody;
    } else if (move.kind == Move::Kind::crash) {
      crash(state, move.actor);
      ++crashes_[move.actor];
    } else {
      pass_time(state);
    }
    tidy(state);
    return outcomes;
  }

  bool may_move(const State& state, std::size_t actor) const {
    if (state.status[actor] != Status::ready) return false;
    const bool free =
        state.current == kNobody || state.current == actor || state.status[state.current] != Status::ready;
    return free || state.preemptions_left > 0;
  }

  /// An actor is crashed right behind a step of its own, or before it has made any: what others do before its
  /// next step they can do as well after its death, so no later moment of its death leads anywhere else. Who
  /// waits or sleeps has made no store since a position where it could be crashed.
  bool may_crash(const Frame& frame, std::uint8_t actor) const {
    const State& state = frame.state;
    if (state.crashes_left == 0 || !programs_->actors()[actor].may_crash) return false;
    const bool untouched = frame.number == 0 && state.status[actor] < Status::finished;
    return untouched || actor == state.current;
  }

  /// One child of the frame on top, or back up.
  void step_down() {
    Frame& frame = stack_.back();
    verdict_.deepest = std::max(verdict_.deepest, stack_.size());
    const std::size_t count = actors();
    // Order of the children: each actor's outcomes, then the crashes, then time.
    while (frame.actor < count && !may_move(frame.state, frame.actor)) ++frame.actor;
    if (frame.actor < count) {
      const Move move{Move::Kind::step, frame.actor, static_cast<std::uint16_t>(frame.outcome)};
      visit(frame, move);
      return;
    }
    for (; frame.actor < 2 * count; ++frame.actor) {
      const auto victim = static_cast<std::uint8_t>(frame.actor - count);
      if (!may_crash(frame, victim)) continue;
      ++frame.actor;
      visit(frame, {Move::Kind::crash, victim, 0});
      return;
    }
    if (frame.actor == 2 * count) {
      ++frame.actor;
      if (nobody_ready(frame.state) && !at_end(frame)) {
        visit(frame, {Move::Kind::time, 0, 0});
        return;
      }
    }
    if (frame.leaf) ++verdict_.executions;
    stack_.pop_back();
  }

  bool nobody_ready(const State& state) const {
    return std::count(state.status.begin(), state.status.end(), Status::ready) == 0;
  }

  bool at_end(Frame& frame) {
    const std::string why = witness_->end(frame.state.notes, frame.state.status);
    if (why.empty()) {
      table_.mark_end(frame.number);
      return true;
    }
    State later = frame.state;
    if (pass_time(later)) return false;
    last_ = {};
    last_parent_ = frame.number;
    has_last_ = false;
    throw Broken("at the end: " + why);
  }

  void visit(Frame& frame, Move move) {
    scratch_.emplace(frame.state);
    last_ = move;
    last_parent_ = frame.number;
    has_last_ = true;
    const std::uint32_t outcomes = make(*scratch_, move);
    has_last_ = false;
    ++verdict_.transitions;
    if (move.kind == Move::Kind::step && ++frame.outcome >= outcomes) {
      frame.outcome = 0;
      ++frame.actor;
    }
    const std::uint32_t parent = frame.number;
    const auto [number, fresh] = remember(*scratch_, parent, move);
    if (!fresh) {
      ++verdict_.executions;
      frame.leaf = false;
      return;
    }
    frame.leaf = false;
    stack_.push_back({*scratch_, number});  // `frame` is gone from here on
  }

  std::pair<std::uint32_t, bool> remember(const State& state, std::uint32_t parent, Move move) {
    return table_.visit(hash(state), state.preemptions_left, parent, move);
  }

  void find_stuck() {
    const std::optional<std::uint32_t> stuck = table_.find_stuck();
    verdict_.ends = table_.ends();
    if (!stuck) return;
    last_parent_ = *stuck;
    has_last_ = false;
    throw Broken("from here no end can be reached: somebody is stuck or goes round for ever");
  }

  // --- telling ---

  void retrace(State state) {
    std::vector<Move> moves = table_.path(last_parent_);
    if (has_last_) moves.push_back(last_);
    try {
      for (const Move move : moves) {
        verdict_.trace.push_back(tell(state, move));
        make(state, move);
      }
    } catch (const std::exception&) {
      return;
    }
  }

  std::string tell(const State& state, Move move) const {
    if (move.kind == Move::Kind::time) return "time passes";
    const std::string& name = programs_->actors()[move.actor].name;
    if (move.kind == Move::Kind::crash) return name + " crashes";
    const Access access = programs_->pending(state.node[move.actor]);
    std::string line = name + ": " + name_of(access.op) + " " + name_of(access.order);
    if (access.op != Op::fence && access.op != Op::choose && access.op != Op::report)
      line += " " + locations_->name(access.location);
    Memory memory = state.memory;
    if (access.op < Op::fence) {
      const Effect effect = memory.apply(move.actor, access, move.outcome);
      line += " operand " + hex(access.operand) + " expected " + hex(access.expected) + " -> " +
              hex(effect.answer);
      if (move.outcome != 0) line += " (stale: outcome " + std::to_string(move.outcome) + ")";
    }
    return line + "  [site " + std::to_string(access.site) + "]";
  }
  static std::string hex(std::uint64_t value) {
    char text[20];
    std::snprintf(text, sizeof text, "%llx", static_cast<unsigned long long>(value));
    return text;
  }

  const Locations* locations_;
  Programs* programs_;
  const Witness* witness_;
  Bounds bounds_;
  std::array<int, kActorsMost> pidfds_ = filled();
  StateTable table_;
  std::vector<Frame> stack_;
  std::optional<State> scratch_;
  Verdict verdict_;
  std::array<std::uint64_t, kActorsMost> crashes_{};
  Move last_{};
  std::uint32_t last_parent_ = 0;
  bool has_last_ = false;

  static std::array<int, kActorsMost> filled() {
    std::array<int, kActorsMost> none{};
    none.fill(-1);
    return none;
  }
};

}  // namespace busway::interleave
