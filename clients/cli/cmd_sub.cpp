// busway sub: prints the records of a topic.
//
// Output is buffered while records are at hand and written out as soon as there are none: a fast stream goes
// out in large writes, a slow one record by record.
#include <algorithm>
#include <iostream>
#include <optional>
#include <vector>

#include <unistd.h>

#include "clients/cli/commands.hpp"
#include "clients/cli/format.hpp"
#include "clients/cli/interrupt.hpp"
#include "clients/cli/output.hpp"
#include "clients/cli/start.hpp"
#include "clients/cli/text.hpp"

namespace busway::cli {
namespace {

constexpr std::string_view kDefaultFormat = "%s\\n";
/// How often an idle subscriber looks whether it was interrupted or its reader has gone.
constexpr std::chrono::milliseconds kIdleLook{100};

class Printer {
 public:
  Printer(const Sub& options, Bus bus)
      : options_(options),
        format_(options.format.value_or(std::string(kDefaultFormat)), options.show_null),
        out_(STDOUT_FILENO),
        left_(options.count),
        bus_(std::move(bus)),
        subscriber_(bus_.subscriber(options.topic, subscriber_options(options))) {
    if (!options.exit_at_end) return;
    for (const std::int32_t partition : subscriber_.partitions()) {
      const auto index = static_cast<std::size_t>(partition);
      if (ends_.size() <= index) ends_.resize(index + 1, 0);
      ends_[index] = subscriber_.end_offset(partition);
    }
  }

  /// Exit status: failed if records were there that cannot be read.
  int run() {
    watch_signals();
    while (!finished() && !interrupted()) {
      auto records = subscriber_.try_poll();
      if (records && records->empty()) {
        out_.flush();
        tell_losses();
        tell_of_daemon();
        if (out_.reader_gone()) throw OutputClosed();
        print(subscriber_.poll(kIdleLook));
      } else if (records) {
        print(*records);
      } else {
        out_.flush();
        print(subscriber_.poll(kIdleLook));  // throws what try_poll has no words for
      }
    }
    out_.flush();
    tell_losses();
    return told_.corrupt == 0 ? kDone : kFailed;
  }

 private:
  static SubscriberOptions subscriber_options(const Sub& options) {
    SubscriberOptions wanted;
    wanted.from = options.from ? parse_start(*options.from) : options.exit_at_end ? earliest : latest;
    wanted.partitions = options.partitions;
    wanted.durable_only = options.durable_only;
    if (options.count) {
      wanted.max_poll_records =
          static_cast<std::size_t>(std::clamp<std::uint64_t>(*options.count, 1, wanted.max_poll_records));
    }
    return wanted;
  }

  bool finished() const {
    if (left_ == 0u) return true;
    if (!options_.exit_at_end) return false;
    return std::ranges::all_of(subscriber_.partitions(), [&](std::int32_t partition) {
      return subscriber_.position(partition) >= ends_[static_cast<std::size_t>(partition)];
    });
  }

  void print(std::span<const Record> records) {
    for (const Record& record : records) {
      if (left_ == 0u) return;
      if (options_.exit_at_end && record.offset() >= ends_[static_cast<std::size_t>(record.partition())])
        continue;
      if (options_.json) {
        print_json(out_.buffer(), options_.topic, record);
      } else {
        format_.print(out_.buffer(), options_.topic, record);
      }
      out_.added();
      if (left_) --*left_;
    }
  }

  void tell_losses() {
    const SubscriberCounters now = subscriber_.counters();
    if (now.lost != told_.lost) {
      std::cerr << "busway: " << human_count(now.lost - told_.lost) << " records of topic " << options_.topic
                << " were gone before they could be read (retention.ms, retention.bytes; for memory topics: "
                   "overflow)\n";
    }
    if (now.corrupt != told_.corrupt) {
      std::cerr << "busway: " << human_count(now.corrupt - told_.corrupt) << " records of topic "
                << options_.topic
                << " cannot be read: their batch does not match its checksum; `busway log verify` on the "
                   "partition's directory names file, offsets and bytes\n";
    }
    if (now.skipped != told_.skipped) {
      std::cerr << "busway: " << human_count(now.skipped - told_.skipped) << " offsets of topic "
                << options_.topic
                << " hold no record: the log jumped over them after a crash, or a batch was damaged and set "
                   "aside; the daemon's log says which, and `busway log verify` shows them as gaps\n";
    }
    told_ = now;
  }

  /// Once when it goes and once when it is back.
  void tell_of_daemon() {
    if (bus_.connected() == daemon_there_) return;
    daemon_there_ = !daemon_there_;
    std::cerr << (daemon_there_ ? "busway: the daemon is back\n"
                                : "busway: the daemon is gone; waiting until it is back\n");
  }

  const Sub& options_;
  Format format_;
  Output out_;
  std::optional<std::uint64_t> left_;
  Bus bus_;
  bool daemon_there_ = true;
  Subscriber subscriber_;
  std::vector<Offset> ends_;  // by partition: where it ended when this began
  SubscriberCounters told_;
};

}  // namespace

int run(const Sub& options, const std::string& socket) {
  if (options.from) parse_start(*options.from);  // before anything is asked of a daemon
  return Printer(options, connect_to(socket)).run();
}

}  // namespace busway::cli
