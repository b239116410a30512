// The seeded mistakes: wrong lines, and memory orders that are too weak.
#include <algorithm>
#include <array>

#include "bus/memory/wait_layout.hpp"
#include "bus/ring/slot.hpp"
#include "tests/interleave/seeds.hpp"

namespace busway::interleave {

namespace {

/// What one run has shown of each kind of word so far; what a wrong line would use in place of the right
/// thing.
struct Past {
  std::array<std::uint64_t, 32> answer{};   ///< of the last load or read-modify-write
  std::array<std::uint64_t, 32> operand{};  ///< of the last store
  std::array<std::uint64_t, 32> index{};    ///< of the last word of its kind
  std::uint64_t last(Place place) const { return answer[static_cast<std::size_t>(place)]; }
  std::uint64_t stored(Place place) const { return operand[static_cast<std::size_t>(place)]; }
  std::uint64_t where(Place place) const { return index[static_cast<std::size_t>(place)]; }
};

using Alter = std::function<void(Access&, const Past&)>;
using Answer = std::function<std::uint64_t(std::uint64_t, const Past&)>;

class Wrong : public Seed {
 public:
  Wrong(const At& at, const std::vector<Site>& sites, Alter alter, Answer answer)
      : lines_(at, sites), alter_(std::move(alter)), answer_(std::move(answer)) {}

  void begin(Kind kind, const Locations& locations) override {
    kind_ = kind;
    locations_ = &locations;
    past_ = {};
  }
  void alter(Access& access, const Site& site) override {
    if (alter_ && lines_.have(site, kind_)) alter_(access, past_);
    if (access.op == Op::store) past_.operand[static_cast<std::size_t>(site.place)] = access.operand;
  }
  std::uint64_t answer(const Access& access, const Site& site, std::uint64_t given) override {
    const bool wrong = answer_ && lines_.have(site, kind_);
    if (site.place != Place::nowhere) {
      past_.index[static_cast<std::size_t>(site.place)] = (*locations_)[access.location].index;
      if (wrong) given = answer_(given, past_);
      if (access.op != Op::store) past_.answer[static_cast<std::size_t>(site.place)] = given;
    }
    return given;
  }

