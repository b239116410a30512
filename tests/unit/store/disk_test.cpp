// One conformance suite over every disk: io_uring, threads, and each of them traced.

#include "daemon/disk.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <map>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <busway/error.hpp>

#include "bus/base/fd.hpp"
#include "daemon/config.hpp"
#include "daemon/disk_syscalls.hpp"
#include "daemon/disk_threads.hpp"
#include "daemon/disk_trace.hpp"
#include "daemon/disk_uring.hpp"
#include "tests/unit/store/temp_directory.hpp"

namespace busway::daemon {
namespace {

using namespace std::chrono_literals;

std::vector<std::byte> pattern(std::size_t bytes, unsigned seed) {
  std::vector<std::byte> made(bytes);
  for (std::size_t i = 0; i < bytes; ++i) made[i] = static_cast<std::byte>((i * 31 + seed * 131) & 0xFF);
  return made;
}

struct Make {
  std::string name;
  std::unique_ptr<Disk> (*make)(unsigned depth);
};

std::unique_ptr<Disk> traced(std::unique_ptr<Disk> disk) {
  return std::make_unique<TraceDisk>(std::move(disk), [](const DiskEvent&) {});
}

class DiskConformance : public testing::TestWithParam<Make> {
 protected:
  void SetUp() override {
    if (GetParam().name.starts_with("io_uring") && probe_io_uring() != 0) {
      GTEST_SKIP() << "this machine refuses io_uring";
    }
    disk_ = GetParam().make(kDepth);
    file_.reset(::open((directory_ / "file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    ASSERT_TRUE(file_);
  }

  /// Reaps until `count` operations are complete: token -> error.
  std::map<std::uint64_t, int> reap(std::size_t count) {
    std::map<std::uint64_t, int> done;
    const auto give_up = std::chrono::steady_clock::now() + 30s;
    while (done.size() < count && std::chrono::steady_clock::now() < give_up) {
      std::array<DiskCompletion, 7> some;
      const std::size_t got = disk_->reap(some, 50ms);
      for (std::size_t i = 0; i < got; ++i) {
        EXPECT_TRUE(done.emplace(some[i].token, some[i].error).second) << "reaped twice: " << some[i].token;
      }
    }
    EXPECT_EQ(done.size(), count);
    return done;
  }

  std::vector<std::byte> content() const {
    struct stat about {};
    EXPECT_EQ(::fstat(file_.get(), &about), 0);
    std::vector<std::byte> bytes(static_cast<std::size_t>(about.st_size));
    EXPECT_EQ(::pread(file_.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    return bytes;
  }

  static constexpr unsigned kDepth = 32;
  test::TempDirectory directory_;
  std::unique_ptr<Disk> disk_;
  Fd file_;
};

TEST_P(DiskConformance, writes_what_was_submitted_where_it_was_submitted) {
  const auto bytes = pattern(kDepth * 5000, 1);
  for (std::size_t i = 0; i < kDepth; ++i) {
    const std::size_t part = kDepth - 1 - i;  // from the back: places do not depend on the order
    ASSERT_TRUE(disk_->submit_write(100 + part, file_.get(), std::span(bytes).subspan(part * 5000, 5000),
                                    part * 5000));
  }
  EXPECT_EQ(disk_->in_flight(), kDepth);
  const auto done = reap(kDepth);
  for (std::size_t i = 0; i < kDepth; ++i) EXPECT_EQ(done.at(100 + i), 0);
  EXPECT_EQ(disk_->in_flight(), 0u);
  EXPECT_EQ(content(), bytes);
}

TEST_P(DiskConformance, refuses_more_than_its_capacity_and_goes_on_after_reaping) {
  const auto bytes = pattern(64, 2);
  std::size_t accepted = 0;
  while (disk_->submit_write(accepted, file_.get(), bytes, accepted * 64)) ++accepted;
  EXPECT_EQ(accepted, disk_->capacity());
  EXPECT_FALSE(disk_->submit_sync(9999, file_.get(), SyncKind::data));
  reap(accepted);
  EXPECT_TRUE(disk_->submit_sync(9999, file_.get(), SyncKind::data));
  EXPECT_EQ(reap(1).at(9999), 0);
}

TEST_P(DiskConformance, places_are_used_again_without_end) {
  const auto bytes = pattern(512, 3);
  for (std::uint64_t round = 0; round < 500; ++round) {
    ASSERT_TRUE(disk_->submit_write(round, file_.get(), bytes, round * bytes.size()));
    ASSERT_EQ(reap(1).at(round), 0);
  }
  EXPECT_EQ(content().size(), 500u * 512u);
}

TEST_P(DiskConformance, hands_the_error_of_each_operation_to_its_own_token) {
  const Fd read_only(::open((directory_ / "file").c_str(), O_RDONLY | O_CLOEXEC));
  const auto bytes = pattern(100, 4);
  ASSERT_TRUE(disk_->submit_write(1, file_.get(), bytes, 0));
  ASSERT_TRUE(disk_->submit_write(2, read_only.get(), bytes, 0));
  ASSERT_TRUE(disk_->submit_sync(3, -1, SyncKind::data));
  ASSERT_TRUE(disk_->submit_sync(4, file_.get(), SyncKind::data));
  const auto done = reap(4);
  EXPECT_EQ(done.at(1), 0);
  EXPECT_EQ(done.at(2), EBADF);
  EXPECT_EQ(done.at(3), EBADF);
  EXPECT_EQ(done.at(4), 0);
}

TEST_P(DiskConformance, syncs_a_directory) {
  const Fd directory(::open(directory_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_TRUE(disk_->submit_sync(7, directory.get(), SyncKind::full));
  EXPECT_EQ(reap(1).at(7), 0);
  EXPECT_EQ(disk_->sync_now(directory.get(), SyncKind::full), 0);
}

TEST_P(DiskConformance, a_full_device_is_an_error) {
  const Fd full(::open("/dev/full", O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(full);
  const auto bytes = pattern(100, 5);
  ASSERT_TRUE(disk_->submit_write(1, full.get(), bytes, 0));
  EXPECT_EQ(reap(1).at(1), ENOSPC);
  EXPECT_EQ(disk_->write_now(full.get(), bytes, 0), ENOSPC);
}

// RLIMIT_FSIZE cuts a write short at the limit; the rest, at its own offset, then fails. Whoever takes the
// short write for the whole reports no error; whoever begins anew never ends.
TEST_P(DiskConformance, goes_on_behind_a_short_write) {
  constexpr rlim_t kLimit = 64 * 1024;
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  ::signal(SIGXFSZ, SIG_IGN);
  const rlimit low{kLimit, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &low), 0);
  const auto bytes = pattern(2 * kLimit, 6);
  EXPECT_TRUE(disk_->submit_write(1, file_.get(), bytes, 0));
  const auto done = reap(1);
  const int inline_error = disk_->write_now(file_.get(), bytes, 0);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(done.at(1), EFBIG);
  EXPECT_EQ(inline_error, EFBIG);
  const auto present = content();
  ASSERT_EQ(present.size(), kLimit);
  EXPECT_TRUE(std::equal(present.begin(), present.end(), bytes.begin()));
}

// The kernel writes at most 2 GiB - 4 KiB in one call: a write of 3 GiB is short, and whole in the end.
TEST_P(DiskConformance, finishes_a_write_that_the_kernel_cuts_into_parts) {
  constexpr std::size_t kBytes = std::size_t{3} << 30;
  void* memory = ::mmap(nullptr, kBytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  const std::span<const std::byte> bytes(static_cast<const std::byte*>(memory), kBytes);
  const Fd nowhere(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  ASSERT_TRUE(disk_->submit_write(1, nowhere.get(), bytes, 0));
  EXPECT_EQ(reap(1).at(1), 0);
  EXPECT_EQ(disk_->write_now(nowhere.get(), bytes, 0), 0);
  ::munmap(memory, kBytes);
}

TEST_P(DiskConformance, writes_and_syncs_inline) {
  const auto bytes = pattern(10'000, 7);
  EXPECT_EQ(disk_->write_now(file_.get(), bytes, 0), 0);
  EXPECT_EQ(disk_->sync_now(file_.get(), SyncKind::data), 0);
  EXPECT_EQ(content(), bytes);
  EXPECT_EQ(disk_->write_now(-1, bytes, 0), EBADF);
  EXPECT_EQ(disk_->sync_now(-1, SyncKind::data), EBADF);
  EXPECT_EQ(disk_->in_flight(), 0u);
}

TEST_P(DiskConformance, an_empty_write_completes) {
  ASSERT_TRUE(disk_->submit_write(1, file_.get(), {}, 0));
  EXPECT_EQ(reap(1).at(1), 0);
}

TEST_P(DiskConformance, reaping_nothing_returns_at_once) {
  std::array<DiskCompletion, 4> some;
  const auto from = std::chrono::steady_clock::now();
  EXPECT_EQ(disk_->reap(some, 10s), 0u);
  EXPECT_LT(std::chrono::steady_clock::now() - from, 5s);
}

TEST_P(DiskConformance, waits_no_longer_than_it_was_told) {
  // A pipe that nobody reads holds the write up: one that reap() cannot wait for.
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  Fd out(ends[0]);
  const Fd in(ends[1]);
  ::signal(SIGPIPE, SIG_IGN);
  const auto fill = pattern(std::size_t{1} << 20, 8);
  if (GetParam().name.starts_with("threads")) GTEST_SKIP() << "pwritev2 does not write to a pipe";
  ASSERT_TRUE(disk_->submit_write(1, in.get(), fill, 0));
  std::array<DiskCompletion, 4> some;
  const auto from = std::chrono::steady_clock::now();
  const std::size_t got = disk_->reap(some, 20ms);
  EXPECT_LT(std::chrono::steady_clock::now() - from, 10s);
  if (got == 0) {
    EXPECT_GE(std::chrono::steady_clock::now() - from, 15ms);
    out.reset();  // the write fails now
    EXPECT_NE(reap(1).at(1), 0);
  }
}

TEST_P(DiskConformance, the_destructor_waits_for_what_is_in_flight) {
  auto bytes = pattern(std::size_t{4} << 20, 9);
  const auto expected = bytes;
  ASSERT_TRUE(disk_->submit_write(1, file_.get(), bytes, 0));
  disk_->flush();
  disk_.reset();
  std::fill(bytes.begin(), bytes.end(), std::byte{0});  // nobody reads them any more
  EXPECT_EQ(content(), expected);
}

INSTANTIATE_TEST_SUITE_P(
    Disks, DiskConformance,
    testing::Values(
        Make{"io_uring",
             [](unsigned depth) -> std::unique_ptr<Disk> { return std::make_unique<UringDisk>(depth); }},
        Make{"threads",
             [](unsigned depth) -> std::unique_ptr<Disk> { return std::make_unique<ThreadDisk>(depth, 3); }},
        Make{"io_uring_traced", [](unsigned depth) { return traced(std::make_unique<UringDisk>(depth)); }},
        Make{"threads_traced",
             [](unsigned depth) { return traced(std::make_unique<ThreadDisk>(depth, 3)); }}),
    [](const auto& instance) { return instance.param.name; });

TEST(DiskChoice, takes_the_backend_that_was_asked_for) {
  EXPECT_EQ(make_disk({.backend = DiskBackend::threads})->name(), "threads");
  const bool permitted = probe_io_uring() == 0;
  EXPECT_EQ(make_disk({.backend = DiskBackend::automatic})->name(), permitted ? "io_uring" : "threads");
  if (permitted) {
    EXPECT_EQ(make_disk({.backend = DiskBackend::io_uring})->name(), "io_uring");
  } else {
    EXPECT_THROW(make_disk({.backend = DiskBackend::io_uring}), Error);
  }
}

TEST(DiskTrace, shows_operations_and_notes_in_their_order) {
  test::TempDirectory directory;
  const Fd file(::open((directory / "file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  std::vector<std::string> lines;
  TraceDisk disk(std::make_unique<ThreadDisk>(4, 1),
                 [&](const DiskEvent& event) { lines.push_back(text(event)); });
  const auto bytes = pattern(10, 1);
  std::array<DiskCompletion, 1> done;
  ASSERT_TRUE(disk.submit_write(5, file.get(), bytes, 20));
  while (disk.reap(done, 1s) == 0) continue;
  ASSERT_TRUE(disk.submit_sync(6, file.get(), SyncKind::data));
  while (disk.reap(done, 1s) == 0) continue;
  disk.note("acknowledged", 1, 2);
  const std::string fd = std::to_string(file.get());
  EXPECT_EQ(lines, (std::vector<std::string>{
                       "1 submit write token=5 fd=" + fd + " offset=20 bytes=10 error=0",
                       "2 done token=5 fd=-1 offset=0 bytes=0 error=0",
                       "3 submit sync token=6 fd=" + fd + " offset=0 bytes=0 error=0",
                       "4 done token=6 fd=-1 offset=0 bytes=0 error=0",
                       "5 acknowledged token=1 fd=-1 offset=2 bytes=0 error=0",
                   }));
}

TEST(DiskTrace, goes_to_a_file_line_by_line) {
  test::TempDirectory directory;
  const std::string path = directory / "trace";
  {
    const auto disk = make_disk({.backend = DiskBackend::threads, .trace_path = path});
    EXPECT_EQ(disk->sync_now(-1, SyncKind::data), EBADF);
  }
  std::ifstream lines(path);
  std::string line;
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_EQ(line, "1 begin sync token=0 fd=-1 offset=0 bytes=0 error=0");
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_EQ(line, "2 end sync token=0 fd=-1 offset=0 bytes=0 error=9");
  EXPECT_FALSE(std::getline(lines, line));
  EXPECT_THROW(make_disk({.backend = DiskBackend::threads, .trace_path = directory / "no/such/place"}),
               Error);
}

}  // namespace
}  // namespace busway::daemon
