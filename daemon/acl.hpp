// The access list asked about a peer, with an error that says what is missing and where to grant it.
#pragma once

#include <string_view>

#include "daemon/config_acl.hpp"
#include "daemon/peer.hpp"

namespace busway::daemon {

/// Throws errc::access_denied naming uid, right, topic and the setting `acl`. Topic `*` stands for rights
/// that belong to no topic (statistics).
void require_right(const Acl& acl, const PeerCredentials& peer, std::string_view topic, Right right);

std::string_view right_name(Right right) noexcept;

}  // namespace busway::daemon
