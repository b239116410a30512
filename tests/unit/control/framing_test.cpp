#include "bus/control/framing.hpp"

#include <cstring>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

namespace busway::control {
namespace {

using namespace std::chrono_literals;

std::vector<std::byte> message_of(std::size_t bytes) {
  return std::vector<std::byte>(bytes, std::byte{0x42});
}

std::size_t open_descriptors() {
  std::size_t open = 0;
  for (int fd = 0; fd < 1024; ++fd) open += ::fcntl(fd, F_GETFD) >= 0 ? 1U : 0U;
  return open;
}

class Framing : public ::testing::Test {
 protected:
  Framing() {
    int pair[2];
    check_errno(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), "socketpair");
    here_.reset(pair[0]);
    there_.reset(pair[1]);
  }
  void ask_for_senders() {
    const int on = 1;
    check_errno(::setsockopt(there_.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), "SO_PASSCRED");
  }
  /// Sends with sendmsg what try_send would refuse to send.
  void send_raw(std::size_t bytes, std::size_t fds) {
    std::vector<std::byte> message = message_of(bytes);
    iovec part{message.data(), message.size()};
    std::vector<int> numbers(fds, here_.get());
    std::vector<char> control(CMSG_SPACE(fds * sizeof(int)));
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    if (fds > 0) {
      header.msg_control = control.data();
      header.msg_controllen = control.size();
      cmsghdr* first = CMSG_FIRSTHDR(&header);
      first->cmsg_level = SOL_SOCKET;
      first->cmsg_type = SCM_RIGHTS;
      first->cmsg_len = CMSG_LEN(fds * sizeof(int));
      std::memcpy(CMSG_DATA(first), numbers.data(), fds * sizeof(int));
    }
    ASSERT_EQ(::sendmsg(here_.get(), &header, 0), static_cast<ssize_t>(bytes));
  }

