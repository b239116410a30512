// Busway: a shared-memory message bus for the processes of one machine, with a Kafka-format log behind it.
//
//   auto bus = busway::connect();
//   bus.create_topic("orders");
//   bus.publisher("orders").publish({.key = "k", .value = "v"});
//   auto sub = bus.subscriber("orders", {.from = busway::earliest});
//   for (const auto& record : sub.poll(100ms)) use(record.offset(), record.value());
#pragma once

#include <busway/bus.hpp>
#include <busway/error.hpp>
#include <busway/publisher.hpp>
#include <busway/record.hpp>
#include <busway/subscriber.hpp>
#include <busway/types.hpp>
