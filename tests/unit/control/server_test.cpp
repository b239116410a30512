// What becomes of sessions: processes that die, that only lose their connection, that fork, that lie about
// who they are.
#include "daemon/server.hpp"

#include <csignal>

#include <sys/stat.h>

#include "tests/unit/control/server_fixture.hpp"

namespace busway::daemon::testing {
namespace {

using Sessions = ControlServer;

std::string told(const char* what, std::uint32_t number) { return what + std::to_string(number); }

/// A process that is connected until it is killed. Tells its session's number and token.
class ConnectedProcess {
 public:
  explicit ConnectedProcess(const std::string& path)
      : pipe_(make_pipe()), child_([&] { return live(path); }) {
    check_errno(static_cast<int>(::read(pipe_.first.get(), &session, sizeof(session))), "read");
  }
  /// Closes its socket and lives on.
  void disconnect() { ::kill(child_.pid(), SIGUSR1); }
  void kill() { child_.kill(); }

  ctl::PreviousSession session;

 private:
  static std::pair<Fd, Fd> make_pipe() {
    int ends[2];
    check_errno(::pipe2(ends, O_CLOEXEC), "pipe2");
    return {Fd(ends[0]), Fd(ends[1])};
  }
  int live(const std::string& path) {
    sigset_t signals;
    ::sigemptyset(&signals);
    ::sigaddset(&signals, SIGUSR1);
    ::sigprocmask(SIG_BLOCK, &signals, nullptr);
    ctl::ClientSession client({.socket = path}, soon());
    const ctl::Welcome welcome = client.take_connection().welcome;
    const ctl::PreviousSession own{welcome.session, welcome.token};
    if (::write(pipe_.second.get(), &own, sizeof(own)) != sizeof(own)) return 1;
    int signal = 0;
    ::sigwait(&signals, &signal);
    ::close(client.fd());
    for (;;) ::pause();
  }