  Fd here_;
  Fd there_;
  Received received_;
};

TEST_F(Framing, CarriesAMessageAndItsDescriptorsInOrder) {
  const Fd first(::memfd_create("first", 0));
  const Fd second(::memfd_create("second", 0));
  ASSERT_EQ(::ftruncate(first.get(), 111), 0);
  ASSERT_EQ(::ftruncate(second.get(), 222), 0);
  const int fds[] = {first.get(), second.get()};
  ASSERT_EQ(try_send(here_.get(), message_of(100), fds), Transfer::done);

  ASSERT_EQ(try_receive(there_.get(), received_, limits::kFdsPerMessage), Transfer::done);
  EXPECT_EQ(received_.bytes, message_of(100));
  ASSERT_EQ(received_.fds.size(), 2U);
  struct stat status {};
  ASSERT_EQ(::fstat(received_.fds[0].get(), &status), 0);
  EXPECT_EQ(status.st_size, 111);
  ASSERT_EQ(::fstat(received_.fds[1].get(), &status), 0);
  EXPECT_EQ(status.st_size, 222);
  EXPECT_NE(::fcntl(received_.fds[0].get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_F(Framing, CarriesTheLargestMessageAndTheMostDescriptors) {
  const std::vector<int> fds(limits::kFdsPerMessage, here_.get());
  ASSERT_EQ(try_send(here_.get(), message_of(limits::kControlMessageMost), fds), Transfer::done);
  ASSERT_EQ(try_receive(there_.get(), received_, limits::kFdsPerMessage), Transfer::done);
  EXPECT_EQ(received_.bytes.size(), limits::kControlMessageMost);
  EXPECT_EQ(received_.fds.size(), limits::kFdsPerMessage);
}

TEST_F(Framing, RefusesToSendMoreThanThat) {
  const std::vector<int> fds(limits::kFdsPerMessage + 1, here_.get());
  EXPECT_THROW((void)try_send(here_.get(), message_of(1), fds), Error);
  EXPECT_THROW((void)try_send(here_.get(), message_of(limits::kControlMessageMost + 1), {}), Error);
}

TEST_F(Framing, AMessageThatIsTooLongIsReportedAndTheNextIsWhole) {
  send_raw(limits::kControlMessageMost + 1, 0);
  send_raw(10, 0);
  EXPECT_EQ(try_receive(there_.get(), received_, 0), Transfer::too_long);
  EXPECT_EQ(try_receive(there_.get(), received_, 0), Transfer::done);
  EXPECT_EQ(received_.bytes.size(), 10U);
}

TEST_F(Framing, SurplusDescriptorsAreClosed) {
  const std::size_t before = open_descriptors();
  send_raw(10, 200);
  EXPECT_EQ(try_receive(there_.get(), received_, limits::kFdsPerMessage), Transfer::too_many_fds);
  EXPECT_TRUE(received_.fds.empty());
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(Framing, ADaemonNeverTakesDescriptors) {
  ask_for_senders();
  const std::size_t before = open_descriptors();
  send_raw(10, 1);
  EXPECT_EQ(try_receive(there_.get(), received_, 0), Transfer::too_many_fds);
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(Framing, AProcessWithoutRoomForDescriptorsIsToldSo) {
  const std::size_t before = open_descriptors();
  const int fds[] = {here_.get(), here_.get(), here_.get()};
  ASSERT_EQ(try_send(here_.get(), message_of(10), fds), Transfer::done);
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &old), 0);
  const Fd highest(::dup(here_.get()));
  const rlimit none{static_cast<rlim_t>(highest.get()) + 1, old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const Transfer got = try_receive(there_.get(), received_, limits::kFdsPerMessage);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &old), 0);
  EXPECT_EQ(got, Transfer::no_descriptors);
  EXPECT_EQ(received_.bytes.size(), 10U) << "the message itself is there";
  EXPECT_EQ(open_descriptors(), before + 1);
}

TEST_F(Framing, SaysWhoSentAMessageByTheKernelsWord) {
  ask_for_senders();
  ASSERT_EQ(try_send(here_.get(), message_of(1), {}), Transfer::done);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) ::_exit(try_send(here_.get(), message_of(2), {}) == Transfer::done ? 0 : 1);
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);

  ASSERT_EQ(try_receive(there_.get(), received_, 0), Transfer::done);
  ASSERT_TRUE(received_.sender);
  EXPECT_EQ(received_.sender->pid, ::getpid());
  EXPECT_EQ(received_.sender->uid, ::getuid());
  ASSERT_EQ(try_receive(there_.get(), received_, 0), Transfer::done);
  ASSERT_TRUE(received_.sender);
  EXPECT_EQ(received_.sender->pid, child);
}

TEST_F(Framing, WaitsForAMessageUntilTheDeadline) {
  EXPECT_EQ(receive(there_.get(), received_, 0, Deadline::after(20ms)), Transfer::would_block);
  std::thread late([this] {
    std::this_thread::sleep_for(20ms);  // so that the other waits by then
    (void)try_send(here_.get(), message_of(5), {});
  });
  EXPECT_EQ(receive(there_.get(), received_, 0, Deadline::after(10s)), Transfer::done);
  late.join();
}

TEST_F(Framing, WaitsForRoomUntilTheDeadline) {
  while (try_send(here_.get(), message_of(60'000), {}) == Transfer::done) {
  }
  EXPECT_EQ(send(here_.get(), message_of(60'000), {}, Deadline::after(20ms)), Transfer::would_block);
  EXPECT_GT(unread_by_peer(here_.get()), 0U);
  std::thread reader([this] {
    Received got;
    std::this_thread::sleep_for(20ms);  // so that the other waits by then
    while (try_receive(there_.get(), got, 0) == Transfer::done) {
    }
  });
  EXPECT_EQ(send(here_.get(), message_of(60'000), {}, Deadline::after(10s)), Transfer::done);
  reader.join();
}

TEST_F(Framing, TellsWhetherThePeerHasReadEverything) {
  EXPECT_EQ(unread_by_peer(here_.get()), 0U);
  ASSERT_EQ(try_send(here_.get(), message_of(5), {}), Transfer::done);
  EXPECT_GT(unread_by_peer(here_.get()), 0U);
  ASSERT_EQ(try_receive(there_.get(), received_, 0), Transfer::done);
  EXPECT_EQ(unread_by_peer(here_.get()), 0U);
}

TEST_F(Framing, ReportsAPeerThatIsGone) {
  there_.reset();
  EXPECT_EQ(try_send(here_.get(), message_of(1), {}), Transfer::closed);
  EXPECT_EQ(try_receive(here_.get(), received_, 0), Transfer::closed);
}

}  // namespace
}  // namespace busway::control
