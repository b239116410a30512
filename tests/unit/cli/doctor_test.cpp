// The doctor's judgements, for machines that this one is not.
#include <cerrno>

#include <gtest/gtest.h>

#include "clients/cli/doctor_checks.hpp"

namespace busway::cli {
namespace {

TEST(Doctor, Kernels) {
  EXPECT_EQ(judge_kernel("6.1.0-18-amd64").verdict, Verdict::ok);
  EXPECT_EQ(judge_kernel("5.15.0").verdict, Verdict::warn);
  EXPECT_EQ(judge_kernel("5.4.0").verdict, Verdict::fail);
  EXPECT_EQ(judge_kernel("4.19").verdict, Verdict::fail);
}

TEST(Doctor, AContainerWithoutIoUringIsToldWhatToChange) {
  EXPECT_EQ(judge_io_uring(0, "0").verdict, Verdict::ok);
  const Check seccomp = judge_io_uring(EPERM, "0");
  EXPECT_EQ(seccomp.verdict, Verdict::warn);
  EXPECT_NE(seccomp.advice.find("seccomp"), std::string::npos);
  EXPECT_NE(judge_io_uring(EPERM, "2").advice.find("kernel.io_uring_disabled"), std::string::npos);
  EXPECT_NE(judge_io_uring(ENOSYS, "").advice.find("kernel with io_uring"), std::string::npos);
}

TEST(Doctor, WithoutMemfdNothingWorks) {
  EXPECT_EQ(judge_memfd(0).verdict, Verdict::ok);
  EXPECT_EQ(judge_memfd(EPERM).verdict, Verdict::fail);
}

TEST(Doctor, PeerPidfdIsAConvenience) {
  EXPECT_EQ(judge_pidfd(0, 0).verdict, Verdict::ok);
  EXPECT_EQ(judge_pidfd(0, ENOPROTOOPT).verdict, Verdict::ok);
  EXPECT_EQ(judge_pidfd(ENOSYS, ENOPROTOOPT).verdict, Verdict::fail);
}

TEST(Doctor, FewDescriptors) {
  EXPECT_EQ(judge_descriptors(1024, 1048576).verdict, Verdict::ok);
  EXPECT_EQ(judge_descriptors(1024, 4096).verdict, Verdict::warn);
  EXPECT_EQ(judge_descriptors(256, 256).verdict, Verdict::fail);
}

TEST(Doctor, LittleMemoryAndOneCpu) {
  EXPECT_EQ(judge_memory(16ull << 30, 8ull << 30).verdict, Verdict::ok);
  EXPECT_NE(judge_memory(1ull << 30, 100ull << 20).advice.find("memory.max.bytes"), std::string::npos);
  EXPECT_EQ(judge_cpus(1).verdict, Verdict::warn);
  EXPECT_EQ(judge_cpus(2).verdict, Verdict::ok);
}

TEST(Doctor, Clocks) {
  EXPECT_EQ(judge_clock("tsc", 4'000'000, 1'800'000'000).verdict, Verdict::ok);
  EXPECT_EQ(judge_clock("hpet", 4'000'000, 1'800'000'000).verdict, Verdict::warn);
  EXPECT_EQ(judge_clock("tsc", 10'000'000, 1'800'000'000).verdict, Verdict::warn);
  EXPECT_EQ(judge_clock("tsc", 4'000'000, 0).verdict, Verdict::fail);
}

TEST(Doctor, LooksAtThisMachine) {
  const auto checks = check_machine();
  EXPECT_EQ(checks.size(), 8u);
  for (const Check& check : checks) {
    EXPECT_FALSE(check.found.empty()) << check.name;
    EXPECT_EQ(check.verdict == Verdict::ok, check.advice.empty()) << check.name;
  }
}

}  // namespace
}  // namespace busway::cli
