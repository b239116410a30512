// Clients that send garbage, flood, keep silent or do not read: each costs only itself.
#include <csignal>
#include <random>

#include <sys/resource.h>

#include "tests/unit/control/server_fixture.hpp"

namespace busway::daemon::testing {
namespace {

class BadClients : public ControlServer {
 protected:
  /// Whatever a bad client did: an old client is still served, and at once.
  void expect_served(ctl::ClientSession& client) {
    const auto before = std::chrono::steady_clock::now();
    EXPECT_NO_THROW(client.request(ctl::DaemonInfo{}, soon()));
    EXPECT_LT(std::chrono::steady_clock::now() - before, 2s);
  }
  /// A client that said hello, says this, and is thrown out with a reason that contains `word`.
  void expect_thrown_out(const ctl::Bytes& bytes, const std::string& word) {
    RawClient bad(path_);
    bad.say_hello();
    ASSERT_EQ(bad.say_bytes(bytes), ctl::Transfer::done);
    const ctl::ErrorReply end = bad.hear_the_end();
    EXPECT_EQ(end.code, errc::bad_message);
    EXPECT_NE(end.sentence.find(word), std::string::npos) << end.sentence;
  }
};

TEST_F(BadClients, GarbageIsThrownOutWithAReason) {
  start();
  const auto good = connect();
  expect_thrown_out(ctl::Bytes(1, std::byte{0}), "does not verify");
  expect_thrown_out(ctl::Bytes(64, std::byte{0xFF}), "does not verify");
  expect_thrown_out(ctl::Bytes(limits::kControlMessageMost, std::byte{0x55}), "does not verify");
  expect_thrown_out(ctl::encode_reply(1, ctl::Ok{}), "is no request");
  expect_thrown_out(ctl::encode_request(0, ctl::DaemonInfo{}), "id 0");
  expect_thrown_out(ctl::encode_request(1, ctl::Hello{}), "second Hello");
  expect_thrown_out(ctl::encode_request(1, ctl::ChallengeAnswer{1}), "challenge");
  expect_served(*good);
  EXPECT_EQ(counters().bad_messages, 7U);
}

TEST_F(BadClients, RandomBytesNeverHurtOthers) {
  start();
  const auto good = connect();
  std::mt19937 random(7);
  for (int i = 0; i < 200; ++i) {
    RawClient bad(path_);
    if (i % 2 == 0) bad.say_hello();
    ctl::Bytes bytes(1 + random() % 300);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
    ASSERT_EQ(bad.say_bytes(bytes), ctl::Transfer::done);
  }
  expect_served(*good);
}

TEST_F(BadClients, AMessageThatIsTooLongIsThrownOut) {
  start();
  RawClient bad(path_);
  bad.say_hello();
  const ctl::Bytes bytes(limits::kControlMessageMost + 1);
  ASSERT_EQ(::send(bad.socket(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  EXPECT_NE(bad.hear_the_end().sentence.find("longer than"), std::string::npos);
}

TEST_F(BadClients, ARequestWithDescriptorsIsThrownOutAndNoneIsKept) {
  start();
  RawClient bad(path_);
  bad.say_hello();
  const std::size_t before = open_descriptors();
  const std::vector<int> fds(limits::kFdsPerMessage, bad.socket());
  ASSERT_EQ(bad.say_bytes(ctl::encode_request(2, ctl::DaemonInfo{}), fds), ctl::Transfer::done);
  EXPECT_NE(bad.hear_the_end().sentence.find("descriptors"), std::string::npos);
  EXPECT_TRUE(eventually([&] { return open_descriptors() < before; }))
      << "the connection's own is closed too";
}

TEST_F(BadClients, TheFirstMessageMustBeHello) {
  start();
  RawClient bad(path_);
  ASSERT_EQ(bad.say(ctl::CreateTopic{"orders"}), ctl::Transfer::done);
  EXPECT_NE(bad.hear_the_end().sentence.find("must be Hello, not CreateTopic"), std::string::npos);
  EXPECT_FALSE(handler_.was_told("create orders"));
}

TEST_F(BadClients, SilenceBeforeHelloIsBounded) {
  options_.limits.hello_timeout = 50ms;
  start();
  const auto good = connect();
  RawClient silent(path_);
  EXPECT_EQ(silent.hear_the_end().code, errc::deadline_exceeded);
  expect_served(*good);
}

TEST_F(BadClients, SilenceAfterHelloIsNoFault) {
  options_.limits.hello_timeout = 20ms;
  start();
  const auto good = connect();
  std::this_thread::sleep_for(300ms);  // many times the bound on a silent Hello
  expect_served(*good);
}

TEST_F(BadClients, AFloodOfRequestsDoesNotKeepOthersWaiting) {
  start();
  const auto good = connect();
  std::atomic<bool> stop = false;
  std::vector<std::thread> floods;
  for (int i = 0; i < 4; ++i) {
    floods.emplace_back([&] {
      RawClient bad(path_);
      bad.say_hello();
      const ctl::Bytes request = ctl::encode_request(2, ctl::ListTopics{});
      ctl::Received reply;
      while (!stop) {
        (void)bad.say_bytes(request);
        (void)ctl::try_receive(bad.socket(), reply, 0);
      }
    });
  }
  for (int i = 0; i < 20; ++i) expect_served(*good);
  stop = true;
  for (std::thread& flood : floods) flood.join();
}

TEST_F(BadClients, WhoDoesNotReadItsRepliesIsNotReadFromAnyMore) {
  start();
  const auto good = connect();
  RawClient bad(path_);
  bad.say_hello();
  // Replies of 52 KiB fill its socket; then the daemon stops reading, and the requests fill the other way.
  const ctl::Bytes request = ctl::encode_request(2, ctl::ListTopics{});
  std::size_t asked = 0;
  const Deadline deadline = Deadline::after(300ms);
  while (ctl::send(bad.socket(), request, {}, deadline) == ctl::Transfer::done) ++asked;
  expect_served(*good);
  const std::uint64_t served = counters().requests;
  EXPECT_LT(served, asked) << "of what was asked, most lies unread";
  std::size_t answered = 0;
  while (answered < asked && bad.hear()) ++answered;
  EXPECT_EQ(answered, asked) << "all of it is served once it reads again";
}

TEST_F(BadClients, OffersThatAreNotReadComeWithoutDescriptorsAndThenNotAtAll) {
  start();
  RawClient bad(path_);
  const std::uint32_t number = bad.say_hello().session;
  constexpr std::uint64_t kOffers = 20'000;
  const std::size_t before = open_descriptors();
  in_server([&](Server& server) {
    for (std::uint64_t i = 0; i < kOffers; ++i) {
      EXPECT_TRUE(server.notify(number, ctl::LaneOffer{ctl::TopicId{1}, {LaneId{1}}}, handler_.bells_fd()));
    }
  });
  EXPECT_LE(open_descriptors(), before + 1) << "the daemon keeps next to nothing for it";
  std::uint64_t heard = 0;
  std::uint64_t with_fd = 0;
  while (heard < kOffers) {
    ctl::Received received;
    if (ctl::receive(bad.socket(), received, 1, Deadline::after(200ms)) != ctl::Transfer::done) break;
    ++heard;
    with_fd += received.fds.size();
  }
  EXPECT_GE(with_fd, 1U);
  EXPECT_LE(with_fd, limits::kUnreadOffersPerSession + 1);
  EXPECT_GT(heard, with_fd);
  const Server::Counters now = counters();
  EXPECT_GT(now.offers_dropped, 0U);
  EXPECT_EQ(heard + now.offers_dropped, kOffers);

  in_server([&](Server& server) {
    server.notify(number, ctl::LaneOffer{ctl::TopicId{1}, {LaneId{1}}}, handler_.bells_fd());
  });
  ASSERT_TRUE(bad.hear());
  EXPECT_EQ(bad.fds_heard(), 1U) << "once it has read, offers come with descriptors again";
}

TEST_F(BadClients, DescriptorsInRepliesDoNotPileUp) {
  start();
  const auto good = connect();
  RawClient bad(path_);
  bad.say_hello();
  constexpr std::uint32_t kAsked = 50;
  for (std::uint32_t i = 0; i < kAsked; ++i) ASSERT_EQ(bad.say(ctl::GetRings{}, 2 + i), ctl::Transfer::done);
  std::this_thread::sleep_for(50ms);  // time in which a server that read on would have served all
  expect_served(*good);
  EXPECT_LT(counters().requests, kAsked) << "it is not served while what it was sent lies unread";
  std::uint32_t answered = 0;
  while (answered < kAsked && bad.hear()) {
    EXPECT_EQ(bad.fds_heard(), limits::kFdsPerMessage);
    ++answered;
  }
  EXPECT_EQ(answered, kAsked);
}

TEST_F(BadClients, DescriptorsOfAClosedConnectionStillCount) {
  start();
  RawClient bad(path_);
  bad.say_hello();
  ASSERT_EQ(bad.say(ctl::NewLane{}, 2), ctl::Transfer::done);
  ASSERT_TRUE(eventually([&] { return counters().requests == 2; }));
  const std::size_t before = open_descriptors();
  ASSERT_EQ(bad.say_bytes(ctl::Bytes(8)), ctl::Transfer::done);
  ASSERT_TRUE(eventually([&] { return counters().bad_messages == 1; }));
  std::this_thread::sleep_for(20ms);  // time in which it would be closed, if it were
  EXPECT_EQ(open_descriptors(), before) << "the daemon's end stays open to be asked";
  ASSERT_TRUE(bad.hear());
  EXPECT_EQ(bad.hear_the_end().code, errc::bad_message) << "which its client does not notice";
  EXPECT_TRUE(eventually([&] { return open_descriptors() <= before - 1; }));
}

TEST_F(BadClients, OneUidCannotUseUpWhatTheKernelLetsLieUnread) {
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &old), 0);
  const rlimit few{400, old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  start();  // a quarter of that: 100
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &old), 0);
  RawClient first(path_);
  first.say_hello();
  RawClient second(path_);
  second.say_hello();
  ASSERT_EQ(first.say(ctl::GetRings{}, 2), ctl::Transfer::done);
  ASSERT_TRUE(eventually([&] { return counters().requests == 3; }));
  ASSERT_EQ(second.say(ctl::GetRings{}, 2), ctl::Transfer::done);
  const auto refused = second.hear();
  ASSERT_TRUE(refused && std::holds_alternative<ctl::ErrorReply>(refused->reply));
  EXPECT_EQ(std::get<ctl::ErrorReply>(refused->reply).code, errc::limit_reached);
  ASSERT_TRUE(first.hear());
  ASSERT_EQ(second.say(ctl::GetRings{}, 3), ctl::Transfer::done);
  const auto answer = second.hear();
  EXPECT_TRUE(answer && std::holds_alternative<ctl::Rings>(answer->reply)) << "there is room again";
}

TEST_F(BadClients, SessionsOfOneUidAreLimited) {
  options_.limits.sessions_per_uid_most = 3;
  start();
  std::vector<std::unique_ptr<ctl::ClientSession>> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(connect());
  const Error error = error_of([&] { connect(); });
  EXPECT_EQ(error.error(), errc::limit_reached);
  EXPECT_NE(error.sentence().find("sessions.per.uid.max"), std::string::npos);
  EXPECT_NE(error.sentence().find("uid " + std::to_string(::getuid())), std::string::npos);
  clients.back()->goodbye(soon());
  EXPECT_NO_THROW(connect());
}

TEST_F(BadClients, SessionsOfAllAreLimited) {
  options_.limits.sessions_most = 2;
  start();
  const auto first = connect();
  const auto second = connect();
  const Error error = error_of([&] { connect(); });
  EXPECT_EQ(error.error(), errc::limit_reached);
  EXPECT_NE(error.sentence().find("sessions.max"), std::string::npos);
}

TEST_F(BadClients, FiveThousandConnectionsAreRefusedWhileAnOldClientIsServed) {
  options_.limits.sessions_most = 40;
  options_.limits.sessions_per_uid_most = 40;
  options_.limits.connections_per_uid_waiting = 30;
  options_.limits.hello_timeout = 10min;  // however slow the machine is, the silent ones keep their places
  start();
  const auto good = connect();
  std::vector<std::unique_ptr<RawClient>> held;
  std::size_t refused = 0;
  for (int i = 0; i < 5000; ++i) {
    auto client = std::make_unique<RawClient>(path_);
    const bool speaks = i % 2 == 0;
    if (speaks) (void)client->say(ctl::Hello{});
    const auto answer = speaks || held.size() > 100 ? client->hear() : std::nullopt;
    const bool welcome = answer && answer->id != 0 && std::holds_alternative<ctl::Welcome>(answer->reply);
    if (answer && !welcome) ++refused;
    if (held.size() < 300) held.push_back(std::move(client));
    if (i % 500 == 0) expect_served(*good);
  }
  expect_served(*good);
  EXPECT_GT(refused, 4000U);
  EXPECT_LE(counters().sessions, 40U);
}

/// A daemon in a process of its own, for the limit is the process's. Whether the last descriptor goes to a
/// connection or to its pidfd depends on whether the limit is even: both are tried.
class WithoutDescriptors : public BadClients, public ::testing::WithParamInterface<rlim_t> {};

TEST_P(WithoutDescriptors, TheDaemonRefusesPolitelyAndServesOn) {
  listen();
  Child daemon([this] {
    const rlimit few{GetParam(), GetParam()};
    if (::setrlimit(RLIMIT_NOFILE, &few) != 0) return 1;
    Server server(Fd(::dup(listener_.get())), handler_, options_);
    for (;;) server.run_once(std::chrono::milliseconds(-1));
    return 0;
  });
  const auto good = connect();
  std::vector<std::unique_ptr<RawClient>> silent;
  for (int i = 0; i < 55; ++i) silent.push_back(std::make_unique<RawClient>(path_));
  RawClient late(path_);
  const ctl::ErrorReply end = late.hear_the_end();
  EXPECT_EQ(end.code, errc::limit_reached);
  EXPECT_NE(end.sentence.find("LimitNOFILE"), std::string::npos) << end.sentence;
  expect_served(*good);
}

INSTANTIATE_TEST_SUITE_P(EvenAndOdd, WithoutDescriptors, ::testing::Values(60, 61));

}  // namespace
}  // namespace busway::daemon::testing
