// Runs the code under test up to its next access, any number of times, with the answers to the earlier ones
// given.
//
// A program is a deterministic function of its role's memory and of what its accesses returned. So an actor's
// position is a list of answers, and nothing of a stack has to be kept: the code is run again from the last
// checkpoint, every known access is answered from the list, and at the first unknown one the run is left by
// longjmp. What is left that way has no destructors that matter: roles and the ring's code use trivially
// destructible locals only.
#pragma once

#include <csetjmp>
#include <cstdint>
#include <map>
#include <source_location>
#include <span>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "tests/interleave/engine/access.hpp"

namespace busway::interleave {

/// A place in the source that makes an access, as far as the code that was run has shown it.
struct Site {
  std::string file;  ///< without directories
  std::string function;
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  Op op = Op::none;
  Place place = Place::nowhere;
  std::memory_order order = std::memory_order_relaxed;
  std::uint8_t kinds = 0;  ///< of the actors that were there
};

/// A change made to the code under test from outside, as if its source said something else. The default
/// changes nothing. It is asked about every access of every run in order, so it may keep what one run has
/// shown it, from begin() on.
class Seed {
 public:
  virtual ~Seed() = default;
  virtual void begin(Kind /*of the actor that is run*/, const Locations&) {}
  /// Before the access; it may be made another one (Op::none: it is left out).
  virtual void alter(Access&, const Site&) {}
  /// What the code is told in place of `answer`.
  virtual std::uint64_t answer(const Access&, const Site&, std::uint64_t answer) { return answer; }
};

/// What a role's step came to when it returned.
enum class Step : std::uint8_t {
  again,      ///< call it again
  wait,       ///< nothing to do until somebody changes a word
  wait_time,  ///< nothing to do until somebody changes a word, or time passes
  done,       ///< the program has ended
};

struct Ran {
  enum class How : std::uint8_t { pending, forget, returned } how = How::returned;
  Access access{};         ///< pending: what the code does next
  std::size_t depth = 0;   ///< forget: go on where only so many answers were known
  Step step = Step::done;  ///< returned
};

class Recorder {
 public:
  Recorder(const Locations& locations, Seed& seed) : locations_(&locations), seed_(&seed) {
    frames_.push_back({});
  }

  /// Runs `step(memory)`, with `answers` known.
  Ran run(Kind kind, Step (*step)(void*), std::span<std::byte> memory,
          std::span<const std::uint64_t> answers);

  /// Called from the policy, inside of run(). The answer comes from the list, or this does not return.
  std::uint64_t perform(Access access, const std::source_location& where);
  void restart(const std::source_location& where);

  /// Frames are 32-byte values; everywhere else they are numbers of this table. 0 = all zero.
  using Frame = std::array<std::uint64_t, 4>;
  std::uint64_t frame_number(const void* bytes, std::size_t count);
  const Frame& frame(std::uint64_t number) const { return frames_[number]; }

  const std::vector<Site>& sites() const noexcept { return sites_; }
  /// The recorder whose run() is on the stack.
  static Recorder& current() noexcept { return *current_; }

 private:
  struct Mark {
    std::uint16_t site;
    std::size_t depth;
    std::uint64_t memory;
  };

  std::uint16_t site_of(const Access& access, const std::source_location& where);
  [[noreturn]] void leave(Ran with);

  const Locations* locations_;
  Seed* seed_;
  std::vector<Site> sites_;
  std::map<std::tuple<const char*, std::uint32_t, std::uint32_t, Place>, std::uint16_t> site_numbers_;
  std::vector<Frame> frames_;
  std::map<Frame, std::uint64_t> frame_numbers_;

  Kind kind_ = kEverybody;
  std::span<std::byte> memory_;
  std::span<const std::uint64_t> answers_;
  std::size_t at_ = 0;
  std::vector<Mark> marks_;
  Ran left_;
  std::jmp_buf out_{};
  static thread_local Recorder* current_;
};

}  // namespace busway::interleave