 private:
  Lines lines_;
  Alter alter_;
  Answer answer_;
  Past past_;
  Kind kind_ = kEverybody;
  const Locations* locations_ = nullptr;
};

using List = std::vector<Mistake>;

void answers(List& list, const char* name, const char* breaks, const At& at, const Answer& answer) {
  list.push_back({name, breaks, at, [=](const std::vector<Site>& sites) -> std::unique_ptr<Seed> {
                    return std::make_unique<Wrong>(at, sites, nullptr, answer);
                  }});
}
void alters(List& list, const char* name, const char* breaks, const At& at, const Alter& alter) {
  list.push_back({name, breaks, at, [=](const std::vector<Site>& sites) -> std::unique_ptr<Seed> {
                    return std::make_unique<Wrong>(at, sites, alter, nullptr);
                  }});
}
void leaves_out(List& list, const char* name, const char* breaks, const At& at) {
  alters(list, name, breaks, at, [](Access& access, const Past&) { access.op = Op::none; });
}

void weakens(List& list, const char* name, const char* breaks, const At& at, std::memory_order order) {
  list.push_back({name, breaks, at,
                  [=](const std::vector<Site>& sites) -> std::unique_ptr<Seed> {
                    return std::make_unique<Weakened>(at, order, sites);
                  },
                  true});
}

constexpr std::uint64_t kHuge = std::uint64_t{1} << 40;

void publishing(List& list) {
  const At commit{"commit_over", Place::slot, Op::cas};
  const At start{"hinted_end", Place::reclaimed, Op::load};
  const At recheck{"look_how_far", Place::reclaimed, Op::load};
  answers(list, "the walk starts at the hint alone", "H4", start, [](auto, const Past&) { return 0; });
  alters(list, "the lap is one too high", "a slot word names its offset", commit,
         [](Access& access, const Past&) { access.operand += std::uint64_t{1} << 32; });
  alters(list, "the commit is a plain store", "H1", commit,
         [](Access& access, const Past&) { access.op = Op::store; });
  answers(list, "the walk passes a fence", "a ring ends at its fence", {"commit_at", Place::slot, Op::load},
          [](std::uint64_t word, const Past&) {
            return word != 0 && ring::is_fence(word) ? word | (1U << limits::kUnitBits) : word;
          });
  answers(list, "the fence's slot is not left free", "H27", recheck,
          [](std::uint64_t reclaimed, const Past&) { return reclaimed + 1; });
  answers(list, "nobody asks whether the ring is full", "log end - N <= reclaimed", recheck,
          [](std::uint64_t reclaimed, const Past& past) {
            // In a ring of two, the offset whose slot was found free: its lap is the word's, plus one.
            const std::uint64_t offset =
                ring::slot_lap(past.last(Place::slot)) * std::uint64_t{2} + past.where(Place::slot);
            return std::max(reclaimed, offset);
          });
  answers(list, "`granted` is not asked", "no offset at or above `granted`",
          {"look_how_far", Place::granted, Op::load}, [](auto, const Past&) { return kHuge; });
}

void reclaiming(List& list) {
  const At move{"advance", Place::reclaimed, Op::cas};
  const At scan{"learn_safe", Place::lease, Op::load};
  alters(list, "`reclaimed` is moved by a plain store", "H14", move,
         [](Access& access, const Past&) { access.op = Op::store; });
  alters(list, "`reclaimed` is moved by an addition", "H14", move, [](Access& access, const Past&) {
    access.op = Op::fetch_add;
    access.operand -= access.expected;
  });
  alters(list, "`reclaimed` goes to `written`, whatever was seen of this ring", "H26", move,
         [](Access& access, const Past& past) {
           access.operand = std::max(access.operand, past.last(Place::written));
         });
  answers(list, "`written` is not asked", "reclaimed <= written", {"reclaimable", Place::written, Op::load},
          [](auto, const Past&) { return kHuge; });
  answers(list, "the cursors are not asked", "overflow=block loses nothing",
          {"reclaimable", Place::cursor, Op::load}, [](auto, const Past&) { return kHuge; });
  answers(list, "the leases are not scanned", "nobody overwrites under a lease", scan,
          [](auto, const Past&) { return memory::kLeaseNone; });
  answers(list, "the leases are scanned only by who advanced", "H15", scan,
          [](std::uint64_t lease, const Past& past) {
            return past.last(Place::written) != 0 ? lease : memory::kLeaseNone;
          });
}

void reading(List& list) {
  answers(list, "the copy is not checked against `reclaimed`", "wrong bytes are never taken for right ones",
          {"copy_frame", Place::reclaimed, Op::load, 0, kReader}, [](auto, const Past&) { return 0; });
  answers(list, "the reader does not ask whether it is behind", "a reader is told that it is behind",
          {"read_on", Place::reclaimed, Op::load, 0, kReader}, [](auto, const Past&) { return 0; });
  answers(list, "a run's copy is not checked against `reclaimed`",
          "what a reader accepts is what was committed", {"copy_run", Place::reclaimed, Op::load, 0, kReader},
          [](auto, const Past&) { return 0; });
  answers(list, "the slot's lap is not compared by the reader", "a slot word names its offset",
          {"look_at", Place::slot, Op::load, 0, kReader}, [](std::uint64_t word, const Past& past) {
            // Whatever was set there last is taken for the next offset's.
            return word != 0 && past.last(Place::slot) == 0 ? word + (std::uint64_t{1} << 32) : word;
          });
  answers(list, "a lease is not checked against `reclaimed`", "nobody overwrites under a lease",
          {"take", Place::reclaimed, Op::load}, [](auto, const Past&) { return 0; });
  answers(list, "valid() always says yes", "a revoked lease is told", {"valid", Place::lease, Op::load},
          [](auto, const Past& past) { return past.stored(Place::lease); });
  alters(list, "a refused lease stays in its cell", "nobody is held up by who holds nothing",
         {"clear", Place::lease, Op::cas},
         [](Access& access, const Past&) { access.operand = access.expected; });
}

void sleeping(List& list) {
  alters(list, "the bell is loaded after the last look", "H17", {"nothing", Place::bell, Op::futex_wait},
         [](Access& access, const Past&) { access.expected = kHuge; });
  leaves_out(list, "a sleeper does not announce itself", "no wake is lost",
             {"announce", Place::record_sleepers, Op::fetch_or});
  alters(list, "the waker clears the sleeper's bit", "H18", {"wake_all", Place::record_sleepers, Op::load},
         [](Access& access, const Past&) {
           access.op = Op::exchange;
           access.operand = 0;
         });
  answers(list, "a sleeper does not look again", "no wake is lost", {"readable_now", Place::slot, Op::load},
          [](auto, const Past&) { return 0; });
  answers(list, "a sleeper does not look for a newer ring", "H32",
          {"readable_now", Place::ring_generation, Op::load}, [](auto, const Past&) { return 1; });
  answers(list, "the daemon does not look at the dirty bits again", "no wake is lost",
          {"daemon_sleep", Place::dirty, Op::load}, [](auto, const Past&) { return 0; });
  answers(list, "the publisher does not ask whether the daemon sleeps", "no wake is lost",
          {"mark_dirty", Place::daemon_asleep, Op::load}, [](auto, const Past&) { return 0; });
}

void growing(List& list) {
  answers(list, "a ring is entered before `marks` names it", "H33",
          {"newer_ring", Place::ring_generation, Op::load, 0, kPublisher},
          [](auto, const Past&) { return 2; });
  leaves_out(list, "the base is stored last of all, or never", "H33", {"open_ring", Place::base, Op::store});
  answers(list, "a reader stays in a dead ring", "H32",
          {"ring_for", Place::ring_generation, Op::load, 0, kReader}, [](auto, const Past&) { return 1; });
  alters(list, "the fence is a plain store", "a fence competes as a record does",
         {"set_fence", Place::slot, Op::cas, 0, kWorker},
         [](Access& access, const Past&) { access.op = Op::store; });
  leaves_out(list, "the new worker does not raise `written`", "take-over, step 2",
             {"raise_written", Place::written, Op::store});
  answers(list, "a lane is retired before its records are reclaimed", "H6",
          {"ring_retirable", Place::reclaimed, Op::load}, [](auto, const Past&) { return kHuge; });
  answers(list, "a lane is retired under a lease", "H6", {"leases_above", Place::lease, Op::load},
          [](auto, const Past&) { return memory::kLeaseNone; });
  answers(list, "the log end is the hint", "H7", {"walk_to_end", Place::slot, Op::load, 0, kWorker},
          [](auto, const Past&) { return 0; });
  leaves_out(list, "a subscriber registers without holding everything first", "H13",
             {"register_cursor", Place::cursor, Op::store, 1});
}

/// Orders of the ring: one step too weak, and somebody takes for right what is not, or not yet.
void ordering(List& list) {
  const auto relaxed = std::memory_order_relaxed;
  const auto acquire = std::memory_order_acquire;
  const auto acq_rel = std::memory_order_acq_rel;
  const At commit{"commit_over", Place::slot, Op::cas};
  const char* const bytes = "what a reader accepts is what was committed";
  const char* const corrupt = "C4";
  const char* const lease = "nobody overwrites under a lease";
  weakens(list, "the commit does not release", bytes, commit, acquire);
  weakens(list, "the commit is not sequentially consistent", "no wake is lost", commit, acq_rel);
  weakens(list, "the walk's hint is loaded relaxed", corrupt, {"hinted_end", Place::tail, Op::load}, relaxed);
  weakens(list, "the walk's `reclaimed` is loaded relaxed", corrupt,
          {"hinted_end", Place::reclaimed, Op::load}, relaxed);
  weakens(list, "the hint is stored relaxed", corrupt, {"note_commit", Place::tail, Op::store}, relaxed);
  weakens(list, "moving `reclaimed` does not release", corrupt,
          {"advance", Place::reclaimed, Op::cas, 0, kPublisher}, acquire);
  weakens(list, "the reader's slot is loaded relaxed", bytes, {"look_at", Place::slot, Op::load, 0, kReader},
          relaxed);
  weakens(list, "a run's slot is loaded relaxed", bytes, {"walk_run", Place::slot, Op::load, 0, kReader},
          relaxed);
  weakens(list, "the drain's slot is loaded relaxed", bytes, {"look_at", Place::slot, Op::load, 0, kWorker},
          relaxed);
  weakens(list, "the reader's look behind is relaxed", "the log has what was reclaimed",
          {"read_on", Place::reclaimed, Op::load, 0, kReader}, relaxed);
  weakens(list, "no fence after the copy", bytes, {"copy_frame", Place::nowhere, Op::fence, 0, kReader},
          relaxed);
  weakens(list, "no fence after a run's copy", bytes, {"copy_run", Place::nowhere, Op::fence, 0, kReader},
          relaxed);
  weakens(list, "no fence before old bytes are overwritten", bytes, {"make_room", Place::nowhere, Op::fence},
          relaxed);
  weakens(list, "the lease scan's fence is too weak", lease, {"learn_safe", Place::nowhere, Op::fence},
          acq_rel);
  weakens(list, "the lease's fence is too weak", lease, {"take", Place::nowhere, Op::fence, 1}, acq_rel);
  weakens(list, "the slot under a lease is loaded relaxed", bytes, {"look_in_place", Place::slot, Op::load},
          relaxed);
  weakens(list, "no fence before the lease is looked at again", "a revoked lease is told",
          {"valid", Place::nowhere, Op::fence}, relaxed);
  weakens(list, "the cursor scan's fence is too weak", "H13", {"reclaimable", Place::nowhere, Op::fence},
          acq_rel);
  weakens(list, "a subscriber's fence is too weak", "H13", {"register_cursor", Place::nowhere, Op::fence},
          acq_rel);
  weakens(list, "the fence before a retirement is too weak", "H6",
          {"ring_retirable", Place::nowhere, Op::fence}, acq_rel);
  weakens(list, "a ring's name does not release its base", "H33",
          {"announce_ring", Place::ring_generation, Op::store}, relaxed);
  weakens(list, "a newer ring is entered by a relaxed look", "H33",
          {"newer_ring", Place::ring_generation, Op::load, 0, kPublisher}, relaxed);
}

/// Orders of the bells: one step too weak, and somebody sleeps on what is there.
void ordering_of_bells(List& list) {
  const auto acquire = std::memory_order_acquire;
  const auto acq_rel = std::memory_order_acq_rel;
  const char* const wake = "no wake is lost";
  weakens(list, "a refused lease is rung for too early", "C3", {"take", Place::nowhere, Op::fence, 2},
          acq_rel);
  weakens(list, "a released lease is rung for too early", wake, {"release", Place::nowhere, Op::fence},
          acq_rel);
  weakens(list, "the waker's look at the sleepers is too early", wake,
          {"wake_all", Place::record_sleepers, Op::load, 0, kPublisher}, acquire);
  weakens(list, "a reader's announcement may come after its look", "C2",
          {"announce", Place::nowhere, Op::fence, 0, kReader}, acq_rel);
  weakens(list, "a publisher's announcement may come after its look", "C2",
          {"announce", Place::nowhere, Op::fence, 0, kPublisher}, acq_rel);
  weakens(list, "the dirty bit is looked at too early", wake, {"mark_dirty", Place::dirty, Op::load},
          acquire);
  weakens(list, "the dirty bit is set too late", wake, {"mark_dirty", Place::dirty, Op::fetch_or}, acq_rel);
  weakens(list, "whether the daemon sleeps is asked too early", wake,
          {"mark_dirty", Place::daemon_asleep, Op::load}, acquire);
  weakens(list, "the daemon says too late that it sleeps", wake,
          {"daemon_sleep", Place::daemon_asleep, Op::exchange}, acq_rel);
  weakens(list, "the daemon looks too early at the dirty bits", wake,
          {"daemon_sleep", Place::dirty, Op::load}, acquire);
  weakens(list, "no fence between the dirty bits and the slots", "C1",
          {"take_dirty", Place::nowhere, Op::fence}, acq_rel);
  weakens(list, "the fence behind `written` is too weak", wake, {"raise_written", Place::nowhere, Op::fence},
          acq_rel);
}

}  // namespace

const std::vector<Mistake>& mistakes() {
  static const List all = [] {
    List list;
    publishing(list);
    reclaiming(list);
    reading(list);
    sleeping(list);
    growing(list);
    ordering(list);
    ordering_of_bells(list);
    return list;
  }();
  return all;
}

}  // namespace busway::interleave
