// A control server on a thread of its own, with a handler that remembers what it was told, and clients of
// every manner. For the tests of session and server.
#pragma once

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <functional>
#include <mutex>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bus/control/framing.hpp"
#include "bus/control/session.hpp"
#include "daemon/server.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_dir.hpp"

namespace busway::daemon::testing {

using namespace std::chrono_literals;
namespace ctl = busway::control;
using test::eventually;

inline Deadline soon() { return Deadline::after(20s); }

template <class Call>
Error error_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  return {errc::ok, "no error"};
}

inline std::size_t open_descriptors() {
  std::size_t open = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++open;
  return open;
}

/// Answers every request in the simplest way, and remembers.
class TestHandler : public RequestHandler {
 public:
  TestHandler() : bells_(check_errno(::memfd_create("bells", MFD_CLOEXEC), "memfd_create")) {
    check_errno(::ftruncate(bells_.get(), 4711), "ftruncate");
  }

  void session_opened(const SessionInfo& session) override {
    if (refuse_all) throw Error(errc::access_denied, "this test lets nobody in");
    remember("opened " + std::to_string(session.number));
    const std::lock_guard lock(mutex_);
    last_ = session;
  }
  void session_resumed(const SessionInfo& session) override {
    remember("resumed " + std::to_string(session.number));
  }
  void session_detached(const SessionInfo& session) noexcept override {
    remember("detached " + std::to_string(session.number));
  }
  void session_ended(const SessionInfo& session, SessionEnd end) noexcept override {
    remember((end == SessionEnd::goodbye ? "goodbye " : "died ") + std::to_string(session.number));
  }
  int bells_fd() noexcept override { return bells_.get(); }

  Answer<ctl::Ok> create_topic(const SessionInfo&, const ctl::CreateTopic& m) override {
    remember("create " + m.name);
    return ctl::Ok{};
  }
  Answer<ctl::Ok> alter_topic(const SessionInfo&, const ctl::AlterTopic&) override {
    throw std::runtime_error("something nobody thought of");
  }
  Answer<ctl::Ok> delete_topic(const SessionInfo&, const ctl::DeleteTopic& m) override {
    throw Error(errc::unknown_topic, "there is no topic " + m.name);
  }
  Answer<ctl::TopicList> list_topics(const SessionInfo&, const ctl::ListTopics&) override {
    return ctl::TopicList{std::vector<std::string>(ctl::kTopicNamesPerPage, std::string(249, 't')), true};
  }
  Answer<ctl::TopicDescription> describe_topic(const SessionInfo&, const ctl::DescribeTopic& m) override {
    if (on_describe) on_describe();
    return ctl::TopicDescription{.name = m.name, .partition_count = 1};
  }
  Answer<ctl::Attached> attach(const SessionInfo&, const ctl::Attach&) override {
    Answer<ctl::Attached> answer(ctl::Attached{.attachment = ctl::AttachmentId{1}, .partitions = 4});
    answer.lend(bells_.get()).give(Fd(::memfd_create("wait", MFD_CLOEXEC)));
    return answer;
  }
  Answer<ctl::Ok> detach(const SessionInfo&, const ctl::Detach&) override { return ctl::Ok{}; }
  Answer<ctl::Rings> get_rings(const SessionInfo&, const ctl::GetRings&) override {
    Answer<ctl::Rings> answer;
    for (std::uint32_t i = 0; i < limits::kFdsPerMessage; ++i) {
      answer.body.rings.push_back({i, Generation{1}, 4096});
      answer.lend(bells_.get());
    }
    return answer;
  }
  Answer<ctl::Lanes> get_lanes(const SessionInfo&, const ctl::GetLanes&) override { return ctl::Lanes{}; }
  Answer<ctl::Lane> get_lane(const SessionInfo&, const ctl::GetLane&) override {
    return ctl::Lane{{LaneId{1}}};  // forgets its descriptor
  }
  Answer<ctl::Lane> new_lane(const SessionInfo&, const ctl::NewLane&) override {
    Answer<ctl::Lane> answer(ctl::Lane{{LaneId{1}, Generation{1}, 65536}});
    answer.lend(bells_.get());
    return answer;
  }
  Answer<ctl::Ok> drop_lane(const SessionInfo&, const ctl::DropLane&) override { return ctl::Ok{}; }
  Answer<ctl::Ok> grow_ring(const SessionInfo&, const ctl::GrowRing&) override { return ctl::Ok{}; }
  Answer<ctl::Segments> get_segments(const SessionInfo&, const ctl::GetSegments&) override {
    return ctl::Segments{};
  }
  Answer<ctl::OffsetFound> offset_for_time(const SessionInfo&, const ctl::OffsetForTime& m) override {
    return ctl::OffsetFound{m.timestamp_ms, m.timestamp_ms};
  }
  Answer<ctl::StatsPage> stats(const SessionInfo&, const ctl::Stats&) override { return ctl::StatsPage{}; }
  Answer<ctl::DaemonDescription> daemon_info(const SessionInfo&, const ctl::DaemonInfo&) override {
    return ctl::DaemonDescription{.version = "test", .pid = ::getpid()};
  }

  bool was_told(const std::string& what) const {
    const std::lock_guard lock(mutex_);
    return std::find(told_.begin(), told_.end(), what) != told_.end();
  }
  SessionInfo last_opened() const {
    const std::lock_guard lock(mutex_);
    return last_;
  }

