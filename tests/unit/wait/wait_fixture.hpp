// The bells of a daemon and the marks and wait memory of one topic, in this process; sessions by number.
#pragma once

#include <thread>

#include <gtest/gtest.h>

#include "bus/memory/region.hpp"
#include "bus/wait/bells.hpp"
#include "bus/wait/sleeper.hpp"
#include "bus/wait/waker.hpp"

namespace busway::wait::test {

using namespace std::chrono_literals;
using memory::Region;

class WaitTest : public ::testing::Test {
 protected:
  static constexpr std::uint32_t kSessions = 8;
  static constexpr std::uint32_t kPartitions = 2;

  WaitTest()
      : bells_(Region::create("wait-test-bells", memory::bells_bytes(kSessions))),
        marks_(Region::create("wait-test-marks", memory::marks_bytes(kPartitions))),
        wait_(Region::create("wait-test-wait", memory::wait_bytes(kPartitions))) {
    bells_.as<memory::Identity>()->item_count = kSessions;
  }

  BellsView bells_of(std::uint32_t session) const {
    return *view_bells(bells_.as<memory::BellsHeader>(), bells_.bytes(), session);
  }
  memory::BellsHeader& bells() const { return *bells_.as<memory::BellsHeader>(); }
  memory::MarksTables& tables() const { return *memory::marks_tables(marks_.as<memory::MarksHeader>()); }
  /// The daemon gives session `session` the sleeper bit `bit`.
  void give_bit(std::uint32_t bit, std::uint32_t session) const {
    tables().sleeper_session[bit].store(session + 1);
    memory::Atomic32& words = marks_.as<memory::MarksHeader>()->sleeper_words;
    words.store(std::max(words.load(), bit / 64 + 1));
  }
  Waker waker() const { return Waker(bells_of(0), marks_.as<memory::MarksHeader>()); }
  memory::WaitHeader* wait_header() const { return wait_.as<memory::WaitHeader>(); }
  memory::PartitionWait& partition(std::uint32_t number) const {
    return memory::wait_partitions(wait_header())[number];
  }
  Sleepers records(std::uint32_t number) const {
    return {partition(number).records.words, limits::kSleepersPerTopic / 64};
  }
  std::uint64_t bits(std::uint32_t number) const { return partition(number).records.words[0].load(); }

  Region bells_;
  Region marks_;
  Region wait_;
};

}  // namespace busway::wait::test
