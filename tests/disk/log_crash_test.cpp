// A partition's log loses power, or its process, before every single I/O: while it is written, and again
// while it is recovered. Whatever was acknowledged must be there, nothing that was not published may be, and
// what is missing must be reported.

#include <gtest/gtest.h>

#include "tests/disk/log_story.hpp"
#include "tests/disk/simulated_disk.hpp"

namespace busway::test {
namespace {

using daemon::RecoveryOptions;

const std::string kDirectory = "/data/orders-0";

struct Scenario {
  const char* name;
  void (*play)(LogStory& story);
  bool preallocate = false;
};

/// Group commits, segments that roll with writes in flight.
void stream(LogStory& story) {
  for (int i = 0; i < 30; ++i) {
    story.must_publish(1 + i % 3, static_cast<std::size_t>(50 + i * 37 % 600));
    if (i % 4 == 1) story.reap_once();
    if (i % 7 == 6) story.sync();
  }
  story.sync();
}

/// One durable publish after the other, inline.
void lone_publishes(LogStory& story) {
  for (int i = 0; i < 25; ++i) {
    EXPECT_EQ(story.publish(1, 400, true), daemon::AppendOutcome::appended);
    EXPECT_EQ(story.log().sync_now(), daemon::SyncOutcome::submitted);
    story.look();
  }
}

/// A clean stop in the middle, and one at the end.
void stop_and_go(LogStory& story) {
  for (int i = 0; i < 8; ++i) story.must_publish(2, 300);
  EXPECT_EQ(story.close(), 0);
  RecoveryOptions options;
  options.clean = true;
  story.open(options);
  for (int i = 0; i < 8; ++i) story.must_publish(2, 300);
  EXPECT_EQ(story.close(), 0);
}

const Scenario kScenarios[] = {
    {"stream", stream},
    {"lone_publishes", lone_publishes},
    {"stop_and_go", stop_and_go},
    {"stream_preallocated", stream, true},
};

daemon::TopicConfig config_of(const Scenario& scenario) {
  daemon::TopicConfig config = small_segments();
  config.preallocate = scenario.preallocate;
  return config;
}

/// Plays a scenario until it ends or the power goes.
void play(const Scenario& scenario, SimulatedMachine& machine, Memory& memory) {
  LogStory story(machine.files(), machine.disk(), kDirectory, memory, config_of(scenario));
  try {
    story.open({});
    scenario.play(story);
  } catch (const PowerCut&) {
    story.forget_log();
  }
}

/// What recovery may be told after this kind of crash.
RecoveryOptions options_after(CrashKind kind, const Memory& memory) {
  RecoveryOptions options;
  options.offset_limit = memory.granted;
  if (kind == CrashKind::kill) {
    options.in_rings_from = memory.written;
    options.durable = memory.durable;
  }
  return options;
}

std::string described(const std::vector<daemon::RecoveryEvent>& events) {
  std::string all;
  for (const daemon::RecoveryEvent& event : events) all += "\n  " + event.sentence();
  return all;
}

/// The log is opened after the crash: nothing acknowledged is missing, nothing else is unreported, and it can
/// be written on.
void expect_recovered(CrashKind kind, const Scenario& scenario, SimulatedMachine& machine, Memory& memory) {
  LogStory story(machine.files(), machine.disk(), kDirectory, memory, config_of(scenario));
  story.open(options_after(kind, memory));
  const Offset end = story.log().log_end();
  ASSERT_GE(end, memory.durable);
  ASSERT_LE(end, memory.granted);
  if (kind == CrashKind::kill) {
    ASSERT_GE(end, memory.written);
  }
  const auto found = story.read_all();
  for (const auto& [offset, value] : memory.published) {
    if (found.contains(offset)) continue;
    ASSERT_GE(offset, memory.durable) << "acknowledged and lost";
    if (kind == CrashKind::kill) {
      ASSERT_GE(offset, end) << "the rings have it, but the log would go on behind it";
    }
    if (offset < end) {
      ASSERT_TRUE(story.lost().contains(offset)) << "a silent gap at " << offset << described(story.events());
    }
  }
  story.check_files();

  // Offsets that were handed out are not given again, unless the rings still hold their records.
  if (kind == CrashKind::kill) {
    memory.published.erase(memory.published.lower_bound(end), memory.published.end());
  } else {
    story.log().jump(memory.granted);
    ++memory.epoch;
  }
  for (int i = 0; i < 5; ++i) story.must_publish(2, 700);
  ASSERT_TRUE(story.sync());
  const auto after = story.read_all();
  for (const auto& [offset, value] : found) ASSERT_TRUE(after.contains(offset));
  ASSERT_EQ(after.size(), found.size() + 10);
  ASSERT_EQ(story.close(), 0);
  RecoveryOptions clean;
  clean.clean = true;
  story.open(clean);
  ASSERT_EQ(story.read_all().size(), after.size());
  story.check_files();
  story.forget_log();
}

struct Case {
  const Scenario& scenario;
  CrashKind kind;
  std::uint64_t seed;
  std::uint64_t cut = 0;
  std::uint64_t second_cut = 0;
};

std::string text(const Case& a_case) {
  return std::string(a_case.scenario.name) + ", kind " + std::to_string(static_cast<int>(a_case.kind)) +
         ", seed " + std::to_string(a_case.seed) + ", power cut before step " + std::to_string(a_case.cut) +
         ", in recovery before step " + std::to_string(a_case.second_cut);
}

/// Cuts the power once more, before each step of the recovery from `image`. Returns how many there are.
std::uint64_t recover_again_and_again(const Case& first, const DiskImage& image, const Memory& memory) {
  for (std::uint64_t cut = 1;; ++cut) {
    Case a_case = first;
    a_case.second_cut = cut;
    SCOPED_TRACE(text(a_case));
    SimulatedMachine machine(image, first.seed + cut);
    machine.cut_power_before(cut);
    try {
      daemon::recover_partition(machine.files(), kDirectory, options_after(first.kind, memory));
      return cut - 1;
    } catch (const PowerCut&) {
    }
    SimulatedMachine next(machine.crash(first.kind), first.seed + cut + 1);
    Memory copy = memory;
    expect_recovered(first.kind, first.scenario, next, copy);
    if (testing::Test::HasFatalFailure()) return 0;
  }
}

class LogCrash : public testing::TestWithParam<CrashKind> {};

TEST_P(LogCrash, before_every_step_and_again_in_recovery) {
  const CrashKind kind = GetParam();
  std::uint64_t images = 0;
  std::uint64_t steps_in_all = 0;
  for (const Scenario& scenario : kScenarios) {
    for (std::uint64_t seed = 1; seed <= (kind == CrashKind::power_random ? 4u : 1u); ++seed) {
      std::uint64_t steps = 0;
      {
        SimulatedMachine machine(seed);
        Memory memory;
        play(scenario, machine, memory);
        steps = machine.steps();
      }
      steps_in_all += steps;
      for (std::uint64_t cut = 1; cut <= steps + 1; ++cut) {
        const Case a_case{scenario, kind, seed, cut};
        SCOPED_TRACE(text(a_case));
        SimulatedMachine machine(seed);
        machine.cut_power_before(cut);
        Memory memory;
        play(scenario, machine, memory);
        const DiskImage image = machine.crash(kind);
        {
          SimulatedMachine next(image, seed * 1000 + cut);
          Memory copy = memory;
          expect_recovered(kind, scenario, next, copy);
        }
        if (HasFatalFailure()) return;
        images += 1 + recover_again_and_again(a_case, image, memory);
        if (HasFatalFailure()) return;
      }
    }
  }
  RecordProperty("images", std::to_string(images));
  std::printf("%llu crash images recovered and checked, of %llu steps\n",
              static_cast<unsigned long long>(images), static_cast<unsigned long long>(steps_in_all));
}

INSTANTIATE_TEST_SUITE_P(Kinds, LogCrash,
                         testing::Values(CrashKind::kill, CrashKind::power_least, CrashKind::power_random),
                         [](const auto& instance) {
                           switch (instance.param) {
                             case CrashKind::kill:
                               return "kill";
                             case CrashKind::power_least:
                               return "power_least";
                             case CrashKind::power_random:
                               return "power_random";
                           }
                           return "unknown";
                         });

}  // namespace
}  // namespace busway::test
