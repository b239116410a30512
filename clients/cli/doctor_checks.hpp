// What `busway doctor` looks at on this machine. Each check is a pair: a probe that asks the machine, and a
// judgement of the answer, which is a pure function and can be tested with any answer. Thread safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace busway::cli {

enum class Verdict { ok, warn, fail };
std::string_view text(Verdict verdict) noexcept;  ///< "ok", "warn", "fail"

struct Check {
  std::string name;
  Verdict verdict = Verdict::ok;
  std::string found;
  std::string advice{};  ///< what to change; empty when all is well
};

/// All that can be looked at without a daemon.
std::vector<Check> check_machine();

/// `release` as uname(2) has it: "6.1.0-18-amd64".
Check judge_kernel(std::string_view release);
/// errno of a sealed memfd's creation; 0: it worked.
Check judge_memfd(int error);
/// errno of io_uring_setup(2), 0: it worked; `disabled`: the text of kernel.io_uring_disabled, empty: there
/// is none.
Check judge_io_uring(int error, std::string_view disabled);
/// errno of pidfd_open(2), and of SO_PEERPIDFD on a socket pair.
Check judge_pidfd(int open_error, int peer_error);
Check judge_descriptors(std::uint64_t soft, std::uint64_t hard);
Check judge_memory(std::uint64_t total_bytes, std::uint64_t available_bytes);
Check judge_cpus(unsigned count);
/// `source`: the kernel's current clocksource; resolution of CLOCK_REALTIME_COARSE in ns.
Check judge_clock(std::string_view source, std::int64_t coarse_ns, std::int64_t unix_seconds);

}  // namespace busway::cli
