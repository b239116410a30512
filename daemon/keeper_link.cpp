// The link to a keeper process, and what a new worker does with what it was born with.
#include "daemon/keeper_link.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <mutex>
#include <set>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/keeper_entries.hpp"
#include "daemon/keeper_protocol.hpp"

namespace busway::daemon {
namespace {

using limits::kFdsPerMessage;

[[noreturn]] void throw_gone() {
  throw Error(errc::stopped, "the keeper process of this daemon is gone: the daemon stops");
}

/// One request with its descriptors. Retries interrupted calls; a dead keeper throws errc::stopped.
void send_request(int socket, const KeeperRequest& request, std::size_t bytes, std::span<const int> fds) {
  iovec part{const_cast<KeeperRequest*>(&request), bytes};  // NOLINT: sendmsg(2) does not write to it
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kFdsPerMessage * sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(rights), fds.data(), fds.size_bytes());
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent >= 0) return;
  if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN) throw_gone();
  throw_errno("sending to the keeper");
}

KeeperAnswer receive_answer(int socket) {
  KeeperReply reply{};
  ssize_t received = 0;
  do {
    received = ::recv(socket, &reply, sizeof(reply), 0);
  } while (received < 0 && errno == EINTR);
  if (received == 0 || (received < 0 && errno == ECONNRESET)) throw_gone();
  check_errno(static_cast<int>(received), "receiving from the keeper");
  if (received != sizeof(reply)) throw Error(errc::corrupt, "the keeper sent half an answer");
  return reply.answer;
}

class ProcessKeeperLink final : public KeeperLink {
 public:
  ProcessKeeperLink(memory::Region manifest, Fd configuration, Fd requests, Fd commands)
      : entries_(std::move(manifest)),
        configuration_(std::move(configuration)),
        requests_(std::move(requests)),
        commands_(std::move(commands)) {
    for (const EntryIndex index : entries_.live()) inherited_.insert(raw(index));
  }

  std::vector<EntryIndex> deposit_many(std::span<const Deposit> deposits) override {
    const std::lock_guard lock(mutex_);
    std::vector<EntryIndex> taken = entries_.take(deposits);
    for (std::size_t done = 0; done < taken.size(); done += kFdsPerMessage) {
      const std::size_t count = std::min(taken.size() - done, kFdsPerMessage);
      std::array<int, kFdsPerMessage> fds{};
      for (std::size_t i = 0; i < count; ++i) fds[i] = deposits[done + i].fd;
      const std::span now(taken.data() + done, count);
      const KeeperAnswer answer = ask(KeeperOp::deposit, now, {fds.data(), count});
      if (answer == KeeperAnswer::done) continue;
      drop_in_parts(
          {taken.data(), done});  // the entries of this message and of those never sent are still pending
      entries_.give_back(std::span(taken).subspan(done));
      refuse(answer);
    }
    return taken;
  }

  void drop_many(std::span<const EntryIndex> entries) override {
    const std::lock_guard lock(mutex_);
    drop_in_parts(entries);
  }

  memory::ManifestEntry& entry(EntryIndex index) noexcept override { return entries_.at(index); }

  std::vector<EntryIndex> live_entries() const override {
    const std::lock_guard lock(mutex_);
    return entries_.live();
  }

  Fd take(EntryIndex index) override {
    const std::lock_guard lock(mutex_);
    if (inherited_.erase(raw(index)) == 0) {
      throw Error(errc::usage, "manifest entry " + std::to_string(raw(index)) +
                                   " was not left by an earlier worker, or was taken before");
    }
    const memory::ManifestEntry& entry = entries_.at(index);
    if (::fcntl(entry.keeper_fd, F_GETFD) < 0) {
      throw Error(errc::corrupt, "kept descriptor " + std::to_string(entry.keeper_fd) + " was not inherited");
    }
    Fd own(entry.keeper_fd);
    check_kept_descriptor(entry, own.get());
    return own;
  }

  std::uint32_t worker_starts() const noexcept override { return entries_.header().worker_starts; }

  void ready() override { tell(KeeperOp::ready, {}); }
  void stopping() override { tell(KeeperOp::notify, "STOPPING=1"); }
  void notify(std::string_view line) override { tell(KeeperOp::notify, line.substr(0, kNotifyMost)); }