  std::pair<Fd, Fd> pipe_;
  Child child_;
};

TEST_F(Sessions, AKilledProcessEndsItsSession) {
  start();
  ConnectedProcess process(path_);
  process.kill();
  EXPECT_TRUE(eventually([&] { return handler_.was_told(told("died ", process.session.session)); }));
  EXPECT_EQ(counters().sessions, 0U);
}

TEST_F(Sessions, AClosedSocketDoesNotEndTheSessionOfALivingProcess) {
  start();
  ConnectedProcess process(path_);
  process.disconnect();
  const std::uint32_t number = process.session.session;
  EXPECT_TRUE(eventually([&] { return handler_.was_told(told("detached ", number)); }));
  EXPECT_EQ(counters().sessions, 1U);
  EXPECT_EQ(counters().detached, 1U);
  EXPECT_FALSE(handler_.was_told(told("died ", number)));
  process.kill();
  EXPECT_TRUE(eventually([&] { return handler_.was_told(told("died ", number)); }));
}

TEST_F(Sessions, AnEvictedProcessIsToldWhyAndKeepsItsSession) {
  start();
  const auto client = connect();
  const std::uint32_t number = client->take_connection().welcome.session;
  in_server([&](Server& server) {
    server.evict(number, errc::corrupt, "it wrote a frame that does not check out");
  });
  const Error error = error_of([&] { client->request(ctl::DaemonInfo{}, soon()); });
  EXPECT_EQ(error.error(), errc::no_daemon);
  EXPECT_NE(error.sentence().find("does not check out"), std::string::npos);
  EXPECT_EQ(counters().detached, 1U);
  EXPECT_EQ(client->reconnect(1, soon())->continuity, ctl::Continuity::resumed);
}

TEST_F(Sessions, GoodbyeEndsASessionAtOnce) {
  start();
  const auto client = connect();
  const std::uint32_t number = client->take_connection().welcome.session;
  client->goodbye(soon());
  EXPECT_TRUE(handler_.was_told(told("goodbye ", number)));
  EXPECT_FALSE(handler_.was_told(told("detached ", number)));
  EXPECT_EQ(counters().sessions, 0U);
}

TEST_F(Sessions, ASecondConnectionOfTheSameProcessTakesItsSessionOver) {
  start();
  RawClient first(path_);
  const ctl::Welcome welcome = first.say_hello();
  RawClient second(path_);
  ASSERT_EQ(second.say(ctl::Hello{.previous = ctl::PreviousSession{welcome.session, welcome.token}}),
            ctl::Transfer::done);
  const auto answer = std::get<ctl::Welcome>(second.hear()->reply);
  EXPECT_TRUE(answer.resumed);
  EXPECT_EQ(answer.session, welcome.session);
  EXPECT_FALSE(first.hear()) << "the first connection is closed";
  EXPECT_FALSE(handler_.was_told(told("detached ", welcome.session)));
}

TEST_F(Sessions, AWrongTokenGivesANewSession) {
  start();
  RawClient first(path_);
  const ctl::Welcome welcome = first.say_hello();
  RawClient second(path_);
  ASSERT_EQ(second.say(ctl::Hello{.previous = ctl::PreviousSession{welcome.session, welcome.token + 1}}),
            ctl::Transfer::done);
  const auto answer = std::get<ctl::Welcome>(second.hear()->reply);
  EXPECT_FALSE(answer.resumed);
  EXPECT_NE(answer.session, welcome.session);
}

TEST_F(Sessions, AStolenTokenGivesANewSession) {
  start();
  const ConnectedProcess owner(path_);
  RawClient thief(path_);
  ASSERT_EQ(thief.say(ctl::Hello{.previous = owner.session}), ctl::Transfer::done);
  const auto answer = std::get<ctl::Welcome>(thief.hear()->reply);
  EXPECT_FALSE(answer.resumed);
  EXPECT_NE(answer.session, owner.session.session);
}

TEST_F(Sessions, AnHeirOfTheSocketIsRefused) {
  start();
  RawClient client(path_);
  client.say_hello();
  Child heir([&] {
    return client.say(ctl::NewLane{ctl::TopicId{1}, 100}, 2) == ctl::Transfer::done ? 0 : 1;
  });
  ASSERT_EQ(heir.wait(), 0);
  const ctl::ErrorReply end = client.hear_the_end();
  EXPECT_EQ(end.code, errc::forked);
  EXPECT_NE(end.sentence.find("must connect anew"), std::string::npos);
}

TEST_F(Sessions, AnHeirOfADeadProcessIsRefused) {
  start();
  int held[2];
  ASSERT_EQ(::pipe(held), 0);
  // The connecting process dies and leaves its socket to a child that waits to be told to speak.
  int done[2];
  ASSERT_EQ(::pipe(done), 0);
  Child parent([&] {
    RawClient client(path_);
    client.say_hello();
    if (::fork() == 0) {
      char byte = 0;
      (void)!::read(held[0], &byte, 1);
      (void)client.say(ctl::NewLane{ctl::TopicId{1}, 100}, 2);
      const ctl::ErrorReply end = client.hear_the_end();
      const char result = end.code == errc::forked ? 'y' : 'n';
      (void)!::write(done[1], &result, 1);
      ::_exit(0);
    }
    return 0;
  });
  ASSERT_EQ(parent.wait(), 0);
  EXPECT_TRUE(eventually([&] { return handler_.was_told("died 0"); })) << "although its socket is still open";
  ASSERT_EQ(::write(held[1], "x", 1), 1);
  char result = 0;
  ASSERT_EQ(::read(done[0], &result, 1), 1);
  EXPECT_EQ(result, 'y');
  for (const int fd : {held[0], held[1], done[0], done[1]}) ::close(fd);
}

TEST_F(Sessions, AProcessThatDiedBetweenTwoWorkersIsNoticedByTheNext) {
  start();
  Fd pidfd;
  pid_t pid = 0;
  {
    Child child([] {
      for (;;) ::pause();
      return 0;
    });
    pid = child.pid();
    pidfd.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  }
  stop();
  start([&](Server& server) { server.adopt_session({5, 1, pid, 0, std::move(pidfd)}); });
  EXPECT_TRUE(eventually([&] { return handler_.was_told("died 5"); }));
}

TEST_F(Sessions, WithoutPeerpidfdTheClientEchoesANonce) {
  options_.use_peerpidfd = false;
  start();
  const auto client = connect();
  EXPECT_NO_THROW(client->request(ctl::DaemonInfo{}, soon()));
  ConnectedProcess process(path_);
  process.kill();
  EXPECT_TRUE(eventually([&] { return handler_.was_told(told("died ", process.session.session)); }));
}

TEST_F(Sessions, AWrongNonceIsTheEnd) {
  options_.use_peerpidfd = false;
  start();
  RawClient client(path_);
  ASSERT_EQ(client.say(ctl::Hello{}), ctl::Transfer::done);
  const auto nonce = std::get<ctl::Challenge>(client.hear()->reply).nonce;
  ASSERT_EQ(client.say(ctl::ChallengeAnswer{nonce + 1}, 2), ctl::Transfer::done);
  EXPECT_EQ(client.hear_the_end().code, errc::bad_message);
  EXPECT_EQ(counters().sessions, 0U);
}

TEST_F(Sessions, NothingIsServedBeforeTheNonceWasEchoed) {
  options_.use_peerpidfd = false;
  start();
  RawClient client(path_);
  ASSERT_EQ(client.say(ctl::Hello{}), ctl::Transfer::done);
  ASSERT_TRUE(client.hear());
  ASSERT_EQ(client.say(ctl::CreateTopic{"orders"}, 2), ctl::Transfer::done);
  EXPECT_EQ(client.hear_the_end().code, errc::bad_message);
  EXPECT_FALSE(handler_.was_told("create orders"));
}

/// A keeper that forgot SO_PASSCRED: what clients said before there was a worker has no sender.
TEST_F(Sessions, AHelloWithoutASenderIsBelievedAfterANonce) {
  listen();
  const int off = 0;
  ASSERT_EQ(::setsockopt(listener_.get(), SOL_SOCKET, SO_PASSCRED, &off, sizeof(off)), 0);
  RawClient client(path_);
  ASSERT_EQ(client.say(ctl::Hello{}), ctl::Transfer::done);
  start();
  const auto first = client.hear();
  ASSERT_TRUE(first);
  // Kernels differ in whether they name the sender here; either way the client gets in, and by a nonce if
  // not.
  if (const auto* challenge = std::get_if<ctl::Challenge>(&first->reply)) {
    ASSERT_EQ(client.say(ctl::ChallengeAnswer{challenge->nonce}, 2), ctl::Transfer::done);
    const auto second = client.hear();
    ASSERT_TRUE(second);
    EXPECT_TRUE(std::holds_alternative<ctl::Welcome>(second->reply));
  } else {
    EXPECT_TRUE(std::holds_alternative<ctl::Welcome>(first->reply));
  }
}

/// A message may come between accept and whatever the server does next.
TEST_F(Sessions, NoHelloIsEverWithoutASender) {
  start();
  std::vector<std::thread> threads;
  std::atomic<int> challenged = 0;
  std::atomic<int> welcome = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 300; ++i) {
        RawClient client(path_);
        if (client.say(ctl::Hello{}) != ctl::Transfer::done) continue;
        const auto answer = client.hear();
        if (!answer) continue;
        challenged += std::holds_alternative<ctl::Challenge>(answer->reply) ? 1 : 0;
        welcome += std::holds_alternative<ctl::Welcome>(answer->reply) ? 1 : 0;
        (void)client.say(ctl::Goodbye{}, 2);
        (void)client.hear();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(challenged, 0);
  EXPECT_EQ(welcome, 1200);
}

TEST_F(Sessions, ProtocolsThatDoNotMeetAreBothNamed) {
  start();
  RawClient client(path_);
  ASSERT_EQ(client.say(ctl::Hello{.protocol = 99, .protocol_oldest = 98, .client_version = "9.9"}),
            ctl::Transfer::done);
  const auto error = std::get<ctl::ErrorReply>(client.hear()->reply);
  EXPECT_EQ(error.code, errc::protocol_mismatch);
  for (const char* word : {"9.9", "98", "99", "0.1.0-test"}) {
    EXPECT_NE(error.sentence.find(word), std::string::npos) << word;
  }
}

TEST_F(Sessions, ANewerClientThatStillSpeaksOursIsServed) {
  start();
  RawClient client(path_);
  ASSERT_EQ(client.say(ctl::Hello{.protocol = 99, .protocol_oldest = 1}), ctl::Transfer::done);
  EXPECT_EQ(std::get<ctl::Welcome>(client.hear()->reply).protocol, ctl::kProtocolCurrent);
}

TEST_F(Sessions, NumbersAreNotSoonUsedAgain) {
  start();
  const auto first = connect();
  const std::uint32_t before = first->take_connection().welcome.session;
  first->goodbye(soon());
  const auto second = connect();
  EXPECT_NE(second->take_connection().welcome.session, before);
}

TEST_F(Sessions, AStoppingServerTellsEverybodyAndLetsNobodyIn) {
  start();
  bool stopping = false;
  const auto client = connect([&](ctl::Notice&& notice, std::vector<Fd>&&) {
    stopping = std::holds_alternative<ctl::Stopping>(notice);
  });
  in_server([](Server& server) { server.stop_accepting(); });
  EXPECT_NO_THROW(client->request(ctl::DaemonInfo{}, soon()));
  EXPECT_TRUE(stopping);
  EXPECT_EQ(error_of([&] { ctl::ClientSession({.socket = path_}, Deadline::after(30ms)); }).error(),
            errc::deadline_exceeded);
}

// ---- the listening socket

TEST(ListenOn, MakesTheDirectoryAndTheMode) {
  const test::TempDir dir;
  const std::string path = (dir / "a/b.sock").string();
  const Fd listener = listen_on(path, 0660);
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0660U);
  ASSERT_EQ(::stat((dir / "a").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0755U);
}

bool asks_for_senders(int socket) {
  int on = 0;
  socklen_t size = sizeof(on);
  return ::getsockopt(socket, SOL_SOCKET, SO_PASSCRED, &on, &size) == 0 && on == 1;
}

TEST(ListenOn, AsksForSendersBeforeAnybodyCanConnect) {
  const test::TempDir dir;
  EXPECT_TRUE(asks_for_senders(listen_on((dir / "b.sock").string(), 0666).get()));
}

TEST_F(Sessions, AServerAsksForSendersEvenIfWhoeverListensForgotIt) {
  listen();
  const int off = 0;
  ASSERT_EQ(::setsockopt(listener_.get(), SOL_SOCKET, SO_PASSCRED, &off, sizeof(off)), 0);
  start();
  EXPECT_TRUE(asks_for_senders(listener_.get()));
}

TEST(ListenOn, ReplacesADeadSocketButNotALivingOneNorAFile) {
  const test::TempDir dir;
  const std::string path = (dir / "b.sock").string();
  listen_on(path, 0666).reset();
  const Fd listener = listen_on(path, 0666);
  const Error living = error_of([&] { listen_on(path, 0666); });
  EXPECT_EQ(living.error(), errc::limit_reached);
  EXPECT_NE(living.sentence().find(path), std::string::npos);
  const auto file = dir.file("file", "precious");
  EXPECT_EQ(error_of([&] { listen_on(file.string(), 0666); }).error(), errc::io);
  EXPECT_EQ(test::read_file(file), "precious");
}

// ---- the loop

TEST_F(Sessions, WorkOfOtherThreadsTimersAndDescriptorsRunOnTheLoop) {
  listen();
  Server server(Fd(::dup(listener_.get())), handler_, options_);
  int posted = 0;
  int ticks = 0;
  int once = 0;
  int readable = 0;
  std::thread other([&] { server.post([&] { ++posted; }); });
  const TimerId timer = server.add_timer(1ms, [&] { ++ticks; });
  server.add_timer(
      1ms, [&] { ++once; }, true);
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  server.watch(pipe[0], [&] {
    ++readable;
    server.unwatch(pipe[0]);
  });
  ASSERT_EQ(::write(pipe[1], "x", 1), 1);
  const Deadline deadline = soon();
  while ((posted == 0 || ticks < 3 || once == 0 || readable == 0) && !deadline.passed())
    server.run_once(10ms);
  other.join();
  EXPECT_EQ(posted, 1);
  EXPECT_EQ(once, 1);
  EXPECT_EQ(readable, 1);
  server.cancel_timer(timer);
  const int ticked = ticks;
  EXPECT_FALSE(server.run_once(5ms)) << "nothing is left to do";
  EXPECT_EQ(ticks, ticked);
  ::close(pipe[0]);
  ::close(pipe[1]);
}

}  // namespace
}  // namespace busway::daemon::testing
