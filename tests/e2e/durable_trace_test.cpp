// `durable` moves, and `busway pub --durable` returns, only after a sync that began when the write was
// complete: shown by the disk seam's own trace (disk.trace.path), for each disk backend.
#include <map>
#include <sstream>

#include <gtest/gtest.h>

#include "tests/support/private_daemon.hpp"

namespace busway::test {
namespace {

struct TraceLine {
  std::string what;
  std::map<std::string, std::uint64_t> values;
};

/// "7 submit write token=3 fd=12 ..." without its number.
TraceLine parse(const std::string& line) {
  TraceLine parsed;
  std::istringstream words(line);
  std::string word;
  words >> word;
  while (words >> word) {
    const auto equals = word.find('=');
    if (equals == std::string::npos) {
      parsed.what += (parsed.what.empty() ? "" : " ") + word;
    } else {
      parsed.values[word.substr(0, equals)] = std::stoull(word.substr(equals + 1));
    }
  }
  return parsed;
}

/// Follows a trace and tells whether a sync is complete that began when the last write was.
class SyncsAfterWrites {
 public:
  void see(const TraceLine& line) {
    if (line.what == "submit write" || line.what == "begin write") written_ = covered_ = false;
    if (line.what == "end write") written_ = true;
    if (line.what == "submit write") ++open_[line.values.at("token")].parts;
    if (line.what == "submit sync" || line.what == "submit full sync") {
      // A sync of the file and one of its directory share a token: both must be complete.
      Operation& sync = open_[line.values.at("token")];
      sync.covers = written_;
      sync.is_sync = true;
      ++sync.parts;
    }
    if (line.what == "begin sync") sync_covers_ = written_;
    if (line.what == "end sync") covered_ = sync_covers_ && line.values.at("error") == 0;
    if (line.what == "done") finish(line);
  }
  bool covered() const noexcept { return covered_; }

 private:
  struct Operation {
    int parts = 0;
    bool is_sync = false;
    bool covers = false;
  };

  void finish(const TraceLine& line) {
    EXPECT_EQ(line.values.at("error"), 0U);
    Operation& operation = open_[line.values.at("token")];
    if (--operation.parts > 0) return;
    if (operation.is_sync) {
      covered_ = operation.covers;
    } else {
      written_ = true;
    }
    open_.erase(line.values.at("token"));
  }

  std::map<std::uint64_t, Operation> open_;
  bool written_ = false;
  bool sync_covers_ = false;
  bool covered_ = false;
};

class DurableTrace : public ::testing::TestWithParam<const char*> {};

TEST_P(DurableTrace, EveryAcknowledgementFollowsASyncOfTheWrite) {
  const TempDir traces;
  const std::string trace = traces / "trace";
  PrivateDaemon daemon({"disk.trace.path=" + trace, std::string("disk.backend=") + GetParam()});
  daemon.ok({"topic", "create", "t", "--config", "flush.ms=3600000"});  // nothing syncs but those who ask
  std::uint64_t durable = 0;
  for (int record = 0; record < 5; ++record) {
    daemon.ok({"pub", "t"}, "not synced\n");
    daemon.ok({"pub", "t", "--durable"}, "synced\n");
    SyncsAfterWrites syncs;
    std::istringstream lines(read_file(trace));
    durable = 0;
    for (std::string line; std::getline(lines, line);) {
      const TraceLine parsed = parse(line);
      syncs.see(parsed);
      if (parsed.what != "durable") continue;
      EXPECT_TRUE(syncs.covered()) << "`durable` moved without a complete sync behind the last write: "
                                   << line;
      durable = parsed.values.at("offset");
    }
    EXPECT_GE(durable, 2U * static_cast<std::uint64_t>(record) + 2) << "acknowledged before it was durable";
  }
  daemon.finish();
}

INSTANTIATE_TEST_SUITE_P(Backends, DurableTrace, ::testing::Values("io_uring", "threads"));

}  // namespace
}  // namespace busway::test
