// Clients that behave: connecting, asking, being told, losing the daemon and finding it again.
#include "bus/control/session.hpp"

#include <csignal>
#include <cstdlib>

#include <sys/stat.h>

#include "tests/unit/control/server_fixture.hpp"

namespace busway::daemon::testing {
namespace {

using Session = ControlServer;

off_t size_of(const Fd& fd) {
  struct stat status {};
  return ::fstat(fd.get(), &status) == 0 ? status.st_size : -1;
}

TEST_F(Session, HelloTellsTheDaemonWhoIsThere) {
  start();
  const auto client = connect();
  const ctl::Connection connection = client->take_connection();
  EXPECT_EQ(connection.continuity, ctl::Continuity::fresh);
  EXPECT_EQ(connection.welcome.daemon_version, "0.1.0-test");
  EXPECT_EQ(connection.welcome.protocol, ctl::kProtocolCurrent);
  EXPECT_EQ(size_of(connection.bells), 4711);

  const SessionInfo info = handler_.last_opened();
  EXPECT_EQ(info.number, connection.welcome.session);
  EXPECT_EQ(info.token, connection.welcome.token);
  EXPECT_EQ(info.peer.pid, ::getpid());
  EXPECT_EQ(info.peer.uid, ::getuid());
  EXPECT_EQ(info.program, "the test");
  EXPECT_EQ(info.client_version, "1.2.3");
  std::vector<gid_t> own(64);
  own.resize(static_cast<std::size_t>(::getgroups(64, own.data())));
  own.push_back(::getgid());
  for (const gid_t group : own) {
    EXPECT_NE(std::find(info.peer.groups.begin(), info.peer.groups.end(), group), info.peer.groups.end());
  }
}

TEST_F(Session, WhatAProgramCallsItselfIsMadePrintable) {
  start();
  RawClient client(path_);
  ASSERT_EQ(client.say(ctl::Hello{.program = "evil\n\x1b[31m"}), ctl::Transfer::done);
  ASSERT_TRUE(client.hear());
  EXPECT_EQ(handler_.last_opened().program, "evil??[31m");
}

TEST_F(Session, ARequestIsAnswered) {
  start();
  const auto client = connect();
  client->request(ctl::CreateTopic{"orders", 4, {}}, soon());
  EXPECT_TRUE(handler_.was_told("create orders"));
  EXPECT_EQ(client->request(ctl::OffsetForTime{ctl::TopicId{1}, 0, 77}, soon()).body.offset, 77);
  EXPECT_EQ(client->request(ctl::ListTopics{}, soon()).body.names.size(), ctl::kTopicNamesPerPage);
}

TEST_F(Session, TheDaemonsErrorIsThrownAsItIs) {
  start();
  const auto client = connect();
  const Error error = error_of([&] { client->request(ctl::DeleteTopic{"orders"}, soon()); });
  EXPECT_EQ(error.error(), errc::unknown_topic);
  EXPECT_EQ(error.sentence(), "there is no topic orders");
  EXPECT_NO_THROW(client->request(ctl::DaemonInfo{}, soon())) << "an error is not the end of a session";
}

TEST_F(Session, WhatGoesWrongInsideTheDaemonIsToldToo) {
  start();
  const auto client = connect();
  const Error error = error_of([&] { client->request(ctl::AlterTopic{"orders", {}}, soon()); });
  EXPECT_EQ(error.error(), errc::io);
  EXPECT_NE(error.sentence().find("something nobody thought of"), std::string::npos);
  EXPECT_EQ(error_of([&] {
              client->request(ctl::GetLane{ctl::TopicId{1}, LaneId{1}}, soon());
            }).error(),
            errc::io)
      << "a reply that lacks its descriptor does not leave the daemon";
}

TEST_F(Session, DescriptorsComeInOrder) {
  start();
  const auto client = connect();
  const auto attached = client->request(ctl::Attach{"orders", ctl::Role::publisher, {}}, soon());
  ASSERT_EQ(attached.fds.size(), 2U);
  EXPECT_EQ(size_of(attached.fds[0]), 4711);
  EXPECT_EQ(size_of(attached.fds[1]), 0);
  EXPECT_EQ(client->request(ctl::GetRings{}, soon()).fds.size(), limits::kFdsPerMessage);
}

TEST_F(Session, NoticesReachTheHandlerInOrder) {
  start();
  std::vector<std::uint16_t> lanes;
  std::size_t fds = 0;
  const auto client = connect([&](ctl::Notice&& notice, std::vector<Fd>&& with) {
    lanes.push_back(raw(std::get<ctl::LaneOffer>(notice).lane.lane));
    fds += with.size();
  });
  const std::uint32_t number = client->take_connection().welcome.session;
  in_server([&](Server& server) {
    for (std::uint16_t lane = 1; lane <= 3; ++lane) {
      EXPECT_TRUE(
          server.notify(number, ctl::LaneOffer{ctl::TopicId{1}, {LaneId{lane}}}, handler_.bells_fd()));
    }
  });
  EXPECT_TRUE(client->drain_notices());
  EXPECT_EQ(lanes, (std::vector<std::uint16_t>{1, 2, 3}));
  EXPECT_EQ(fds, 3U);

  in_server([&](Server& server) { server.notify(number, ctl::LaneOffer{ctl::TopicId{1}, {LaneId{4}}}); });
  client->request(ctl::DaemonInfo{}, soon());
  EXPECT_EQ(lanes.size(), 4U) << "a notice met on the way to a reply";
  EXPECT_EQ(fds, 3U);
}

TEST_F(Session, ThreadsTakeTurns) {
  start();
  const auto client = connect();
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 100; ++i) {
        const std::int64_t want = t * 1000 + i;
        if (client->request(ctl::OffsetForTime{ctl::TopicId{1}, 0, want}, soon()).body.offset == want)
          ++right;
        client->drain_notices();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 400);
}

TEST_F(Session, ADeadlineIsKeptAndALateAnswerIsNotTakenForAnother) {
  start();
  const auto client = connect();
  pause();
  const Error error = error_of([&] {
    client->request(ctl::OffsetForTime{ctl::TopicId{1}, 0, 1}, Deadline::after(20ms));
  });
  EXPECT_EQ(error.error(), errc::deadline_exceeded);
  EXPECT_NE(error.sentence().find("OffsetForTime"), std::string::npos);
  run();
  EXPECT_EQ(client->request(ctl::OffsetForTime{ctl::TopicId{1}, 0, 2}, soon()).body.offset, 2);
}

TEST_F(Session, WithoutADaemonTheErrorSaysHowToGetOne) {
  const Error error = error_of([&] { connect(); });
  EXPECT_EQ(error.error(), errc::no_daemon);
  for (const std::string& word : {path_, std::string("buswayd"), std::string("BUSWAY_SOCKET")}) {
    EXPECT_NE(error.sentence().find(word), std::string::npos) << word;
  }
}

TEST_F(Session, ADeadSocketIsNoDaemonEither) {
  listen();
  listener_.reset();
  EXPECT_EQ(error_of([&] { connect(); }).error(), errc::no_daemon);
}

TEST_F(Session, APathThatDoesNotFitIsNamed) {
  ctl::SessionOptions options;
  options.socket = "/" + std::string(200, 'x');
  const Error error = error_of([&] { ctl::ClientSession(options, soon()); });
  EXPECT_EQ(error.error(), errc::no_daemon);
  EXPECT_NE(error.sentence().find("107"), std::string::npos);
}

TEST_F(Session, ADaemonThatDoesNotAnswerRunsIntoTheDeadline) {
  listen();
  const Error error = error_of([&] { ctl::ClientSession({.socket = path_}, Deadline::after(20ms)); });
  EXPECT_EQ(error.error(), errc::deadline_exceeded);
  EXPECT_NE(error.sentence().find("its worker is stopped, or ends as often as it is started"),
            std::string::npos);
}

TEST_F(Session, ARefusalAtHelloIsThrown) {
  handler_.refuse_all = true;
  start();
  const Error error = error_of([&] { connect(); });
  EXPECT_EQ(error.error(), errc::access_denied);
  EXPECT_EQ(error.sentence(), "this test lets nobody in");
  EXPECT_EQ(counters().sessions, 0U);
}

TEST_F(Session, OnlyATrustedOwnersSocketIsSpokenTo) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to listen as somebody else";
  constexpr uid_t kStranger = 65534;
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  Child stranger([&] {
    if (::chmod(dir_.path().c_str(), 0777) != 0 || ::setuid(kStranger) != 0) return 1;
    const Fd listener = listen_on(path_, 0666);
    (void)!::write(ready[1], "x", 1);
    ::pause();
    return 0;
  });
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  const Error error = error_of([&] { connect(); });
  EXPECT_EQ(error.error(), errc::wrong_socket_owner);
  EXPECT_NE(error.sentence().find("uid 65534"), std::string::npos);
  EXPECT_NE(error.sentence().find("uid 0"), std::string::npos);

