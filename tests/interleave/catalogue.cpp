#include "tests/interleave/catalogue.hpp"

namespace busway::interleave {

namespace {

Scenario logged(std::string name, std::array<std::uint32_t, 2> records) {
  Scenario scenario;
  scenario.name = std::move(name);
  scenario.shape.records = records;
  return scenario;
}
Scenario in_memory(std::string name, Reclaim reclaim, std::uint32_t publishers,
                   std::array<std::uint32_t, 2> records) {
  Scenario scenario = logged(std::move(name), records);
  scenario.shape.reclaim = reclaim;
  scenario.shape.publishers = publishers;
  scenario.worker = false;
  return scenario;
}

Scenario growing(std::string name, std::uint32_t publishers, std::array<std::uint32_t, 2> records) {
  Scenario scenario = logged(std::move(name), records);
  scenario.shape.publishers = publishers;
  scenario.shape.next_slots = 2;
  scenario.shape.fences = true;
  scenario.grow_at = 1;
  return scenario;
}
Scenario fenced(std::string name) {
  Scenario scenario = logged(std::move(name), {1, 1});
  scenario.grow_at = 1;
  scenario.fence = ring::FenceReason::failed;
  scenario.shape.fences = true;
  return scenario;
}
Scenario leased(std::string name, Reclaim reclaim, std::uint32_t publishers,
                std::array<std::uint32_t, 2> records) {
  Scenario scenario = in_memory(std::move(name), reclaim, publishers, records);
  scenario.worker = reclaim == Reclaim::logged;
  scenario.shape.leases = 1;
  scenario.in_place = true;
  return scenario;
}
Scenario blocking(std::string name, std::uint32_t publishers, std::array<std::uint32_t, 2> records) {
  Scenario scenario = in_memory(std::move(name), Reclaim::block, publishers, records);
  scenario.shape.cursors = 1;
  return scenario;
}

Scenario taken_over(Scenario scenario) {
  scenario.name += ", taken over";
  scenario.heir = true;
  return scenario;
}
Scenario reader_sleeps(Scenario scenario) {
  scenario.name += ", reader sleeps";
  scenario.shape.reader_sleeps = true;
  return scenario;
}
Scenario publishers_sleep(Scenario scenario) {
  scenario.name += ", publishers sleep";
  scenario.shape.publishers_sleep = true;
  return scenario;
}
Scenario worker_sleeps(Scenario scenario) {
  scenario.name += ", worker sleeps";
  scenario.shape.worker_sleeps = true;
  return scenario;
}
Scenario leased_once(std::string name, Reclaim reclaim, std::uint32_t publishers,
                     std::array<std::uint32_t, 2> records) {
  Scenario scenario = leased(std::move(name) + " once", reclaim, publishers, records);
  scenario.shape.lease_tries = 1;
  return scenario;
}
/// The second publisher inherits the first one's lane id.
Scenario retiring(Scenario scenario) {
  scenario.name += ", lane retired";
  scenario.shape.retires = true;
  return scenario;
}
Scenario roomy(Scenario scenario, std::uint32_t slots, std::uint32_t rooms) {
  scenario.name += ", " + std::to_string(slots) + " slots, " + std::to_string(rooms) + " rooms";
  scenario.shape.slots = slots;
  scenario.shape.rooms = rooms;
  return scenario;
}
Scenario batched(Scenario scenario) {
  scenario.name += ", two at a time";
  scenario.shape.lease_batch = 2;
  return scenario;
}
Scenario granting(Scenario scenario) {
  scenario.name += ", granted one ahead";
  scenario.shape.granted = 1;
  scenario.shape.slots = 4;  // or the full ring would be met first
  return scenario;
}
Scenario without_reader(Scenario scenario) {
  scenario.name += ", no reader";
  scenario.reader = false;
  return scenario;
}

}  // namespace

const std::vector<Exploration>& quick_explorations() {
  static const std::vector<Exploration> all = [] {
    std::vector<Exploration> list;
    for (const Model model : {Model::sequential, Model::views}) {
      const auto add = [&](Scenario scenario, unsigned preemptions, unsigned crashes, bool frozen = false) {
        list.push_back(
            {std::move(scenario), model, {.preemptions = preemptions, .crashes = crashes, .frozen = frozen}});
      };
      add(in_memory("drop oldest", Reclaim::drop_oldest, 1, {3, 0}), 3, 1);
      add(in_memory("drop oldest, two publishers", Reclaim::drop_oldest, 2, {2, 2}), 2, 0);
      add(without_reader(in_memory("drop oldest", Reclaim::drop_oldest, 2, {2, 3})), 3, 0);
      add(roomy(without_reader(in_memory("drop oldest", Reclaim::drop_oldest, 2, {3, 4})), 4, 4), 2, 0);
      add(roomy(without_reader(in_memory("drop oldest", Reclaim::drop_oldest, 2, {2, 3})), 2, 4), 2, 0);
      add(leased("leases", Reclaim::drop_oldest, 1, {3, 0}), 2, 0);
      add(blocking("block", 1, {3, 0}), 2, 1);
      add(reader_sleeps(in_memory("drop oldest", Reclaim::drop_oldest, 2, {1, 1})), 2, 0);
      add(reader_sleeps(in_memory("drop oldest", Reclaim::drop_oldest, 2, {1, 1})), 2, 1, true);
      add(publishers_sleep(leased("leases", Reclaim::drop_oldest, 1, {2, 0})), 3, 1);
      add(batched(roomy(leased("leases", Reclaim::drop_oldest, 1, {4, 0}), 4, 3)), 1, 0);
      add(publishers_sleep(leased_once("leases", Reclaim::drop_oldest, 1, {2, 0})), 3, 1);
      add(worker_sleeps(without_reader(logged("logged", {1, 1}))), 2, 0);
      add(publishers_sleep(without_reader(logged("logged", {1, 1}))), 2, 1);
      add(without_reader(granting(logged("logged", {1, 2}))), 2, 0);
      add(retiring(logged("logged", {1, 1})), 2, 1);
      add(retiring(leased("leases", Reclaim::logged, 2, {1, 1})), 2, 0);
      add(logged("logged", {1, 1}), 2, 1);
      add(fenced("fenced"), 1, 1);
      add(growing("growing", 1, {2, 0}), 2, 1);
      add(without_reader(growing("growing", 2, {2, 1})), 2, 0);
      add(reader_sleeps(growing("growing", 1, {1, 0})), 2, 0);
      add(taken_over(without_reader(growing("growing", 1, {2, 0}))), 1, 1);
    }
    return list;
  }();
  return all;
}

namespace {

/// Two publishers, a reader and the drain on a logged topic, in a ring of two slots (it wraps) with lanes of
/// one frame (they are used again).
Scenario cast_of_four(std::array<std::uint32_t, 2> records) {
  return logged(
      "cast of four, " + std::to_string(records[0]) + " and " + std::to_string(records[1]) + " records",
      records);
}
Scenario leasing(Scenario scenario) {
  scenario.name += ", leasing";
  scenario.shape.leases = 1;
  scenario.in_place = true;
  return scenario;
}
Scenario grown(Scenario scenario) {
  scenario.name += ", growing";
  scenario.shape.next_slots = 2;
  scenario.shape.fences = true;
  scenario.grow_at = 1;
  return scenario;
}

}  // namespace

const std::vector<Exploration>& full_explorations() {
  static const std::vector<Exploration> all = [] {
    std::vector<Exploration> list;
    for (const Model model : {Model::sequential, Model::views}) {
      const auto add = [&](Scenario scenario, unsigned preemptions, unsigned crashes) {
        list.push_back({std::move(scenario), model, {.preemptions = preemptions, .crashes = crashes}});
      };
      const bool views = model == Model::views;
      add(cast_of_four({1, 1}), 3, 1);
      add(cast_of_four({2, 1}), 3, 1);
      if (!views) add(cast_of_four({2, 2}), 3, 1);
      add(roomy(cast_of_four({2, 1}), 4, 4), 3, 1);
      add(granting(cast_of_four({1, 1})), 3, 1);
      add(publishers_sleep(cast_of_four({1, 1})), 3, 1);
      add(reader_sleeps(cast_of_four({1, 1})), views ? 2 : 3, 1);
      add(worker_sleeps(cast_of_four({1, 1})), 3, 1);
      add(taken_over(cast_of_four({1, 1})), 3, 2);
      add(fenced("cast of four, fenced for good"), 3, 1);
      add(grown(cast_of_four({1, 1})), 3, 1);
      if (!views) add(grown(cast_of_four({2, 1})), 3, 1);
      add(taken_over(grown(cast_of_four({1, 1}))), views ? 1 : 3, 1);
      add(leasing(cast_of_four({1, 1})), 3, 1);
      add(retiring(cast_of_four({1, 1})), 3, 1);
      // Nobody here clears the lease of a reader that dies, as the daemon does.
      add(retiring(leasing(cast_of_four({1, 1}))), 3, 0);
      add(in_memory("drop oldest, two publishers", Reclaim::drop_oldest, 2, {2, 2}), 3, 1);
      add(leased("leases, two publishers", Reclaim::drop_oldest, 2, {2, 1}), views ? 2 : 3, 1);
      add(blocking("block, two publishers", 2, {2, 1}), 3, 1);
    }
    return list;
  }();
  return all;
}

}  // namespace busway::interleave
