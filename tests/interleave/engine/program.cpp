#include "tests/interleave/engine/program.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace busway::interleave {

Programs::Programs(std::vector<Actor> actors, Recorder& recorder)
    : actors_(std::move(actors)), recorder_(&recorder), arenas_(actors_.size() * kArena) {
  for (std::size_t actor = 0; actor < actors_.size(); ++actor) {
    if (actors_[actor].memory.size() > kArena) throw std::length_error("a role is larger than kArena");
    starts_.push_back(root(actor, checkpoint_of(actors_[actor].memory)));
  }
}

namespace {

std::uint64_t looked_at(const Access& access) noexcept {
  const bool has_word = access.op != Op::fence && access.op != Op::choose && access.op != Op::report;
  return has_word ? std::uint64_t{1} << access.location : 0;
}
static_assert(kLocationsMost <= 64);

}  // namespace

Target Programs::after(std::uint32_t from, std::uint64_t answer) {
  if (const auto known = edges_.find({from, answer}); known != edges_.end()) return known->second;
  const Node origin = nodes_[from];
  std::vector<std::uint64_t> answers(std::size_t{origin.depth} + 1);
  answers[origin.depth] = answer;
  std::uint32_t above = from;
  for (std::size_t depth = origin.depth; depth > 0; --depth) {
    answers[depth - 1] = nodes_[above].answer;
    above = nodes_[above].parent;
  }
  const Ran ran = run(origin.actor, origin.checkpoint, answers);
  Target target;
  const std::uint64_t looked = origin.looked | looked_at(origin.pending);
  switch (ran.how) {
    case Ran::How::pending:
      target.node = static_cast<std::uint32_t>(nodes_.size());
      nodes_.push_back({.answer = answer,
                        .parent = from,
                        .checkpoint = origin.checkpoint,
                        .depth = static_cast<std::uint16_t>(origin.depth + 1),
                        .actor = origin.actor,
                        .pending = ran.access,
                        .looked = looked});
      break;
    case Ran::How::forget:
      target.node = from;
      while (nodes_[target.node].depth > ran.depth) target.node = nodes_[target.node].parent;
      break;
    case Ran::How::returned:
      target = root(origin.actor, checkpoint_of(arena_memory(origin.actor)));
      if (ran.step != Step::again) target.after = ran.step;
      target.boundary = true;
      target.looked = looked;
      break;
  }
  edges_.emplace(Key{from, answer}, target);
  return target;
}

Target Programs::root(std::size_t actor, std::uint32_t checkpoint) {
  const std::uint64_t key = (std::uint64_t{actor} << 32) | checkpoint;
  if (const auto known = roots_.find(key); known != roots_.end()) return known->second;
  const Ran ran = run(actor, checkpoint, {});
  Target target;
  if (ran.how == Ran::How::returned && ran.step == Step::again) {
    target = root(actor, checkpoint_of(arena_memory(actor)));  // a step without an access
  } else {
    target.node = static_cast<std::uint32_t>(nodes_.size());
    if (ran.how == Ran::How::returned) target.after = ran.step;
    nodes_.push_back(
        {.checkpoint = checkpoint, .actor = static_cast<std::uint8_t>(actor), .pending = ran.access});
  }
  roots_.emplace(key, target);
  return target;
}

Ran Programs::run(std::size_t actor, std::uint32_t checkpoint, const std::vector<std::uint64_t>& answers) {
  const std::vector<std::byte>& memory = checkpoints_[checkpoint];
  std::memcpy(arena(actor), memory.data(), memory.size());
  return recorder_->run(actors_[actor].kind, actors_[actor].step, {arena(actor), memory.size()}, answers);
}

std::vector<std::byte> Programs::arena_memory(std::size_t actor) {
  return {arena(actor), arena(actor) + actors_[actor].memory.size()};
}

std::uint32_t Programs::checkpoint_of(std::vector<std::byte> memory) {
  Hasher hasher;
  hasher.feed(memory.data(), memory.size());
  const std::uint64_t hash = hasher.done();
  const auto [begin, end] = checkpoint_numbers_.equal_range(hash);
  for (auto known = begin; known != end; ++known)
    if (checkpoints_[known->second] == memory) return known->second;
  const auto number = static_cast<std::uint32_t>(checkpoints_.size());
  checkpoints_.push_back(std::move(memory));
  checkpoint_numbers_.emplace(hash, number);
  return number;
}

}  // namespace busway::interleave