  ::setenv("BUSWAY_DAEMON_UID", "65534", 1);
  const Error trusted = error_of([&] { ctl::ClientSession({.socket = path_}, Deadline::after(20ms)); });
  ::setenv("BUSWAY_DAEMON_UID", "nobody", 1);
  const Error by_name = error_of([&] { ctl::ClientSession({.socket = path_}, Deadline::after(20ms)); });
  ::unsetenv("BUSWAY_DAEMON_UID");
  EXPECT_EQ(trusted.error(), errc::deadline_exceeded) << "trusted, but it does not speak";
  EXPECT_EQ(by_name.error(), errc::deadline_exceeded);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(Session, AForkedChildIsToldToConnectAnew) {
  start();
  const auto client = connect();
  Child child([&] {
    const errc use = error_of([&] { client->request(ctl::DaemonInfo{}, soon()); }).error();
    const errc drain = error_of([&] { client->drain_notices(); }).error();
    const auto own = connect();
    const pid_t pid = own->request(ctl::DaemonInfo{}, soon()).body.pid;
    return use == errc::forked && drain == errc::forked && pid == ::getppid() ? 0 : 1;
  });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_NO_THROW(client->request(ctl::DaemonInfo{}, soon())) << "its parent's session goes on";
}

// ---- the way back

TEST_F(Session, AClosedConnectionIsToldFromARefusal) {
  start();
  const auto client = connect();
  stop();
  try {
    client->request(ctl::DaemonInfo{}, soon());
    FAIL();
  } catch (const ctl::ConnectionLost& lost) {
    EXPECT_EQ(lost.error(), errc::no_daemon);
  }
  EXPECT_FALSE(client->connected());
  EXPECT_FALSE(client->drain_notices());
}

TEST_F(Session, TheNextWorkerOfTheSameDaemonKnowsItsSessions) {
  options_.instance = Uuid::random();
  start();
  const auto client = connect();
  const ctl::Welcome before = client->take_connection().welcome;
  const pid_t pid = ::getpid();
  stop();
  start([&](Server& server) {
    server.adopt_session({before.session, before.token, pid, ::getuid(), own_pidfd()});
  });
  const auto after = client->reconnect(1, soon());
  ASSERT_TRUE(after);
  EXPECT_EQ(after->continuity, ctl::Continuity::resumed);
  EXPECT_EQ(after->welcome.session, before.session);
  EXPECT_TRUE(after->bells);
  EXPECT_TRUE(handler_.was_told("resumed " + std::to_string(before.session)));
  EXPECT_EQ(client->connections(), 2U);
  EXPECT_NO_THROW(client->request(ctl::DaemonInfo{}, soon()));
}

TEST_F(Session, ReconnectingWaitsForAWorkerToCome) {
  start();
  const auto client = connect();
  stop();
  std::thread later([this] {
    std::this_thread::sleep_for(50ms);  // so that there is nobody at first
    start();
  });
  EXPECT_TRUE(client->reconnect(1, soon()));
  later.join();
}

TEST_F(Session, ReconnectingGivesUpAtTheDeadline) {
  start();
  const auto client = connect();
  stop();
  listener_.reset();
  const Error error = error_of([&] { client->reconnect(1, Deadline::after(30ms)); });
  EXPECT_EQ(error.error(), errc::no_daemon);
}

TEST_F(Session, OnlyOneThreadReconnects) {
  start();
  const auto client = connect();
  stop();
  start();
  EXPECT_TRUE(client->reconnect(1, soon()));
  EXPECT_FALSE(client->reconnect(1, soon())) << "somebody else has done it";
}

TEST_F(Session, AnotherInstanceOfTheDaemonIsRecognised) {
  options_.instance = Uuid::random();
  start();
  const auto client = connect();
  stop();
  options_.instance = Uuid::random();
  start();
  EXPECT_EQ(client->reconnect(1, soon())->continuity, ctl::Continuity::other_instance);
}

TEST_F(Session, ADaemonThatLostTheSessionGivesANewOne) {
  options_.instance = Uuid::random();
  start();
  const auto client = connect();
  stop();
  start();
  EXPECT_EQ(client->reconnect(1, soon())->continuity, ctl::Continuity::new_session);
}

}  // namespace
}  // namespace busway::daemon::testing
