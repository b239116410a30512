// The metadata log loses power before every I/O: what append() returned for is there, what it did not return
// for is there wholly or not at all. And every I/O fails once.

#include <gtest/gtest.h>

#include <busway/error.hpp>

#include "daemon/metadata_log.hpp"
#include "tests/disk/simulated_disk.hpp"

namespace busway::test {
namespace {

using daemon::MetadataChange;
using daemon::MetadataLog;
using daemon::MetadataState;
using daemon::PartitionSet;
using daemon::TopicDeleted;
using daemon::TopicSet;

Uuid uuid_of(int mark) {
  Uuid uuid;
  uuid.bytes.fill(static_cast<std::uint8_t>(mark));
  return uuid;
}

/// The changes of step `i`, all of which count or none.
std::vector<MetadataChange> changes_of(int i) {
  const std::string name = "topic-" + std::to_string(i % 3);
  if (i % 5 == 4) return {TopicDeleted{name}};
  const TopicSet set{name, uuid_of(i % 3 + 1), 2, {{"n", std::to_string(i)}}};
  return {set, PartitionSet{uuid_of(i % 3 + 1), 0, {100 * i, Epoch{i}}},
          PartitionSet{uuid_of(i % 3 + 1), 1, {100 * i + 1, Epoch{i}}}};
}
constexpr int kSteps = 14;
constexpr std::uint64_t kFileBytes = 2000;  // every few changes begin a new file

/// The states after each step, [0] before the first.
std::vector<MetadataState> expected_states() {
  SimulatedMachine machine(1);
  MetadataLog log(machine.files(), "/data", MetadataLog::Committer::in_caller, kFileBytes);
  std::vector<MetadataState> states{log.state()};
  for (int i = 0; i < kSteps; ++i) {
    log.append(changes_of(i));
    states.push_back(log.state());
  }
  return states;
}

/// Appends, half of it in a second life. Returns how many appends returned; throws nothing.
int play(SimulatedMachine& machine, bool& failed) {
  int done = 0;
  try {
    for (const int end : {kSteps / 2, kSteps}) {
      MetadataLog log(machine.files(), "/data", MetadataLog::Committer::in_caller, kFileBytes);
      for (; done < end; ++done) log.append(changes_of(done));
    }
  } catch (const PowerCut&) {
  } catch (const Error&) {
    failed = true;
  }
  return done;
}

TEST(MetadataCrash, before_every_step_and_again_in_the_next_start) {
  const auto states = expected_states();
  std::uint64_t images = 0;
  for (const CrashKind kind : {CrashKind::kill, CrashKind::power_least, CrashKind::power_random}) {
    for (std::uint64_t cut = 1;; ++cut) {
      SimulatedMachine machine(cut);
      machine.cut_power_before(cut);
      bool failed = false;
      const int done = play(machine, failed);
      ASSERT_FALSE(failed);
      const bool finished = !machine.is_down();
      const DiskImage image = machine.crash(kind);
      for (std::uint64_t again = 1;; ++again) {
        SCOPED_TRACE("kind " + std::to_string(static_cast<int>(kind)) + ", cut before " +
                     std::to_string(cut) + ", then before " + std::to_string(again));
        SimulatedMachine second(image, again);
        second.cut_power_before(again);
        try {
          MetadataLog log(second.files(), "/data", MetadataLog::Committer::in_caller, kFileBytes);
        } catch (const PowerCut&) {
        }
        const bool whole = !second.is_down();
        SimulatedMachine third(second.crash(kind), again);
        MetadataLog log(third.files(), "/data", MetadataLog::Committer::in_caller, kFileBytes);
        const auto found = log.state();
        const auto next = static_cast<std::size_t>(std::min(done + 1, kSteps));
        ASSERT_TRUE(found == states[static_cast<std::size_t>(done)] || found == states[next])
            << "neither what was acknowledged nor that with the change that was under way";
        log.append(changes_of(0));
        ++images;
        if (whole) break;
      }
      if (finished) break;
    }
  }
  std::printf("%llu crash images of the metadata log\n", static_cast<unsigned long long>(images));
}

TEST(MetadataCrash, every_step_fails_once) {
  const auto states = expected_states();
  std::uint64_t steps = 0;
  {
    SimulatedMachine machine(1);
    bool failed = false;
    play(machine, failed);
    steps = machine.steps();
  }
  for (const int error : {EIO, ENOSPC}) {
    for (std::uint64_t step = 1; step <= steps; ++step) {
      for (const CrashKind kind : {CrashKind::kill, CrashKind::power_least, CrashKind::power_random}) {
        SCOPED_TRACE("step " + std::to_string(step) + " fails with " + std::to_string(error) + ", kind " +
                     std::to_string(static_cast<int>(kind)));
        SimulatedMachine machine(step);
        machine.fail_step(step, error);
        bool failed = false;
        const int done = play(machine, failed);
        ASSERT_TRUE(failed || done == kSteps);
        SimulatedMachine next(machine.crash(kind), step);
        MetadataLog log(next.files(), "/data", MetadataLog::Committer::in_caller, kFileBytes);
        const auto found = log.state();
        const auto following = static_cast<std::size_t>(std::min(done + 1, kSteps));
        ASSERT_TRUE(found == states[static_cast<std::size_t>(done)] || found == states[following]);
      }
    }
  }
}

TEST(MetadataCrash, without_room_nothing_counts_and_later_all_goes_on) {
  SimulatedMachine machine(1);
  MetadataLog log(machine.files(), "/data", MetadataLog::Committer::in_caller, kFileBytes);
  log.append(changes_of(0));
  const auto before = log.state();
  machine.fail_step(machine.steps() + 1, ENOSPC);
  try {
    log.append(changes_of(1));
    FAIL() << "the disk was full";
  } catch (const Error& error) {
    EXPECT_EQ(error.error(), errc::disk_full);
  }
  EXPECT_EQ(log.state(), before);
  log.append(changes_of(1));
  const auto after = log.state();
  SimulatedMachine next(machine.crash(CrashKind::power_least), 1);
  EXPECT_EQ(MetadataLog(next.files(), "/data", MetadataLog::Committer::in_caller, kFileBytes).state(), after);
}

}  // namespace
}  // namespace busway::test
