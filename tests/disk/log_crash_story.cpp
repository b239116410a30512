#include "tests/disk/log_crash_story.hpp"

#include <gtest/gtest.h>

namespace busway::test {
namespace {

using daemon::RecoveryOptions;

const std::string kDirectory = "/data/orders-0";

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

}  // namespace

std::span<const Scenario> scenarios() { return kScenarios; }

std::string name(CrashKind kind) {
  switch (kind) {
    case CrashKind::kill:
      return "kill";
    case CrashKind::power_least:
      return "power_least";
    case CrashKind::power_random:
      return "power_random";
  }
  return "unknown";
}

std::string text(const CrashCase& a_case) {
  return std::string(a_case.scenario.name) + ", " + name(a_case.kind) + ", seed " +
         std::to_string(a_case.seed) + ", cut before step " + std::to_string(a_case.cut) +
         ", in recovery before step " + std::to_string(a_case.second_cut);
}

std::uint64_t count_steps(const Scenario& scenario, std::uint64_t seed) {
  SimulatedMachine machine(seed);
  Memory memory;
  play(scenario, machine, memory);
  return machine.steps();
}

DiskImage play_until_cut(const CrashCase& a_case, Memory& memory) {
  SimulatedMachine machine(a_case.seed);
  machine.cut_power_before(a_case.cut);
  play(a_case.scenario, machine, memory);
  return machine.crash(a_case.kind);
}

bool recover_until_cut(const CrashCase& a_case, const DiskImage& image, const Memory& memory,
                       DiskImage& after) {
  SimulatedMachine machine(image, a_case.seed + a_case.second_cut);
  machine.cut_power_before(a_case.second_cut);
  try {
    daemon::recover_partition(machine.files(), kDirectory, options_after(a_case.kind, memory));
    return true;
  } catch (const PowerCut&) {
    after = machine.crash(a_case.kind);
    return false;
  }
}

void expect_recovered(const CrashCase& a_case, const DiskImage& image, Memory memory) {
  SimulatedMachine machine(image, a_case.seed * 1000 + a_case.cut * 100 + a_case.second_cut);
  LogStory story(machine.files(), machine.disk(), kDirectory, memory, config_of(a_case.scenario));
  story.open(options_after(a_case.kind, memory));
  const Offset end = story.log().log_end();
  ASSERT_GE(end, memory.durable);
  ASSERT_LE(end, memory.granted);
  if (a_case.kind == CrashKind::kill) {
    ASSERT_GE(end, memory.written);
  }
  const auto found = story.read_all();
  for (const auto& [offset, value] : memory.published) {
    if (found.contains(offset)) continue;
    ASSERT_GE(offset, memory.durable) << "acknowledged and lost";
    if (a_case.kind == CrashKind::kill) {
      ASSERT_GE(offset, end) << "the rings have it, but the log would go on behind it";
    }
    if (offset < end) {
      ASSERT_TRUE(story.lost().contains(offset)) << "a silent gap at " << offset << described(story.events());
    }
  }
  story.check_files();

  // Offsets that were handed out are not given again, unless the rings still hold their records.
  if (a_case.kind == CrashKind::kill) {
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

}  // namespace busway::test
