// busway: topics, publishing, subscribing and logs from a shell.
//
// Data goes to stdout, words to stderr. Exit status: 0 done, 1 failed, 2 wrong usage.
#include <cstdlib>
#include <iostream>

#include <fcntl.h>
#include <unistd.h>

#include "clients/cli/arguments.hpp"
#include "clients/cli/commands.hpp"
#include "clients/cli/interrupt.hpp"
#include "clients/cli/output.hpp"

namespace {

int run_guarded(const busway::cli::Invocation& invocation) {
  namespace cli = busway::cli;
  try {
    return std::visit([&](const auto& command) { return cli::run(command, invocation.socket); },
                      invocation.command);
  } catch (const cli::OutputClosed&) {
    return cli::kDone;  // whoever read our output wants no more of it: `busway sub t | head`
  } catch (const cli::UsageError& error) {
    std::cerr << "busway: " << error.what() << '\n';
    return cli::kUsage;
  } catch (const busway::Error& error) {
    std::cerr << "busway: " << error.sentence() << '\n';
  } catch (const std::bad_alloc&) {
    std::cerr << "busway: out of memory\n";
  } catch (const std::exception& error) {
    std::cerr << "busway: " << error.what() << '\n';
  }
  return cli::kFailed;
}

/// A descriptor that was closed on the way here would be given to the first file or socket that is opened,
/// and be taken for the standard stream. Opened the wrong way round, so that using it fails.
void fill_standard_streams() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0) continue;
    if (::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd) std::_Exit(busway::cli::kFailed);
  }
}

}  // namespace

int main(int argc, char** argv) {
  fill_standard_streams();
  busway::cli::ignore_broken_pipes();
  const auto parsed = busway::cli::parse_arguments(argc, argv);
  if (const auto* finished = std::get_if<busway::cli::Finished>(&parsed)) return finished->status;
  return run_guarded(std::get<busway::cli::Invocation>(parsed));
}
