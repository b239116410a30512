// A child process that says one word when it is ready and ends when its standard input does.
#pragma once

#include <string>
#include <vector>

#include <sys/types.h>

namespace busway::bench {

class Child {
 public:
  /// Starts `command`. The child dies with this process.
  explicit Child(const std::vector<std::string>& command);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  /// Closes its standard input, asks it to end (SIGTERM), and waits until it has.
  ~Child();

  /// Until it has written a line. False: it ended without one.
  bool await_line();
  pid_t pid() const noexcept { return pid_; }

 private:
  pid_t pid_ = -1;
  int in_ = -1;   // its standard input
  int out_ = -1;  // its standard output
};

/// In such a child: says that it is ready, then waits for the end of standard input.
void say_ready_and_wait();

}  // namespace busway::bench
