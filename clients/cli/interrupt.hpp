// SIGINT and SIGTERM as something a loop can look at and a poll(2) can wait for.
//
// From watch_signals() on the first signal asks the running command to come to a clean end; a second one
// kills it as it would any program, so that nothing which blocks can keep a person from stopping it. Before,
// while it connects, the first one does: nothing was begun.
#pragma once

namespace busway::cli {

/// Installs the handlers. Call once, when there is something to be brought to an end.
void watch_signals();

/// Writes answer EPIPE. Call once, from main.
void ignore_broken_pipes();

/// Has SIGINT or SIGTERM arrived?
bool interrupted() noexcept;

/// Readable from the first SIGINT or SIGTERM on; -1 before watch_signals(). Never read from it.
int interrupt_fd() noexcept;

}  // namespace busway::cli
