// Publishes numbered records one by one and writes down the offset that each was given.
//
//   load_pub socket=S topic=T id=N acks=FILE [count=N] [rate=RECORDS/S] [durable=1]
//
// count=0: until SIGTERM. Fails, with a sentence, at the first error that the library reports.
#include <chrono>
#include <iostream>
#include <thread>

#include <busway/busway.hpp>

#include "tests/support/load_arguments.hpp"
#include "tests/support/load_record.hpp"

namespace {

using namespace busway::test;

/// Keeps to so many records a second.
class Pace {
 public:
  explicit Pace(std::uint64_t rate) : rate_(rate) {}
  void wait_for(std::uint64_t done) const {
    if (rate_ == 0 || done % 64 != 0) return;
    std::this_thread::sleep_until(started_ + std::chrono::nanoseconds(done * 1'000'000'000 / rate_));
  }

 private:
  std::uint64_t rate_;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

void run(const LoadArguments& arguments) {
  busway::ConnectOptions options;
  options.socket = arguments.text("socket");
  options.timeout = std::chrono::seconds{30};
  auto bus = busway::connect(options);
  auto publisher = bus.publisher(arguments.text("topic"));
  const auto count = arguments.number("count", 0);
  const bool durable = arguments.number("durable", 0) != 0;
  const Pace pace(arguments.number("rate", 0));
  ArrayFile<std::int64_t> acknowledged(arguments.text("acks"));
  LoadId id{static_cast<std::uint32_t>(arguments.number("id", 0)), 0};
  std::string value;
  for (; (count == 0 || id.sequence < count) && !load_asked_to_end; ++id.sequence) {
    make_load(value, id);
    busway::NewRecord record;
    record.value = value;
    const auto at = durable ? publisher.publish(record, busway::durable) : publisher.publish(record);
    acknowledged.add(at.offset);
    pace.wait_for(id.sequence + 1);
  }
  acknowledged.write();
}

}  // namespace

int main(int argc, char** argv) {
  end_on_sigterm();
  try {
    run(LoadArguments(argc, argv));
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "load_pub: " << error.what() << '\n';
    return 1;
  }
}
