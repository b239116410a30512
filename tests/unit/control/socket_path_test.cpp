// Where daemon and clients look for each other when nobody tells them.
#include "bus/control/socket_path.hpp"

#include <filesystem>

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include "bus/base/fd.hpp"
#include "daemon/server.hpp"

namespace busway::control {
namespace {

namespace fs = std::filesystem;

class SocketPath : public ::testing::Test {
 protected:
  SocketPath() {
    std::string name = (fs::temp_directory_path() / "busway-path-XXXXXX").string();
    runtime_ = ::mkdtemp(name.data());
    ::unsetenv("BUSWAY_SOCKET");
    ::setenv("XDG_RUNTIME_DIR", runtime_.c_str(), 1);
  }
  ~SocketPath() override { fs::remove_all(runtime_); }

  std::string own() const { return (runtime_ / "busway/busway.sock").string(); }

  fs::path runtime_;
};

TEST_F(SocketPath, TheEnvironmentComesFirst) {
  ::setenv("BUSWAY_SOCKET", "/somewhere/else.sock", 1);
  EXPECT_EQ(default_socket_path(SocketUse::listen), "/somewhere/else.sock");
  EXPECT_EQ(default_socket_path(SocketUse::connect), "/somewhere/else.sock");
}

TEST_F(SocketPath, ADaemonListensInTheUsersRuntimeDirectory) {
  EXPECT_EQ(default_socket_path(SocketUse::listen), own());
}

TEST_F(SocketPath, AClientLooksThereOnlyIfSomethingIsThere) {
  EXPECT_NE(default_socket_path(SocketUse::connect), own());
  const Fd listener = daemon::listen_on(own(), 0600);
  EXPECT_EQ(default_socket_path(SocketUse::connect), own());
}

TEST_F(SocketPath, WithoutARuntimeDirectoryItIsRunForRootAndTmpForOthers) {
  ::unsetenv("XDG_RUNTIME_DIR");
  const std::string expected = ::geteuid() == 0
                                   ? "/run/busway/busway.sock"
                                   : "/tmp/busway-" + std::to_string(::geteuid()) + "/busway.sock";
  EXPECT_EQ(default_socket_path(SocketUse::listen), expected);
  ::setenv("XDG_RUNTIME_DIR", "relative", 1);
  EXPECT_EQ(default_socket_path(SocketUse::listen), expected);
}

}  // namespace
}  // namespace busway::control
