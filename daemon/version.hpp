// The version of this daemon, for people and for `busway doctor`.
#pragma once

namespace busway::daemon {

inline constexpr const char* kVersion = BUSWAY_VERSION;

}  // namespace busway::daemon
