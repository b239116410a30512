#include "tests/interleave/scenario.hpp"

#include <iomanip>
#include <memory>
#include <sstream>

#include "tests/interleave/roles/publisher.hpp"
#include "tests/interleave/roles/reader.hpp"
#include "tests/interleave/roles/witness.hpp"
#include "tests/interleave/roles/worker.hpp"

namespace busway::interleave {

const char* name_of(Model model) noexcept {
  return model == Model::sequential ? SequentialMemory::kName : ViewMemory::kName;
}

namespace {

std::vector<Actor> cast_actors(const Scenario& scenario, const World& world, Cast& cast) {
  std::vector<Actor> actors;
  const auto add = [&](Actor actor) {
    actors.push_back(std::move(actor));
    return static_cast<int>(actors.size()) - 1;
  };
  cast.publishers = {-1, -1};
  for (std::uint32_t lane = 1; lane <= scenario.shape.publishers; ++lane)
    cast.publishers[lane - 1] =
        add(actor_of("publisher " + std::to_string(lane), kPublisher, Publisher(world, lane), true));
  if (scenario.reader) {
    Actor reader = actor_of("reader", kReader, Reader(world, scenario.in_place), true);
    reader.waits_by_looking = !scenario.in_place;  // it leases whenever it looks again
    cast.reader = add(std::move(reader));
  }
  if (scenario.worker) {
    Worker worker(world);
    worker.grow_at = scenario.grow_at;
    worker.fence_reason = scenario.fence;
    Actor actor = actor_of("worker", kWorker, worker, true);
    actor.waits_by_looking =
        !scenario.shape.retires;  // it waits for the dead, and for records at the same time
    cast.worker = add(std::move(actor));
  }
  if (scenario.heir) {
    Worker heir(world);
    heir.phase = Worker::Phase::take_over;
    cast.heir = add(actor_of("next worker", kWorker, heir, true, cast.worker));
  }
  return actors;
}

template <class Memory>
Verdict explore_in(const Scenario& scenario, Bounds bounds, Seed& seed, std::vector<Site>* sites) {
  const World world(scenario.shape);
  Recorder recorder(world.locations, seed);
  Cast cast;
  Programs programs(cast_actors(scenario, world, cast), recorder);
  const Witness<Memory> witness(world, cast, bounds.frozen);
  Explorer<Memory, Witness<Memory>> explorer(world.locations, programs, witness, bounds);
  Verdict verdict = explorer.run();
  if (sites != nullptr) *sites = recorder.sites();
  return verdict;
}

}  // namespace

Verdict explore(const Scenario& scenario, Model model, Bounds bounds, Seed& seed, std::vector<Site>* sites) {
  return model == Model::sequential ? explore_in<SequentialMemory>(scenario, bounds, seed, sites)
                                    : explore_in<ViewMemory>(scenario, bounds, seed, sites);
}

std::string summary(const Scenario& scenario, Model model, Bounds bounds, const Verdict& verdict) {
  std::ostringstream line;
  line << scenario.name << ", " << name_of(model) << ", preemptions <= " << bounds.preemptions
       << (bounds.frozen ? ", freezes <= " : ", crashes <= ") << bounds.crashes << ": " << verdict.states
       << " states, " << verdict.transitions << " transitions, " << verdict.executions << " executions, "
       << verdict.ends << " ends, depth " << verdict.deepest << ", " << verdict.positions
       << " program positions, " << std::fixed << std::setprecision(2) << verdict.seconds << " s";
  if (bounds.crashes != 0) {
    line << (bounds.frozen ? "; frozen:" : "; crashed:");
    for (const auto& [name, times] : verdict.crashes) line << " " << name << " " << times << " times,";
    line.seekp(-1, std::ios::cur);
  }
  if (!verdict.complete && verdict.broken.empty()) line << "; NOT COMPLETE";
  if (!verdict.broken.empty()) line << "; BROKEN: " << verdict.broken;
  std::string text = line.str();
  if (text.back() == ',') text.pop_back();
  return text;
}

}  // namespace busway::interleave
