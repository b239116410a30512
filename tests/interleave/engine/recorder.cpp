#include "tests/interleave/engine/recorder.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace busway::interleave {

thread_local Recorder* Recorder::current_ = nullptr;

namespace {

/// "publish" of "busway::ring::PublishOutcome busway::ring::publish(busway::ring::Ledger<A>&, ...) [with A =
/// ...]".
std::string short_name(std::string_view pretty) {
  std::string plain;  // without template arguments, up to the first parameter
  int depth = 0;
  for (const char c : pretty) {
    if (c == '(' && depth == 0) break;
    if (c == '<') ++depth;
    if (depth == 0) plain += c;
    if (c == '>') --depth;
  }
  const std::size_t begin = plain.find_last_of(": ");
  return begin == std::string::npos ? plain : plain.substr(begin + 1);
}

}  // namespace

Ran Recorder::run(Kind kind, Step (*step)(void*), std::span<std::byte> memory,
                  std::span<const std::uint64_t> answers) {
  kind_ = kind;
  seed_->begin(kind, *locations_);
  memory_ = memory;
  answers_ = answers;
  at_ = 0;
  marks_.clear();
  current_ = this;
  if (setjmp(out_) == 0) {
    left_ = {};
    left_.step = step(memory.data());
    left_.how = Ran::How::returned;
  }
  return left_;
}

void Recorder::leave(Ran with) {
  left_ = with;
  std::longjmp(out_, 1);
}

std::uint64_t Recorder::perform(Access access, const std::source_location& where) {
  access.site = site_of(access, where);
  const Site& site = sites_[access.site];
  seed_->alter(access, site);
  if (access.op == Op::none) return seed_->answer(access, site, 0);
  if (at_ < answers_.size()) return seed_->answer(access, site, answers_[at_++]);
  leave({.how = Ran::How::pending, .access = access});
}

void Recorder::restart(const std::source_location& where) {
  const std::uint16_t site = site_of(Access{}, where);
  Hasher hasher;
  hasher.feed(memory_.data(), memory_.size());
  const std::uint64_t memory = hasher.done();
  const auto mark = std::find_if(marks_.begin(), marks_.end(), [&](const Mark& m) { return m.site == site; });
  if (mark == marks_.end()) {
    marks_.push_back({site, at_, memory});
  } else if (mark->memory != memory) {
    *mark = {site, at_, memory};  // the role has kept something: a new beginning
  } else if (at_ > mark->depth) {
    leave({.how = Ran::How::forget, .depth = mark->depth});
  }
}

std::uint16_t Recorder::site_of(const Access& access, const std::source_location& where) {
  const bool has_place =
      access.op != Op::fence && access.op != Op::none && access.op != Op::choose && access.op != Op::report;
  const Place place = has_place ? (*locations_)[access.location].place : Place::nowhere;
  const auto key = std::make_tuple(where.file_name(), where.line(), where.column(), place);
  const auto [known, inserted] = site_numbers_.try_emplace(key, static_cast<std::uint16_t>(sites_.size()));
  if (inserted) {
    const std::string_view path = where.file_name();
    sites_.push_back({.file = std::string(path.substr(path.rfind('/') + 1)),
                      .function = short_name(where.function_name()),
                      .line = where.line(),
                      .column = where.column(),
                      .op = access.op,
                      .place = place,
                      .order = access.order});
  }
  sites_[known->second].kinds |= kind_;
  return known->second;
}

std::uint64_t Recorder::frame_number(const void* bytes, std::size_t count) {
  Frame frame{};
  std::memcpy(frame.data(), bytes, std::min(count, sizeof frame));
  if (frame == Frame{}) return 0;
  const auto [known, inserted] = frame_numbers_.try_emplace(frame, frames_.size());
  if (inserted) frames_.push_back(frame);
  return known->second;
}

}  // namespace busway::interleave
