#include "clients/cli/doctor_checks.hpp"

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>

#include <fcntl.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "bus/base/fd.hpp"
#include "clients/cli/text.hpp"

namespace busway::cli {
namespace {

// Linux 6.5; the headers of Debian 12 are older than that.
constexpr int kSoPeerPidfd = 77;

std::string first_line(const char* file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

/// A line of /proc/meminfo, in bytes; 0: there is none.
std::uint64_t meminfo_bytes(std::string_view wanted) {
  std::ifstream in("/proc/meminfo");
  std::string name;
  std::uint64_t kilobytes = 0;
  for (std::string unit; in >> name >> kilobytes && std::getline(in, unit);) {
    if (name == wanted) return kilobytes * 1024;
  }
  return 0;
}

int probe_memfd() {
  const Fd memory(::memfd_create("busway-doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory) return errno;
  return ::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0 ? 0 : errno;
}

int probe_io_uring() {
  io_uring_params params{};
  const Fd ring(static_cast<int>(::syscall(SYS_io_uring_setup, 1, &params)));
  return ring ? 0 : errno;
}

int probe_pidfd_open() {
  const Fd self(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  return self ? 0 : errno;
}

int probe_peer_pidfd() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) return errno;
  const Fd ours(ends[0]);
  const Fd theirs(ends[1]);
  int pidfd = -1;
  socklen_t size = sizeof pidfd;
  if (::getsockopt(ours.get(), SOL_SOCKET, kSoPeerPidfd, &pidfd, &size) != 0) return errno;
  const Fd peer(pidfd);
  return 0;
}

unsigned usable_cpus() {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  return ::sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? static_cast<unsigned>(CPU_COUNT(&cpus)) : 1;
}

}  // namespace

std::string_view text(Verdict verdict) noexcept {
  return verdict == Verdict::ok ? "ok" : verdict == Verdict::warn ? "warn" : "fail";
}

Check judge_kernel(std::string_view release) {
  int major = 0;
  int minor = 0;
  const char* const end = release.data() + release.size();
  const auto dot = std::from_chars(release.data(), end, major);
  if (dot.ptr != end && *dot.ptr == '.') std::from_chars(dot.ptr + 1, end, minor);
  Check check{"kernel", Verdict::ok, "Linux " + std::string(release)};
  if (major < 5 || (major == 5 && minor < 10)) {
    check.verdict = Verdict::fail;
    check.advice = "Busway needs Linux 5.10 or newer";
  } else if (major < 6 || (major == 6 && minor < 1)) {
    check.verdict = Verdict::warn;
    check.advice = "Busway is tested with Linux 6.1 and newer";
  }
  return check;
}

Check judge_memfd(int error) {
  if (error == 0) return {"memfd", Verdict::ok, "sealed shared memory can be created"};
  return {"memfd", Verdict::fail, std::string("memfd_create: ") + std::strerror(error),
          "allow memfd_create(2) and its seals: a seccomp profile may forbid them"};
}

Check judge_io_uring(int error, std::string_view disabled) {
  if (error == 0) return {"io_uring", Verdict::ok, "allowed"};
  Check check{"io_uring", Verdict::warn, std::string("refused: ") + std::strerror(error)};
  const std::string threads =
      "; until then the log is written by threads (disk.backend=threads), which is slower";
  if (error == ENOSYS) {
    check.advice = "use a kernel with io_uring" + threads;
  } else if (!disabled.empty() && disabled != "0") {
    check.advice = "sysctl kernel.io_uring_disabled is " + std::string(disabled) + "; set it to 0" + threads;
  } else {
    check.advice = "allow io_uring_setup(2) in the container's seccomp profile" + threads;
  }
  return check;
}

Check judge_pidfd(int open_error, int peer_error) {
  if (open_error != 0) {
    return {"pidfd", Verdict::fail, std::string("pidfd_open: ") + std::strerror(open_error),
            "Linux 5.3 or newer, and a seccomp profile that allows pidfd_open(2), are needed to notice dead "
            "clients"};
  }
  if (peer_error != 0) {
    return {"pidfd", Verdict::ok,
            "pidfd_open works; SO_PEERPIDFD (Linux 6.5) does not: clients send their own pidfd"};
  }
  return {"pidfd", Verdict::ok, "pidfd_open and SO_PEERPIDFD work"};
}

Check judge_descriptors(std::uint64_t soft, std::uint64_t hard) {
  Check check{"descriptors", Verdict::ok,
              human_count(hard) + " at most (hard limit of this shell; soft " + human_count(soft) + ")"};
  if (hard == RLIM_INFINITY) check.found = "no limit";
  if (hard < 1024) {
    check.verdict = Verdict::fail;
  } else if (hard < 16384) {
    check.verdict = Verdict::warn;
  }
  if (check.verdict != Verdict::ok) {
    check.advice =
        "a topic in use takes several descriptors: raise the hard limit (ulimit -Hn, LimitNOFILE= of the "
        "service) to 65,536 or more";
  }
  return check;
}

Check judge_memory(std::uint64_t total_bytes, std::uint64_t available_bytes) {
  Check check{"memory", Verdict::ok,
              human_bytes(total_bytes) + ", " + human_bytes(available_bytes) + " available; a daemon takes " +
                  human_bytes(total_bytes / 4) + " at most unless memory.max.bytes says otherwise"};
  if (available_bytes < (std::uint64_t{256} << 20)) {
    check.verdict = Verdict::warn;
    check.advice = "less than 256 MiB are free: set memory.max.bytes to what rings and lanes may take";
  }
  return check;
}

Check judge_cpus(unsigned count) {
  if (count > 1) return {"cpus", Verdict::ok, std::to_string(count) + " usable"};
  return {"cpus", Verdict::warn, "1 usable",
          "with one CPU publisher and subscriber take turns: latency is that of the scheduler"};
}

Check judge_clock(std::string_view source, std::int64_t coarse_ns, std::int64_t unix_seconds) {
  constexpr std::int64_t kYear2024 = 1'704'067'200;
  Check check{"clock", Verdict::ok,
              (source.empty() ? "unknown source" : std::string(source)) + ", time stamps in steps of " +
                  std::to_string(coarse_ns / 1'000'000) + " ms, now " + iso_time(unix_seconds * 1000)};
  if (unix_seconds < kYear2024) {
    check.verdict = Verdict::fail;
    check.advice =
        "the clock is wrong: records get time stamps of the past, and retention.ms deletes them at once";
  } else if (source == "hpet" || source == "acpi_pm" || source == "jiffies") {
    check.verdict = Verdict::warn;
    check.advice = "reading this clocksource takes about a microsecond; tsc or kvm-clock are 50 times faster";
  } else if (coarse_ns > 4'000'000) {
    check.verdict = Verdict::warn;
    check.advice =
        "the kernel ticks less than 250 times a second: ask for precise_time where milliseconds matter";
  }
  return check;
}

std::vector<Check> check_machine() {
  utsname name{};
  ::uname(&name);
  rlimit descriptors{};
  ::getrlimit(RLIMIT_NOFILE, &descriptors);
  timespec coarse{};
  ::clock_getres(CLOCK_REALTIME_COARSE, &coarse);
  return {judge_kernel(name.release),
          judge_memfd(probe_memfd()),
          judge_io_uring(probe_io_uring(), first_line("/proc/sys/kernel/io_uring_disabled")),
          judge_pidfd(probe_pidfd_open(), probe_peer_pidfd()),
          judge_descriptors(descriptors.rlim_cur, descriptors.rlim_max),
          judge_memory(meminfo_bytes("MemTotal:"), meminfo_bytes("MemAvailable:")),
          judge_cpus(usable_cpus()),
          judge_clock(first_line("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
                      coarse.tv_nsec, ::time(nullptr))};
}

}  // namespace busway::cli
