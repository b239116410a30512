// What worker and keeper say to each other: two SOCK_SEQPACKET pairs, both ends of one binary family, so
// plain structs in host byte order.
//
// requests: the worker sends one KeeperRequest (deposits with their descriptors as SCM_RIGHTS) and waits for
// its KeeperReply before it sends the next; `ready` and `notify` are not answered. With at most one answer
// under way the keeper never blocks when it sends one. commands: the keeper sends one byte, a KeeperCommand.
// Its end of file means that the keeper is gone.
//
// The keeper believes neither indexes nor ids nor counts before it has checked them: a worker with a stray
// pointer must not be able to take the keeper down with it.
#pragma once

#include <array>
#include <cstdint>
#include <type_traits>

#include "bus/base/ids.hpp"
#include "bus/base/limits.hpp"

namespace busway::daemon {

enum class KeeperOp : std::uint32_t {
  deposit = 1,        ///< items name pending entries; as many descriptors come along
  drop = 2,           ///< items name live entries
  ready = 3,          ///< no answer
  notify = 4,         ///< text for the service manager; no answer
  configuration = 5,  ///< one descriptor: a memfd with the text
};
enum class KeeperAnswer : std::uint32_t { done = 1, no_descriptors = 2, refused = 3 };

struct KeeperItem {
  std::uint32_t index;  ///< of the manifest entry
  Uuid id;              ///< the entry's id, as the manifest has it
};
static_assert(sizeof(KeeperItem) == 20 && std::is_trivially_copyable_v<KeeperItem>);

inline constexpr std::size_t kNotifyMost = 200;

struct KeeperRequest {
  KeeperOp op;
  std::uint32_t count;  ///< of items, or bytes of text
  union {
    std::array<KeeperItem, limits::kFdsPerMessage> items;
    std::array<char, kNotifyMost> text;
  };
};
static_assert(std::is_trivially_copyable_v<KeeperRequest> && std::is_standard_layout_v<KeeperRequest>);
inline constexpr std::size_t kKeeperRequestHead = 8;

struct KeeperReply {
  KeeperOp op;
  KeeperAnswer answer;
};
static_assert(sizeof(KeeperReply) == 8 && std::is_trivially_copyable_v<KeeperReply>);

/// The descriptors of accept_handover's `numbers`, in this order, separated by commas.
struct HandoverNumbers {
  int data_dir_lock = -1;
  int listening_socket = -1;
  int manifest = -1;
  int configuration = -1;
  int requests = -1;
  int commands = -1;
};

}  // namespace busway::daemon
