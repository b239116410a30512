#include "bus/control/messages.hpp"

#include <random>

#include <flatbuffers/flatbuffers.h>
#include <gtest/gtest.h>

#include "tests/unit/control/sample_messages.hpp"

namespace busway::control {
namespace {

template <class Call>
errc error_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.error();
  }
  return errc::ok;
}

TEST(ControlMessages, EveryRequestComesBackAsItWas) {
  const std::vector<Request> all = samples::requests();
  ASSERT_EQ(all.size(), std::variant_size_v<Request>);
  for (std::size_t i = 0; i < all.size(); ++i) {
    ASSERT_EQ(all[i].index(), i) << "one sample of each kind";
    const RequestMessage back = decode_request(encode_request(77, all[i]));
    EXPECT_EQ(back.id, 77U);
    EXPECT_EQ(back.body, all[i]) << name_of(all[i]);
  }
}

TEST(ControlMessages, EveryReplyComesBackAsItWas) {
  const std::vector<Reply> all = samples::replies();
  ASSERT_EQ(all.size(), std::variant_size_v<Reply>);
  for (std::size_t i = 0; i < all.size(); ++i) {
    ASSERT_EQ(all[i].index(), i) << "one sample of each kind";
    const DaemonMessage back = decode_from_daemon(encode_reply(77, all[i]));
    EXPECT_EQ(back.id, 77U);
    EXPECT_EQ(back.reply, all[i]) << name_of(all[i]);
  }
}

TEST(ControlMessages, EveryNoticeComesBackAsItWas) {
  for (const Notice& notice : samples::notices()) {
    const DaemonMessage back = decode_from_daemon(encode_notice(notice));
    EXPECT_EQ(back.id, 0U);
    EXPECT_EQ(back.notice, notice);
  }
}

TEST(ControlMessages, WhatIsWithinTheBoundsFitsAMessage) {
  for (const Request& request : samples::largest_requests()) {
    const Bytes bytes = encode_request(1, request);
    EXPECT_LE(bytes.size(), limits::kControlMessageMost) << name_of(request);
    EXPECT_EQ(decode_request(bytes).body, request);
  }
  for (const Reply& reply : samples::largest_replies()) {
    const Bytes bytes = encode_reply(1, reply);
    EXPECT_LE(bytes.size(), limits::kControlMessageMost) << name_of(reply);
    EXPECT_EQ(decode_from_daemon(bytes).reply, reply);
  }
}

TEST(ControlMessages, WhatIsBeyondTheBoundsIsRefusedBeforeItIsSent) {
  EXPECT_EQ(error_of([] { encode_request(1, DeleteTopic{std::string(250, 't')}); }),
            errc::invalid_topic_name);
  EXPECT_EQ(error_of([] { encode_request(1, DeleteTopic{""}); }), errc::invalid_topic_name);
  EXPECT_EQ(error_of([] {
              encode_request(1, AlterTopic{"t", {{"k", std::string(257, 'v')}}});
            }),
            errc::limit_reached);
  EXPECT_EQ(error_of([] { encode_request(1, Hello{.program = std::string(129, 'p')}); }),
            errc::limit_reached);
  EXPECT_EQ(error_of([] {
              encode_reply(1, TopicList{std::vector<std::string>(201, "t"), false});
            }),
            errc::limit_reached);
}

TEST(ControlMessages, ALongSentenceIsCutNotRefused) {
  const Bytes bytes = encode_reply(1, ErrorReply{errc::io, std::string(5000, 's')});
  EXPECT_EQ(std::get<ErrorReply>(decode_from_daemon(bytes).reply).sentence.size(), kSentenceMost);
}

TEST(ControlMessages, TheWrongDirectionIsRefused) {
  EXPECT_EQ(error_of([] { decode_request(encode_reply(1, Ok{})); }), errc::bad_message);
  EXPECT_EQ(error_of([] { decode_request(encode_notice(Stopping{})); }), errc::bad_message);
  EXPECT_EQ(error_of([] { decode_from_daemon(encode_request(1, DaemonInfo{})); }), errc::bad_message);
  EXPECT_EQ(error_of([] { decode_from_daemon(encode_reply(0, Ok{})); }), errc::bad_message)
      << "id 0 is for notices";
  EXPECT_EQ(error_of([] { decode_request(encode_request(0, DaemonInfo{})); }), errc::bad_message);
}

