// Where the socket is, and which process this is.
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bus/base/fd.hpp"
#include "bus/control/fork_mark.hpp"
#include "bus/control/socket_path.hpp"
#include "tests/support/temp_dir.hpp"

namespace busway::control {
namespace {

/// Sets a variable, or removes it, until the end of a test.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    set(value);
  }
  ~Variable() { set(old_ ? old_->c_str() : nullptr); }

 private:
  void set(const char* value) {
    if (value != nullptr) {
      ::setenv(name_, value, 1);
    } else {
      ::unsetenv(name_);
    }
  }
  const char* name_;
  std::optional<std::string> old_;
};

TEST(SocketPath, BuswaySocketComesFirst) {
  const Variable socket("BUSWAY_SOCKET", "/somewhere/else.sock");
  const Variable runtime("XDG_RUNTIME_DIR", "/run/user/1000");
  EXPECT_EQ(default_socket_path(SocketUse::connect), "/somewhere/else.sock");
  EXPECT_EQ(default_socket_path(SocketUse::listen), "/somewhere/else.sock");
}

TEST(SocketPath, TheRuntimeDirectoryIsListenedInButConnectedToOnlyWithASocketInIt) {
  const test::TempDir dir;
  const Variable socket("BUSWAY_SOCKET", "");
  const Variable runtime("XDG_RUNTIME_DIR", dir.path().c_str());
  const std::string path = (dir / "busway/busway.sock").string();
  EXPECT_EQ(default_socket_path(SocketUse::listen), path);
  EXPECT_EQ(default_socket_path(SocketUse::connect), "/run/busway/busway.sock");

  std::filesystem::create_directory(dir / "busway");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  const Fd listener(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_EQ(default_socket_path(SocketUse::connect), path);
}

TEST(SocketPath, WithoutAnyOfThemItIsTheSystems) {
  const Variable socket("BUSWAY_SOCKET", nullptr);
  const Variable runtime("XDG_RUNTIME_DIR", nullptr);
  EXPECT_EQ(default_socket_path(SocketUse::connect), "/run/busway/busway.sock");
  EXPECT_EQ(default_socket_path(SocketUse::listen), "/run/busway/busway.sock");
}

TEST(SocketPath, ARelativeRuntimeDirectoryIsNone) {
  const Variable socket("BUSWAY_SOCKET", nullptr);
  const Variable runtime("XDG_RUNTIME_DIR", "run");
  EXPECT_EQ(default_socket_path(SocketUse::listen), "/run/busway/busway.sock");
}

TEST(ForkMark, TellsChildrenAndGrandchildrenFromTheirParents) {
  const ForkMark parent;
  EXPECT_FALSE(parent.forked());
  EXPECT_NO_THROW(parent.check());
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const bool seen = parent.forked();
    const ForkMark own;
    const bool own_right = !own.forked() && parent.forked();
    const pid_t grandchild = ::fork();
    if (grandchild == 0) {
      const ForkMark third;
      ::_exit(parent.forked() && own.forked() && !third.forked() ? 0 : 1);
    }
    int status = -1;
    ::waitpid(grandchild, &status, 0);
    ::_exit(seen && own_right && status == 0 ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_FALSE(parent.forked()) << "the parent is still itself";
}

}  // namespace
}  // namespace busway::control
