// busway pub: lines of a file or of stdin become records.
//
// Lines go from the read buffer straight into lane memory, in batches of bounded size. What was read is
// published at once: a line typed at a terminal or written by `tail -f` does not wait for others.
#include <algorithm>
#include <array>
#include <cerrno>
#include <iostream>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bus/base/fd.hpp"
#include "bus/base/limits.hpp"
#include "clients/cli/commands.hpp"
#include "clients/cli/interrupt.hpp"
#include "clients/cli/lines.hpp"
#include "clients/cli/progress.hpp"
#include "clients/cli/text.hpp"

namespace busway::cli {
namespace {

constexpr std::size_t kBatchRecords = 1024;
/// No record is larger, so no line needs to be.
constexpr std::size_t kLongestLine = limits::kLaneBytesMost;

struct Input {
  Fd owned;
  int fd = STDIN_FILENO;
  std::string name = "standard input";
  std::uint64_t bytes = 0;  ///< 0: unknown
  bool regular = false;
};

Input open_input(const std::string& file) {
  Input input;
  if (file != "-") {
    input.owned = Fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    if (!input.owned) throw_errno("cannot open " + file);
    input.fd = input.owned.get();
    input.name = file;
  }
  struct stat status {};
  if (::fstat(input.fd, &status) == 0) {
    if (S_ISDIR(status.st_mode)) throw_errno("cannot read " + input.name, EISDIR);
    input.regular = S_ISREG(status.st_mode);
    if (input.regular) input.bytes = static_cast<std::uint64_t>(status.st_size);
  }
  return input;
}

/// Makes a record of a line (or of a whole input), by the options.
class RecordMaker {
 public:
  explicit RecordMaker(const Pub& options) : options_(options) {
    if (options.key_separator) {
      separator_ = unescape(*options.key_separator);
      if (separator_.empty()) throw UsageError("-K: the separator is empty");
    }
    for (const std::string& header : options.headers) {
      const auto equals = header.find('=');
      if (equals == std::string::npos || equals == 0) {
        throw UsageError("-H " + header + ": expected NAME=VALUE");
      }
      const std::string_view text = header;
      headers_.push_back({text.substr(0, equals), text.substr(equals + 1)});
    }
  }

  NewRecord make(std::string_view value) const {
    NewRecord record;
    if (options_.key) record.key = bytes(*options_.key);
    if (!separator_.empty()) {
      const auto at = value.find(separator_);
      if (at != std::string_view::npos) {
        record.key = bytes(value.substr(0, at));
        value.remove_prefix(at + separator_.size());
      }
    }
    record.value = bytes(value);
    record.headers = std::span<const Header>(headers_);
    record.partition = options_.partition;
    return record;
  }

 private:
  BytesView bytes(std::string_view text) const {
    return text.empty() && options_.empty_as_null ? BytesView() : BytesView(text);
  }

  const Pub& options_;
  std::string separator_;
  std::vector<Header> headers_;
};

std::chrono::milliseconds timeout_of(const Pub& options) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::duration<double>(options.timeout_s));
}

std::chrono::milliseconds patience_of(const Pub& options) {
  return std::max(kConnectPatience, timeout_of(options));
}

PublisherOptions publisher_options(const Pub& options) {
  PublisherOptions wanted;
  wanted.max_block = timeout_of(options);
  return wanted;
}

class LinePublisher {
 public:
  LinePublisher(const Pub& options, Bus bus)
      : options_(options),
        maker_(options),
        bus_(std::move(bus)),
        publisher_(bus_.publisher(options.topic, publisher_options(options))) {}

  int run(const Input& input) {
    watch_signals();
    LineReader reader(input.fd, kLongestLine, interrupt_fd());
    Progress progress("published", input.bytes);
    for (;;) {
      const auto lines = next_lines(reader, input);
      if (lines.empty()) break;
      publish(lines, input);
      progress.at(published_, reader.bytes_done());
      // Whoever feeds us line by line waits for each to be durable; a file is synced once, at its end.
      if (options_.durable && !input.regular && !reader.more_at_hand())
        publisher_.flush(timeout_of(options_));
    }
    if (options_.durable) publisher_.flush(timeout_of(options_));
    if (!reader.stopped() || !input.regular) return kDone;
    std::cerr << "busway: interrupted: the first " << human_count(published_) << " lines of " << input.name
              << " were published\n";
    return kFailed;
  }

 private:
  std::span<const std::string_view> next_lines(LineReader& reader, const Input& input) {
    try {
      return reader.next(kBatchRecords);
    } catch (const Error& error) {
      throw Error(error.error(),
                  input.name + ", line " + human_count(published_ + 1) + ": " + error.sentence());
    }
  }

  void publish(std::span<const std::string_view> lines, const Input& input) {
    batch_.clear();
    for (const std::string_view line : lines) batch_.push_back(maker_.make(line));
    try {
      publisher_.publish_batch(batch_);
    } catch (const BatchError& error) {
      throw Error(error.error(), input.name + ", line " + human_count(published_ + error.published() + 1) +
                                     ": " + error.sentence());
    }
    published_ += lines.size();
  }

  const Pub& options_;
  RecordMaker maker_;
  Bus bus_;
  Publisher publisher_;
  std::vector<NewRecord> batch_;
  std::uint64_t published_ = 0;
};

int publish_whole(const Pub& options, const Input& input, Bus bus) {
  const RecordMaker maker(options);
  watch_signals();
  bool stopped = false;
  const std::vector<char> bytes = read_whole(input.fd, kLongestLine, interrupt_fd(), stopped);
  if (stopped)
    throw Error(errc::io, "interrupted before the end of " + input.name + "; nothing was published");
  Publisher publisher = bus.publisher(options.topic, publisher_options(options));
  publisher.publish(maker.make({bytes.data(), bytes.size()}));
  if (options.durable) publisher.flush(timeout_of(options));
  return kDone;
}

}  // namespace

int run(const Pub& options, const std::string& socket) {
  const Input input = open_input(options.file);
  if (options.whole) return publish_whole(options, input, connect_to(socket, patience_of(options)));
  return LinePublisher(options, connect_to(socket, patience_of(options))).run(input);
}

}  // namespace busway::cli