TEST(ControlMessages, WhatATableIsIndexedWithIsHeldToItsSize) {
  const auto attached = [](std::optional<std::uint32_t> bit, std::optional<std::uint32_t> cell) {
    decode_from_daemon(encode_reply(1, Attached{.partitions = 1, .sleeper_bit = bit, .lease_cell = cell}));
  };
  EXPECT_NO_THROW(attached(511, 63));
  EXPECT_EQ(error_of([&] { attached(512, 63); }), errc::bad_message);
  EXPECT_EQ(error_of([&] { attached(511, 64); }), errc::bad_message);
  EXPECT_EQ(error_of([] { decode_from_daemon(encode_reply(1, Lane{{LaneId{1024}}})); }), errc::bad_message);
  EXPECT_EQ(error_of([] { decode_from_daemon(encode_reply(1, Welcome{.session = 4096})); }),
            errc::bad_message);
  EXPECT_EQ(error_of([] {
              decode_from_daemon(encode_reply(1, ErrorReply{errc::ok, "?"}));
            }),
            errc::bad_message);
  EXPECT_EQ(error_of([] {
              decode_request(encode_request(1, GetLane{TopicId{1}, LaneId{0}}));
            }),
            errc::bad_message);
}

TEST(ControlMessages, EmptyAndOversizedBytesAreRefused) {
  EXPECT_EQ(error_of([] { decode_request({}); }), errc::bad_message);
  EXPECT_EQ(error_of([] { decode_request(Bytes(3)); }), errc::bad_message);
  EXPECT_EQ(error_of([] { decode_request(Bytes(limits::kControlMessageMost + 1)); }), errc::bad_message);
  EXPECT_EQ(error_of([] { decode_request(Bytes(limits::kControlMessageMost, std::byte{0xFF})); }),
            errc::bad_message);
}

TEST(ControlMessages, APrefixOfAMessageIsRefusedUnlessOnlyPaddingIsMissing) {
  const Request request = CreateTopic{"orders", 4, samples::some_settings()};
  const Bytes whole = encode_request(1, request);
  std::size_t accepted = 0;
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    const auto prefix = std::span(whole).first(bytes);
    if (error_of([&] { decode_request(prefix); }) == errc::bad_message) continue;
    EXPECT_EQ(decode_request(prefix).body, request) << bytes;
    ++accepted;
  }
  EXPECT_LT(accepted, 8U);
}

TEST(ControlMessages, DecodingDoesNotDependOnWhereTheBytesLie) {
  const Request request = CreateTopic{"orders", 4, samples::some_settings()};
  const Bytes whole = encode_request(1, request);
  Bytes shifted(whole.size() + 8);
  for (std::size_t shift = 0; shift < 8; ++shift) {
    std::copy(whole.begin(), whole.end(), shifted.begin() + static_cast<std::ptrdiff_t>(shift));
    EXPECT_EQ(decode_request(std::span(shifted).subspan(shift, whole.size())).body, request);
  }
}

/// CreateTopic with `entries` settings that are all one and the same table with one long value: a few dozen
/// kilobytes on the wire, gigabytes if it were copied out.
Bytes settings_bomb(std::size_t entries, std::size_t value_bytes) {
  namespace fb = flatbuffers;
  constexpr fb::voffset_t kFirst = 4, kSecond = 6, kThird = 8;  // FlatBuffers' numbering of a table's fields
  constexpr std::uint8_t kCreateTopic = 4;                      // its place in the union
  fb::FlatBufferBuilder b;
  const auto key = b.CreateString("key");
  const auto value = b.CreateString(std::string(value_bytes, 'v'));
  auto start = b.StartTable();
  b.AddOffset(kFirst, key);
  b.AddOffset(kSecond, value);
  const fb::Offset<fb::Table> setting(b.EndTable(start));
  const auto settings = b.CreateVector(std::vector<fb::Offset<fb::Table>>(entries, setting));
  const auto name = b.CreateString("orders");
  start = b.StartTable();
  b.AddOffset(kFirst, name);
  b.AddOffset(kThird, settings);
  const fb::Offset<fb::Table> create(b.EndTable(start));
  start = b.StartTable();
  b.AddElement<std::uint32_t>(kFirst, 1, 0);
  b.AddElement<std::uint8_t>(kSecond, kCreateTopic, 0);
  b.AddOffset(kThird, create);
  b.Finish(fb::Offset<fb::Table>(b.EndTable(start)), "BWC1");
  const auto* first = reinterpret_cast<const std::byte*>(b.GetBufferPointer());
  return {first, first + b.GetSize()};
}

