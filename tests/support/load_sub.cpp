// Reads the records of load_pub, checks each, and writes down what it saw.
//
//   load_sub socket=S topic=T out=FILE [from=earliest|latest] [count=N] [ready=FILE]
//
// Ends after `count` records, or, once it got SIGTERM, at the end of the topic. `ready` is created when it
// stands. Fails, with a sentence, at a record that was not published like that, at a gap, and at every error
// that the library reports.
#include <chrono>
#include <iostream>

#include <busway/busway.hpp>

#include "tests/support/load_arguments.hpp"
#include "tests/support/load_record.hpp"

namespace {

using namespace busway::test;
using namespace std::chrono_literals;

class Reader {
 public:
  explicit Reader(const LoadArguments& arguments)
      : count_(arguments.number("count", 0)),
        seen_(arguments.text("out")),
        subscriber_(connect(arguments).subscriber(arguments.text("topic"), options(arguments))) {
    if (const std::string ready = arguments.text("ready"); !ready.empty()) std::ofstream(ready) << "ready\n";
  }

  void run() {
    while (count_ == 0 || records_ < count_) {
      const auto records = subscriber_.poll(100ms);
      for (const busway::Record& record : records) take(record);
      if (records.empty() && load_asked_to_end && at_end()) break;
    }
    seen_.write();
    const auto counters = subscriber_.counters();
    if (counters.lost != 0) throw std::runtime_error(std::to_string(counters.lost) + " records were lost");
  }

 private:
  static busway::Bus connect(const LoadArguments& arguments) {
    busway::ConnectOptions options;
    options.socket = arguments.text("socket");
    options.timeout = 30s;
    return busway::connect(options);
  }

  static busway::SubscriberOptions options(const LoadArguments& arguments) {
    busway::SubscriberOptions options;
    options.from = arguments.text("from", "earliest") == "latest" ? busway::latest : busway::earliest;
    return options;
  }

  bool at_end() const { return subscriber_.position(0) >= subscriber_.end_offset(0); }

  void take(const busway::Record& record) {
    LoadId id;
    if (!read_load(record.value().span(), id)) {
      throw std::runtime_error("the record at offset " + std::to_string(record.offset()) +
                               " is not as published");
    }
    if (records_ > 0 && record.offset() != last_ + 1) {
      throw std::runtime_error("offset " + std::to_string(record.offset()) + " follows " +
                               std::to_string(last_));
    }
    last_ = record.offset();
    ++records_;
    seen_.add({record.offset(), id.sequence, id.publisher});
  }

  std::uint64_t count_;
  ArrayFile<SeenRecord> seen_;
  busway::Subscriber subscriber_;
  std::uint64_t records_ = 0;
  busway::Offset last_ = -1;
};

}  // namespace

int main(int argc, char** argv) {
  end_on_sigterm();
  try {
    Reader(LoadArguments(argc, argv)).run();
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "load_sub: " << error.what() << '\n';
    return 1;
  }
}