  void keep_configuration(std::string_view text) override {
    const Fd file(check_errno(::memfd_create("busway:configuration", MFD_CLOEXEC), "memfd_create"));
    if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
      throw_errno("writing a copy of the configuration");
    }
    const std::lock_guard lock(mutex_);
    const int fd = file.get();
    const KeeperAnswer answer = ask(KeeperOp::configuration, {}, {&fd, 1});
    if (answer != KeeperAnswer::done) refuse(answer);
    check_errno(::dup3(fd, configuration_.get(), O_CLOEXEC), "dup3");
  }

  std::string kept_configuration() const override {
    const std::lock_guard lock(mutex_);
    std::string text;
    std::array<char, 4096> part{};
    while (true) {
      const ssize_t bytes =
          ::pread(configuration_.get(), part.data(), part.size(), static_cast<off_t>(text.size()));
      if (bytes <= 0) return text;
      text.append(part.data(), static_cast<std::size_t>(bytes));
    }
  }

  int command_fd() const noexcept override { return commands_.get(); }

  KeeperCommand next_command() override {
    std::uint8_t byte = 0;
    const ssize_t received = ::recv(commands_.get(), &byte, 1, MSG_DONTWAIT);
    if (received == 1) {
      return byte <= static_cast<std::uint8_t>(KeeperCommand::replace) ? static_cast<KeeperCommand>(byte)
                                                                       : KeeperCommand::none;
    }
    if (received < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
      return KeeperCommand::none;
    return KeeperCommand::keeper_gone;  // end of file, or a reset: it stays that way
  }

 private:
  [[noreturn]] static void refuse(KeeperAnswer answer) {
    if (answer == KeeperAnswer::no_descriptors) {
      throw Error(errc::limit_reached,
                  "the keeper has no descriptor left: raise LimitNOFILE (ulimit -Hn) or lower topics.max, "
                  "sessions.max or lanes.per.uid.max");
    }
    throw Error(errc::corrupt, "the keeper refused a request that does not fit its manifest");
  }

  KeeperAnswer ask(KeeperOp op, std::span<const EntryIndex> entries, std::span<const int> fds) {
    KeeperRequest request{};
    request.op = op;
    request.count = static_cast<std::uint32_t>(entries.size());
    for (std::size_t i = 0; i < entries.size(); ++i) {
      request.items[i] = {raw(entries[i]), entries_.at(entries[i]).id};
    }
    send_request(requests_.get(), request, kKeeperRequestHead + entries.size() * sizeof(KeeperItem), fds);
    return receive_answer(requests_.get());
  }

  void drop_in_parts(std::span<const EntryIndex> entries) {
    for (std::size_t done = 0; done < entries.size(); done += kFdsPerMessage) {
      const auto now = entries.subspan(done, std::min(entries.size() - done, kFdsPerMessage));
      const KeeperAnswer answer = ask(KeeperOp::drop, now, {});
      if (answer != KeeperAnswer::done) refuse(answer);
      for (const EntryIndex index : now) {
        if (inherited_.erase(raw(index)) != 0) ::close(entries_.at(index).keeper_fd);  // nobody took it
      }
      entries_.give_back(now);
    }
  }

  void tell(KeeperOp op, std::string_view text) {
    KeeperRequest request{};
    request.op = op;
    request.count = static_cast<std::uint32_t>(text.size());
    std::copy(text.begin(), text.end(), request.text.begin());
    const std::lock_guard lock(mutex_);
    send_request(requests_.get(), request, kKeeperRequestHead + text.size(), {});
  }

  mutable std::mutex mutex_;  ///< guards all below; commands_ is only received from
  KeeperEntries entries_;
  std::set<std::uint32_t>
      inherited_;  ///< live entries of earlier workers whose descriptor nobody has taken yet
  Fd configuration_;
  Fd requests_;
  Fd commands_;
};

[[noreturn]] void throw_not_for_people() {
  throw Error(errc::usage, "--worker is for the keeper alone: start buswayd without it");
}

HandoverNumbers parse_numbers(std::string_view text) {
  std::array<int, 6> numbers{};
  const char* at = text.data();
  const char* const end = text.data() + text.size();
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const auto parsed = std::from_chars(at, end, numbers[i]);
    const bool separated =
        i + 1 < numbers.size() ? parsed.ptr != end && *parsed.ptr == ',' : parsed.ptr == end;
    if (parsed.ec != std::errc{} || numbers[i] < 3 || !separated) {
      throw_not_for_people();
    }
    at = parsed.ptr + 1;
  }
  return {numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]};
}

/// Closes what was inherited and nobody knows, and sets close-on-exec on the rest.
void tidy_descriptors(const std::set<int>& known) {
  DIR* dir = ::opendir("/proc/self/fd");
  if (dir == nullptr) throw_errno("opening /proc/self/fd");
  std::vector<int> strays;
  while (const dirent* entry = ::readdir(dir)) {
    int fd = -1;
    const char* name = entry->d_name;
    if (std::from_chars(name, name + std::strlen(name), fd).ec != std::errc{}) continue;
    if (fd <= STDERR_FILENO || fd == ::dirfd(dir)) continue;
    if (known.contains(fd)) {
      check_errno(::fcntl(fd, F_SETFD, FD_CLOEXEC), "setting close-on-exec on an inherited descriptor");
    } else {
      strays.push_back(fd);
    }
  }
  ::closedir(dir);
  for (const int fd : strays) ::close(fd);
}

}  // namespace

Handover accept_handover(std::string_view numbers) {
  const HandoverNumbers given = parse_numbers(numbers);
  for (const int fd : {given.data_dir_lock, given.listening_socket, given.manifest, given.configuration,
                       given.requests, given.commands}) {
    if (::fcntl(fd, F_GETFD) < 0) throw_not_for_people();
  }
  memory::Region manifest =
      memory::Region::map_known(Fd(given.manifest), memory::Kind::manifest, memory::Access::read_write);
  Handover handover;
  handover.data_dir_lock.reset(given.data_dir_lock);
  handover.listening_socket.reset(given.listening_socket);
  handover.keeper = std::make_unique<ProcessKeeperLink>(std::move(manifest), Fd(given.configuration),
                                                        Fd(given.requests), Fd(given.commands));
  std::set<int> known = {given.data_dir_lock, given.listening_socket, given.manifest,
                         given.configuration, given.requests,         given.commands};
  for (const EntryIndex index : handover.keeper->live_entries()) {
    known.insert(handover.keeper->entry(index).keeper_fd);
  }
  tidy_descriptors(known);
  return handover;
}

}  // namespace busway::daemon