TEST(ControlMessages, OneTextNamedThousandsOfTimesIsRefused) {
  EXPECT_EQ(std::get<CreateTopic>(decode_request(settings_bomb(1, 10)).body).settings.size(), 1U)
      << "the bomb is a message that verifies";
  const Bytes many = settings_bomb(8000, 30'000);
  ASSERT_LE(many.size(), limits::kControlMessageMost);
  EXPECT_EQ(error_of([&] { decode_request(many); }), errc::bad_message);
  EXPECT_EQ(error_of([] { decode_request(settings_bomb(60, 30'000)); }), errc::bad_message)
      << "bound of a value";
  EXPECT_EQ(error_of([] { decode_request(settings_bomb(2, 10)); }), errc::bad_message) << "a key given twice";
}

/// Seeded, so that a failure can be run again.
class Mutator {
 public:
  explicit Mutator(std::uint32_t seed) : random_(seed) {}
  Bytes mutate(Bytes bytes) {
    const std::size_t changes = 1 + below(4);
    for (std::size_t i = 0; i < changes && !bytes.empty(); ++i) change(bytes);
    return bytes;
  }

 private:
  std::size_t below(std::size_t end) {
    return std::uniform_int_distribution<std::size_t>(0, end - 1)(random_);
  }
  void change(Bytes& bytes) {
    const std::size_t at = below(bytes.size());
    switch (below(5)) {
      case 0:
        bytes[at] = static_cast<std::byte>(below(256));
        break;
      case 1:
        bytes[at] ^= static_cast<std::byte>(1U << below(8));
        break;
      case 2:
        bytes[at] = std::byte{0xFF};
        break;
      case 3:
        bytes.resize(at);
        break;
      case 4:
        bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at), below(16) + 1, std::byte{0});
        break;
    }
  }
  std::mt19937 random_;
};

constexpr int kMutationsOfEach = 1000;

/// Whatever is decoded from a mutated message is refused, or is within the bounds: it can be encoded again.
TEST(ControlMessages, AThousandMutationsOfEachRequestNeverCrashDecoding) {
  std::size_t refused = 0;
  for (const Request& request : samples::requests()) {
    Mutator mutator(static_cast<std::uint32_t>(request.index()));
    const Bytes whole = encode_request(1, request);
    for (int i = 0; i < kMutationsOfEach; ++i) {
      const Bytes bytes = mutator.mutate(whole);
      try {
        const RequestMessage message = decode_request(bytes);
        EXPECT_NO_THROW(encode_request(message.id, message.body));
      } catch (const Error& error) {
        EXPECT_EQ(error.error(), errc::bad_message);
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 1000U);
}

TEST(ControlMessages, AThousandMutationsOfEachReplyAndNoticeNeverCrashDecoding) {
  std::vector<Bytes> all;
  for (const Reply& reply : samples::replies()) all.push_back(encode_reply(1, reply));
  for (const Notice& notice : samples::notices()) all.push_back(encode_notice(notice));
  std::size_t refused = 0;
  for (const Bytes& whole : all) {
    Mutator mutator(static_cast<std::uint32_t>(whole.size()));
    for (int i = 0; i < kMutationsOfEach; ++i) {
      const Bytes bytes = mutator.mutate(whole);
      try {
        (void)decode_from_daemon(bytes);
      } catch (const Error& error) {
        EXPECT_EQ(error.error(), errc::bad_message);
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 1000U);
}

TEST(ControlMessages, SayHowManyDescriptorsBelongToThem) {
  EXPECT_TRUE(fds_fit(Reply{Welcome{}}, 1));
  EXPECT_FALSE(fds_fit(Reply{Welcome{}}, 0));
  EXPECT_TRUE(fds_fit(Reply{Attached{}}, 2));
  EXPECT_TRUE(fds_fit(Reply{Ok{}}, 0));
  EXPECT_FALSE(fds_fit(Reply{Ok{}}, 1));
  EXPECT_TRUE(fds_fit(Reply{Rings{{{}, {}, {}}, false}}, 3));
  EXPECT_TRUE(fds_fit(Reply{Segments{{{0, 1, true}, {1, 2, false}}}}, 5));
  EXPECT_TRUE(fds_fit(Notice{LaneOffer{}}, 0));
  EXPECT_TRUE(fds_fit(Notice{LaneOffer{}}, 1));
  EXPECT_FALSE(fds_fit(Notice{LaneOffer{}}, 2));
  EXPECT_FALSE(fds_fit(Notice{Stopping{}}, 1));
}

}  // namespace
}  // namespace busway::control
