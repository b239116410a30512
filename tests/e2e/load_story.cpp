#include "tests/e2e/load_story.hpp"

#include <csignal>

#include <gtest/gtest.h>

namespace busway::test {

LoadStory::LoadStory(const PrivateDaemon& daemon) : daemon_(daemon) {
  daemon.ok({"topic", "create", "load"});
}

std::string LoadStory::acks_file(std::size_t publisher) const {
  return daemon_.directory() / ("acks" + std::to_string(publisher));
}

void LoadStory::start_publishers(int publishers, std::uint64_t count, std::uint64_t rate) {
  for (int index = 0; index < publishers; ++index) {
    publishers_.push_back(
        daemon_.start_load_pub({"topic=load", "id=" + std::to_string(count_), "acks=" + acks_file(count_),
                                "count=" + std::to_string(count), "rate=" + std::to_string(rate)}));
    ++count_;
  }
}

void LoadStory::stop_publishers() {
  for (Process& publisher : publishers_) {
    if (publisher.running()) publisher.signal(SIGTERM);
  }
  await_publishers(std::chrono::seconds{90});
}

void LoadStory::await_publishers(std::chrono::seconds deadline) {
  for (Process& publisher : publishers_) EXPECT_EQ(publisher.wait(deadline), 0) << "a publisher saw an error";
  publishers_.clear();
}

Process LoadStory::start_subscriber(const std::string& name, const std::string& from,
                                    std::uint64_t count) const {
  const auto ready = daemon_.directory() / (name + ".ready");
  Process subscriber =
      daemon_.start_load_sub({"topic=load", "from=" + from, "count=" + std::to_string(count),
                              "out=" + (daemon_.directory() / name).string(), "ready=" + ready.string()});
  EXPECT_TRUE(eventually([&] { return std::filesystem::exists(ready); })) << name << " does not start";
  return subscriber;
}

std::vector<SeenRecord> LoadStory::finish_subscriber(Process subscriber, const std::string& name) const {
  if (subscriber.running()) subscriber.signal(SIGTERM);
  EXPECT_EQ(subscriber.wait(std::chrono::seconds{120}), 0) << name << " saw an error";
  return seen_by(name);
}

std::vector<SeenRecord> LoadStory::seen_by(const std::string& name) const {
  return read_seen(daemon_.directory() / name);
}

std::uint64_t LoadStory::acknowledged() const {
  std::uint64_t total = 0;
  for (std::size_t index = 0; index < count_; ++index) total += read_acknowledged(acks_file(index)).size();
  return total;
}

void LoadStory::expect_exactly_the_acknowledged(const std::vector<SeenRecord>& seen) const {
  ASSERT_EQ(seen.size(), acknowledged());
  std::vector<std::vector<std::int64_t>> acks;
  for (std::size_t index = 0; index < count_; ++index) acks.push_back(read_acknowledged(acks_file(index)));
  std::vector<std::uint64_t> next(count_, 0);
  for (std::size_t at = 0; at < seen.size(); ++at) {
    const SeenRecord& record = seen[at];
    ASSERT_EQ(record.offset, static_cast<std::int64_t>(at)) << "offsets are dense";
    ASSERT_LT(record.publisher, count_);
    ASSERT_EQ(record.sequence, next[record.publisher]) << "of publisher " << record.publisher;
    ASSERT_LT(record.sequence, acks[record.publisher].size()) << "never acknowledged";
    ASSERT_EQ(acks[record.publisher][record.sequence], record.offset) << "acknowledged at another offset";
    ++next[record.publisher];
  }
}

}  // namespace busway::test