  std::atomic<bool> refuse_all{false};
  std::function<void()> on_describe;

 private:
  void remember(const std::string& what) noexcept {
    const std::lock_guard lock(mutex_);
    told_.push_back(what);
  }

  Fd bells_;
  mutable std::mutex mutex_;
  std::vector<std::string> told_;
  SessionInfo last_;
};

class ControlServer : public ::testing::Test {
 protected:
  ControlServer() { options_.daemon_version = "0.1.0-test"; }
  ~ControlServer() override { stop(); }

  /// Starts the server, with what `before` does to it first.
  void start(const std::function<void(Server&)>& before = {}) {
    listen();
    server_ = std::make_unique<Server>(Fd(::dup(listener_.get())), handler_, options_);
    if (before) before(*server_);
    run();
  }
  void listen() {
    if (!listener_) listener_ = listen_on(path_, 0666);
  }
  /// Lets the thread run, or not, while the server stays as it is.
  void run() {
    running_ = true;
    thread_ = std::thread([this] {
      while (running_) server_->run_once(std::chrono::milliseconds(-1));
    });
  }
  void pause() {
    if (!thread_.joinable()) return;
    running_ = false;
    server_->wake();
    thread_.join();
  }
  /// As if the worker had been killed: connections are closed, the listening socket stays.
  void stop() {
    pause();
    server_.reset();
  }
  /// Runs `work` on the server's thread and waits for it.
  void in_server(const std::function<void(Server&)>& work) {
    std::atomic<bool> done = false;
    server_->post([&] {
      work(*server_);
      done = true;
    });
    while (!done) std::this_thread::sleep_for(1ms);
  }
  Server::Counters counters() {
    Server::Counters counters;
    in_server([&](Server& server) { counters = server.counters(); });
    return counters;
  }

  /// A pidfd of this process.
  static Fd own_pidfd() { return Fd(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0))); }

  std::unique_ptr<ctl::ClientSession> connect(ctl::NoticeHandler on_notice = {}) {
    return std::make_unique<ctl::ClientSession>(ctl::SessionOptions{.socket = path_,
                                                                    .program = "the test",
                                                                    .client_version = "1.2.3",
                                                                    .on_notice = std::move(on_notice)},
                                                soon());
  }

  test::TempDir dir_;
  const std::string path_ = (dir_ / "run/busway.sock").string();
  TestHandler handler_;
  ServerOptions options_;
  Fd listener_;
  std::unique_ptr<Server> server_;

 private:
  std::atomic<bool> running_ = false;
  std::thread thread_;
};

/// A client that speaks, or does not, exactly as it is told to.
class RawClient {
 public:
  explicit RawClient(const std::string& path)
      : socket_(check_errno(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), "socket")) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    check_errno(::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)),
                "connect");
  }

  ctl::Transfer say(const ctl::Request& request, std::uint32_t id = 1) {
    return say_bytes(ctl::encode_request(id, request));
  }
  ctl::Transfer say_bytes(const ctl::Bytes& bytes, std::span<const int> fds = {}) {
    return ctl::try_send(socket_.get(), bytes, fds);
  }
  /// The next message; nothing once the connection is closed or 20 s have passed.
  std::optional<ctl::DaemonMessage> hear() {
    ctl::Transfer got = ctl::receive(socket_.get(), received_, limits::kFdsPerMessage, soon());
    // A socket closed with our bytes unread reports that before it gives out what was said last.
    if (got == ctl::Transfer::closed)
      got = ctl::receive(socket_.get(), received_, limits::kFdsPerMessage, soon());
    if (got != ctl::Transfer::done) return std::nullopt;
    return ctl::decode_from_daemon(received_.bytes);
  }
  /// What the daemon says when it closes the connection, skipping everything else.
  ctl::ErrorReply hear_the_end() {
    ctl::ErrorReply last;
    while (const auto message = hear()) {
      if (message->id == 0 && std::holds_alternative<ctl::ErrorReply>(message->notice)) {
        last = std::get<ctl::ErrorReply>(message->notice);
      }
    }
    return last;
  }
  ctl::Welcome say_hello() {
    EXPECT_EQ(say(ctl::Hello{.program = "raw"}), ctl::Transfer::done);
    const auto answer = hear();
    if (!answer || !std::holds_alternative<ctl::Welcome>(answer->reply)) {
      ADD_FAILURE() << "no welcome";
      return {};
    }
    return std::get<ctl::Welcome>(answer->reply);
  }
  std::size_t fds_heard() const { return received_.fds.size(); }
  int socket() const { return socket_.get(); }
  void hang_up() { socket_.reset(); }

 private:
  Fd socket_;
  ctl::Received received_;
};

/// A forked process that runs `work` and exits with its result.
class Child {
 public:
  explicit Child(const std::function<int()>& work) : pid_(::fork()) {
    if (pid_ == 0) {
      int status = 99;
      try {
        status = work();
      } catch (const std::exception&) {
        status = 98;
      }
      ::_exit(status);
    }
  }
  ~Child() {
    if (pid_ > 0) kill();
  }
  pid_t pid() const { return pid_; }
  int wait() {
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  void kill() {
    ::kill(pid_, SIGKILL);
    ::waitpid(std::exchange(pid_, -1), nullptr, 0);
  }

 private:
  pid_t pid_;
};

}  // namespace busway::daemon::testing
