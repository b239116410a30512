#include "tests/unit/publish_path/instruction_counter.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <stdexcept>

#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

namespace busway::test {
namespace {

constexpr unsigned char kBreakpoint = 0xCC;
constexpr std::size_t kInstructionMost = 15;
/// Far more than a publish takes: a child that waits for something would be stepped for ever.
constexpr std::uint64_t kStepsMost = 1'000'000;

using Code = std::array<unsigned char, 16>;

bool is_legacy_prefix(unsigned char byte) noexcept {
  return std::strchr("\x66\x67\xF2\xF3\x2E\x36\x3E\x26\x64\x65", byte) != nullptr && byte != 0;
}

/// The instruction without its prefixes; `lock` says whether one of them was lock.
const unsigned char* opcode_of(const unsigned char* code, bool& lock) noexcept {
  const unsigned char* at = code;
  lock = false;
  while (at < code + kInstructionMost && (is_legacy_prefix(*at) || *at == 0xF0)) lock = *at++ == 0xF0 || lock;
  if ((*at & 0xF0) == 0x40) ++at;  // REX
  return at;
}

class Tracee {
 public:
  explicit Tracee(const std::function<void()>& child) {
    if (::pipe(complaint_.data()) != 0) throw std::runtime_error("pipe");
    pid_ = ::fork();
    if (pid_ < 0) throw std::runtime_error("fork");
    if (pid_ == 0) be_child(child);
    ::close(complaint_[1]);
  }
  Tracee(const Tracee&) = delete;
  Tracee& operator=(const Tracee&) = delete;
  ~Tracee() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    ::close(complaint_[0]);
  }

  /// Until it stops at a mark.
  void run_to_mark() {
    ask(PTRACE_CONT);
    await_trap();
  }
  /// One instruction.
  void step() {
    ask(PTRACE_SINGLESTEP);
    await_trap();
  }
  /// What it executes next.
  Code next_code() {
    user_regs_struct registers{};
    if (::ptrace(PTRACE_GETREGS, pid_, nullptr, &registers) != 0) throw std::runtime_error("PTRACE_GETREGS");
    Code code{};
    for (std::size_t at = 0; at < code.size(); at += sizeof(long)) {
      errno = 0;
      const long word = ::ptrace(PTRACE_PEEKTEXT, pid_, registers.rip + at, nullptr);
      if (errno != 0) break;  // the last page of a mapping
      std::memcpy(code.data() + at, &word, sizeof word);
    }
    return code;
  }
  void await_stop() {
    int status = 0;
    if (::waitpid(pid_, &status, 0) != pid_ || !WIFSTOPPED(status))
      throw std::runtime_error("the child did not start");
  }

 private:
  [[noreturn]] void be_child(const std::function<void()>& child) {
    ::close(complaint_[0]);
    ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    ::raise(SIGSTOP);
    try {
      child();
    } catch (const std::exception& error) {
      static_cast<void>(::write(complaint_[1], error.what(), std::strlen(error.what())) + 1);
    }
    ::_exit(0);
  }
  void ask(__ptrace_request request) {
    if (::ptrace(request, pid_, nullptr, nullptr) != 0) throw std::runtime_error("ptrace: the child is gone");
  }
  void await_trap() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) == pid_) {
      if (!WIFSTOPPED(status)) throw std::runtime_error("the child ended before its mark: " + complaint());
      if (WSTOPSIG(status) == SIGTRAP) return;
      if (::ptrace(PTRACE_CONT, pid_, nullptr, WSTOPSIG(status)) != 0) break;
    }
    throw std::runtime_error("the child cannot be waited for");
  }
  std::string complaint() const {
    std::array<char, 512> text{};
    const ssize_t got = ::read(complaint_[0], text.data(), text.size());
    return {text.data(), static_cast<std::size_t>(got < 0 ? 0 : got)};
  }

  std::array<int, 2> complaint_{};
  pid_t pid_ = -1;
};

}  // namespace

// The marks are breakpoints of their own, not inlined, so that nothing of the code between them is moved out.
[[gnu::noinline]] void begin_counting() noexcept { asm volatile("int3" : : : "memory"); }
[[gnu::noinline]] void end_counting() noexcept { asm volatile("int3" : : : "memory"); }

bool is_locked(const unsigned char* code) noexcept {
  bool lock = false;
  const unsigned char* opcode = opcode_of(code, lock);
  const bool exchange = *opcode == 0x86 || *opcode == 0x87;
  const bool with_memory = (opcode[1] & 0xC0) != 0xC0;
  return lock || (exchange && with_memory);
}

bool is_syscall(const unsigned char* code) noexcept {
  bool lock = false;
  const unsigned char* opcode = opcode_of(code, lock);
  if (*opcode == 0x0F) return opcode[1] == 0x05 || opcode[1] == 0x34;
  return *opcode == 0xCD && opcode[1] == 0x80;
}

bool is_prefetch(const unsigned char* code) noexcept {
  bool lock = false;
  const unsigned char* opcode = opcode_of(code, lock);
  return *opcode == 0x0F && (opcode[1] == 0x18 || opcode[1] == 0x0D);
}

Executed count_in_child(const std::function<void()>& child, const std::function<void()>& once_forked) {
  Tracee tracee(child);
  tracee.await_stop();
  once_forked();
  tracee.run_to_mark();
  Executed executed;
  while (true) {
    const Code code = tracee.next_code();
    if (code[0] == kBreakpoint) return executed;
    ++executed.instructions;
    if (is_locked(code.data())) ++executed.locked;
    if (is_syscall(code.data())) ++executed.syscalls;
    if (is_prefetch(code.data())) ++executed.prefetches;
    if (executed.instructions > kStepsMost)
      throw std::runtime_error("the child does not come to its second mark");
    tracee.step();
  }
}

}  // namespace busway::test
