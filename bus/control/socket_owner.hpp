// Whom a client believes to be its daemon. Private to this room.
#pragma once

#include <string>

#include <sys/types.h>

namespace busway::control::detail {

/// Whether a client running as `own` trusts a daemon running as `owner`: the same uid, root, the one that
/// BUSWAY_DAEMON_UID names (a number or a user's name), or the user `busway`.
bool trusted_owner(uid_t owner, uid_t own);

/// Throws errc::wrong_socket_owner naming both uids and the way out. The uid is that of the process that
/// listens (SO_PEERCRED), not that of the file, which whoever may write to its directory could have replaced.
void check_socket_owner(int socket, const std::string& path);

}  // namespace busway::control::detail
