// A first program. Before it: `busway topic create greetings`.
#include <iostream>

#include <busway/busway.hpp>

int main() {
  auto bus = busway::connect();
  bus.publisher("greetings").publish({.key = "en", .value = "hello, world"});
  auto greetings = bus.subscriber("greetings", {.from = busway::earliest});
  for (const auto& record : greetings.poll(std::chrono::seconds{1})) {
    std::cout << record.offset() << ": " << record.value().text() << '\n';
  }
}
