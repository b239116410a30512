// A worker for the tests: keeper_worker DIRECTORY --worker NUMBERS. What it does is said by the file `mode`
// in DIRECTORY, what it did by lines that it adds to `journal` there. `acknowledged` is a table of what the
// keeper has acknowledged, by manifest entry; it lies in a file so that it outlives the worker, like a client
// that was handed a descriptor.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bus/memory/region.hpp"
#include "daemon/keeper_link.hpp"
#include "daemon/keeper_protocol.hpp"

namespace {

using namespace busway;
using namespace busway::daemon;
using memory::Region;

constexpr std::size_t kRegionBytes = 4096;
constexpr std::size_t kWords = kRegionBytes / sizeof(std::uint64_t);

class TestWorker {
 public:
  TestWorker(std::string dir, Handover handover, std::string numbers)
      : dir_(std::move(dir)), numbers_(std::move(numbers)), handover_(std::move(handover)) {
    journal_.reset(::open((dir_ + "/journal").c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
    const Fd table(::open((dir_ + "/acknowledged").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    const std::size_t bytes = limits::kManifestEntries * sizeof(std::atomic<std::uint64_t>);
    if (::ftruncate(table.get(), static_cast<off_t>(bytes)) != 0) std::abort();
    void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, table.get(), 0);
    if (memory == MAP_FAILED) std::abort();
    acknowledged_ = static_cast<std::atomic<std::uint64_t>*>(memory);
  }

  int run() {
    take_up();
    const std::string mode = read_mode();
    if (mode == "die-unready") die();
    if (mode == "fail") return 3;
    if (mode == "exhaust") exhaust();
    if (mode == "garbage") send_garbage();
    if (mode == "leave-pending") leave_pending();
    link().ready();
    say("ready");
    if (mode == "churn") churn();
    return serve(mode);
  }

 private:
  KeeperLink& link() { return *handover_.keeper; }

  void say(const std::string& text) {
    const std::string line = std::to_string(::getpid()) + " " + text + "\n";
    if (::write(journal_.get(), line.data(), line.size()) < 0) std::abort();
  }

  std::string read_mode() const {
    std::ifstream file(dir_ + "/mode");
    std::string mode;
    std::getline(file, mode);
    return mode;
  }

  [[noreturn]] static void die() {
    ::kill(::getpid(), SIGKILL);
    std::abort();
  }

  /// Looks at all that earlier workers left, and complains of whatever is not as it must be.
  void take_up() {
    std::size_t live = 0;
    for (const EntryIndex index : link().live_entries()) {
      ++live;
      const std::uint64_t tag = link().entry(index).aux;
      regions_.emplace(raw(index), Region::map(link().take(index), kRegionBytes, memory::Access::read_write));
      const auto* words = regions_.at(raw(index)).as<std::uint64_t>();
      if (!std::all_of(words, words + kWords, [&](std::uint64_t word) { return word == tag; })) {
        say("BAD entry " + std::to_string(raw(index)) + " holds other bytes than were put into it");
      }
    }
    for (std::uint32_t i = 0; i < limits::kManifestEntries; ++i) {
      const std::uint32_t state = link().entry(EntryIndex{i}).state.load();
      if (state == static_cast<std::uint32_t>(memory::ManifestState::pending))
        say("BAD a pending entry was left");
      const std::uint64_t tag = acknowledged_[i].load();
      if (tag != 0 && (!regions_.contains(i) || link().entry(EntryIndex{i}).aux != tag)) {
        say("BAD acknowledged entry " + std::to_string(i) + " was lost");
      }
    }
    const char* environment = std::getenv("NOTIFY_SOCKET") == nullptr ? "clean" : "NOTIFY_SOCKET";
    say("start " + std::to_string(link().worker_starts()) + " live " + std::to_string(live) +
        " environment " + environment + " kept " + link().kept_configuration());
  }

  void deposit(std::size_t count) {
    std::vector<Deposit> deposits;
    std::vector<Region> fresh;
    for (std::size_t i = 0; i < count; ++i) {
      fresh.push_back(Region::create("test", kRegionBytes));
      const std::uint64_t tag = random_() | 1;
      std::fill_n(fresh.back().as<std::uint64_t>(), kWords, tag);
      Deposit one;
      one.kind = memory::ManifestKind::lane;
      one.bytes = kRegionBytes;
      one.aux = tag;
      one.fd = fresh.back().fd();
      deposits.push_back(one);
    }
    const std::vector<EntryIndex> entries = link().deposit_many(deposits);
    for (std::size_t i = 0; i < count; ++i) {
      acknowledged_[raw(entries[i])] = deposits[i].aux;
      regions_.insert_or_assign(raw(entries[i]), std::move(fresh[i]));
    }
  }

  void drop_some(std::size_t count) {
    std::vector<EntryIndex> entries;
    for (auto it = regions_.begin(); it != regions_.end() && entries.size() < count;) {
      entries.push_back(EntryIndex{it->first});
      acknowledged_[it->first] = 0;
      it = regions_.erase(it);
    }
    link().drop_many(entries);
  }

  /// Deposits and drops until it is killed.
  [[noreturn]] void churn() {
    while (true) {
      deposit(1 + random_() % 5);
      if (regions_.size() > 40) drop_some(1 + random_() % 20);
    }
  }

  /// Deposits one descriptor many times, until the keeper has none left; nothing of it may stay.
  void exhaust() {
    const Region region = Region::create("test", kRegionBytes);
    const std::size_t before = link().live_entries().size();
    Deposit one;
    one.kind = memory::ManifestKind::lane;
    one.bytes = kRegionBytes;
    one.fd = region.fd();
    const std::vector<Deposit> many(300, one);
    try {
      link().deposit_many(many);
      say("BAD nothing was refused");
    } catch (const Error& error) {
      say("refused " + std::to_string(static_cast<int>(error.error())) + " left " +
          std::to_string(link().live_entries().size() - before) + ": " + error.sentence());
    }
  }

  /// Dies between filling an entry in and sending its descriptor.
  [[noreturn]] void leave_pending() {
    memory::ManifestEntry& entry = link().entry(EntryIndex{7});
    entry.kind = memory::ManifestKind::lane;
    entry.state = static_cast<std::uint32_t>(memory::ManifestState::pending);
    say("left one pending");
    die();
  }

  /// Requests that fit no protocol, with descriptors in tow.
  void send_garbage() {
    int requests = -1;
    if (std::sscanf(numbers_.c_str(), "%*d,%*d,%*d,%*d,%d", &requests) != 1) std::abort();
    std::uint64_t answer[2];
    for (int round = 0; round < 200; ++round) {
      KeeperRequest request{};
      request.op = static_cast<KeeperOp>(random_() % 8);
      if (request.op == KeeperOp::ready) continue;
      request.count = static_cast<std::uint32_t>(random_() % 3 == 0 ? random_() : random_() % 70);
      for (KeeperItem& item : request.items) item.index = static_cast<std::uint32_t>(random_());
      send_with_descriptor(requests, request, 1 + random_() % sizeof(request));
      while (::recv(requests, answer, sizeof(answer), MSG_DONTWAIT) > 0) {
      }
    }
    pollfd watched{requests, POLLIN, 0};
    while (::poll(&watched, 1, 200) == 1 && ::recv(requests, answer, sizeof(answer), MSG_DONTWAIT) > 0) {
    }
    say("sent garbage");
  }

  static void send_with_descriptor(int socket, KeeperRequest& request, std::size_t bytes) {
    iovec part{&request, bytes};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = STDERR_FILENO;
    std::memcpy(CMSG_DATA(rights), &fd, sizeof(fd));
    if (::sendmsg(socket, &message, MSG_NOSIGNAL) < 0) std::abort();
  }

  int serve(const std::string& mode) {
    if (mode == "deposit") {
      deposit(3);
      say("deposited");
    }
    while (true) {
      pollfd watched{link().command_fd(), POLLIN, 0};
      ::poll(&watched, 1, -1);
      switch (link().next_command()) {
        case KeeperCommand::none:
          break;
        case KeeperCommand::reload:
          if (mode == "deposit-on-reload") {
            ::kill(::getppid(), SIGSTOP);
            say("sending");
            deposit(2);
          }
          link().keep_configuration("generation=" + std::to_string(++generation_));
          say("reload");
          break;
        case KeeperCommand::replace:
          say("replace");
          return static_cast<int>(WorkerExit::replace);
        case KeeperCommand::stop:
          say("stop");
          if (mode == "die-on-stop") die();
          return static_cast<int>(WorkerExit::stopped);
        case KeeperCommand::keeper_gone:
          say("keeper_gone");
          if (mode == "slow") ::usleep(300'000);
          say("drained");
          return static_cast<int>(WorkerExit::stopped);
      }
    }
  }

  std::string dir_;
  std::string numbers_;
  Handover handover_;
  Fd journal_;
  std::atomic<std::uint64_t>* acknowledged_ =
      nullptr;  ///< tag of what the entry keeps; 0: nothing that counts
  std::map<std::uint32_t, Region> regions_;
  std::mt19937_64 random_{std::random_device{}()};
  int generation_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4 || std::strcmp(argv[2], "--worker") != 0) return 2;
  try {
    return TestWorker(argv[1], accept_handover(argv[3]), argv[3]).run();
  } catch (const std::exception& error) {
    std::cerr << "test worker: " << error.what() << std::endl;
    return 4;
  }
}
