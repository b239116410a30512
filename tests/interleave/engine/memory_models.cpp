#include "tests/interleave/engine/memory_models.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string_view>

namespace busway::interleave {

std::uint64_t modified(const Access& access, std::uint64_t before) noexcept {
  switch (access.op) {
    case Op::fetch_add:
      return before + access.operand;
    case Op::fetch_or:
      return before | access.operand;
    case Op::fetch_and:
      return before & access.operand;
    default:
      return access.operand;  // exchange, a CAS that swaps
  }
}

SequentialMemory::SequentialMemory(const Locations& locations) : used_(locations.size()) {
  for (std::size_t i = 0; i < used_; ++i) values_[i] = locations[i].initial;
}

Effect SequentialMemory::apply(std::size_t /*actor*/, const Access& access, std::uint32_t /*outcome*/) {
  if (access.op == Op::fence) return {};
  std::uint64_t& value = values_[access.location];
  Effect effect{.answer = value};
  if (access.op == Op::load || (access.op == Op::cas && value != access.expected)) return effect;
  if (access.op == Op::store) effect.answer = 0;
  const std::uint64_t after = modified(access, value);
  effect.wrote = after != value;
  value = after;
  return effect;
}

namespace {

/// Views that messages carry, each once. Shared by all memories of a process.
class ViewTable {
 public:
  std::uint32_t number(const View& view) {
    const auto [known, inserted] = numbers_.try_emplace(view, static_cast<std::uint32_t>(views_.size()));
    if (inserted) views_.push_back(view);
    return known->second;
  }
  const View& operator[](std::uint32_t number) const { return views_[number]; }

 private:
  struct Hash {
    std::size_t operator()(const View& view) const noexcept {
      return std::hash<std::string_view>{}({reinterpret_cast<const char*>(view.at.data()), view.at.size()});
    }
  };
  std::unordered_map<View, std::uint32_t, Hash> numbers_{{View{}, 0}};
  std::vector<View> views_ = {View{}};
};

ViewTable& views() {
  static thread_local ViewTable table;
  return table;
}

/// A view relative to the oldest messages that there still are, as one number; 0 if it is not beyond any of
/// them.
std::uint64_t digest_of(const View& view, const View& first) noexcept {
  using Bytes [[gnu::vector_size(16)]] = std::uint8_t;
  static constexpr std::uint64_t kOdd[] = {0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f, 0x165667b19e3779f9,
                                           0x27d4eb2f165667c5, 0xd6e8feb86659fd93, 0xff51afd7ed558ccd,
                                           0xc4ceb9fe1a85ec53, 0xa0761d6478bd642f};
  static_assert(sizeof(View) == sizeof kOdd);
  std::array<std::uint64_t, 8> words{};
  for (std::size_t at = 0; at < sizeof(View); at += sizeof(Bytes)) {
    Bytes seen;
    Bytes least;
    std::memcpy(&seen, view.at.data() + at, sizeof seen);
    std::memcpy(&least, first.at.data() + at, sizeof least);
    seen = (seen > least) & (seen - least);
    std::memcpy(words.data() + at / 8, &seen, sizeof seen);
  }
  std::uint64_t digest = 0;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::uint64_t mixed = words[i] * kOdd[i];
    digest += mixed ^ (mixed >> 31) ^ (words[i] << 7);
  }
  return digest;
}

}  // namespace

ViewMemory::ViewMemory(const Locations& locations) : locations_(static_cast<std::uint8_t>(locations.size())) {
  if (locations.size() > kMessagesMost) throw std::length_error("more words than messages");
  for (std::size_t i = 0; i < locations.size(); ++i) {
    messages_[i].value = locations[i].initial;
    begin_[i + 1] = static_cast<std::uint8_t>(i + 1);
  }
}

ViewMemory& ViewMemory::operator=(const ViewMemory& other) noexcept {
  begin_ = other.begin_;
  first_ = other.first_;
  sequential_ = other.sequential_;
  threads_ = other.threads_;
  locations_ = other.locations_;
  std::copy_n(other.messages_.begin(), begin_[locations_], messages_.begin());
  return *this;
}

Effect ViewMemory::apply(std::size_t actor, const Access& access, std::uint32_t outcome) {
  Thread& thread = threads_[actor];
  switch (access.op) {
    case Op::load:
      return load(thread, access, outcome);
    case Op::store:
      return store(thread, access, outcome);
    case Op::fence:
      fence(thread, access.order);
      return {};
    default:
      return update(thread, access, outcome);
  }
}

std::uint8_t ViewMemory::lower_bound(const Thread& thread, const Access& access,
                                     std::memory_order order) const noexcept {
  const std::uint8_t own = thread.current.at[access.location];
  return order == std::memory_order_seq_cst ? std::max(own, sequential_.at[access.location]) : own;
}

void ViewMemory::read(Thread& thread, std::size_t location, std::uint8_t time, std::memory_order order) {
  thread.current.at[location] = std::max(thread.current.at[location], time);
  const View& released = views()[message(location, time).view];
  thread.acquired.at[location] = std::max(thread.acquired.at[location], time);
  thread.acquired.join(released);
  if (acquires(order)) thread.current.join(released);
  if (order == std::memory_order_seq_cst) sequential_.at[location] = std::max(sequential_.at[location], time);
}

Effect ViewMemory::load(Thread& thread, const Access& access, std::uint32_t outcome) {
  const std::uint8_t newest = newest_time(access.location);
  const std::uint8_t oldest = std::max(lower_bound(thread, access, access.order), first_.at[access.location]);
  const auto time = static_cast<std::uint8_t>(newest - outcome);
  read(thread, access.location, time, access.order);
  return {.answer = message(access.location, time).value,
          .outcomes = newest - oldest + 1U,
          .wrote = false,
          .stale = outcome != 0};
}

Effect ViewMemory::store(Thread& thread, const Access& access, std::uint32_t outcome) {
  // Behind any message that the writer has seen, unless a read-modify-write has bound itself to it.
  const std::uint8_t newest = newest_time(access.location);
  const std::uint8_t oldest = std::max(lower_bound(thread, access, access.order), first_.at[access.location]);
  std::uint32_t outcomes = 0;
  std::uint8_t chosen = newest;
  for (int time = newest; time >= oldest; --time) {
    if (time != newest && message(access.location, static_cast<std::uint8_t>(time + 1)).attached != 0)
      continue;
    if (outcomes++ == outcome) chosen = static_cast<std::uint8_t>(time);
  }
  return {.answer = 0, .outcomes = outcomes, .wrote = insert(thread, access, chosen, access.operand, false)};
}

Effect ViewMemory::update(Thread& thread, const Access& access, std::uint32_t outcome) {
  const std::uint8_t newest = newest_time(access.location);
  const bool conditional = access.op == Op::cas;
  const std::uint8_t oldest = first_.at[access.location];
  const std::uint8_t bound_swap = std::max(lower_bound(thread, access, access.order), oldest);
  const std::uint8_t bound_fail = std::max(lower_bound(thread, access, access.failure), oldest);
  Effect effect{.answer = 0, .outcomes = 0, .wrote = false};
  bool swaps = false;
  std::uint8_t chosen = newest;
  for (int at = newest; at >= std::min(bound_swap, bound_fail); --at) {
    const auto time = static_cast<std::uint8_t>(at);
    const bool matches = !conditional || message(access.location, time).value == access.expected;
    if (time < (matches ? bound_swap : bound_fail)) continue;
    if (matches && time != newest &&
        message(access.location, static_cast<std::uint8_t>(time + 1)).attached != 0)
      continue;
    if (effect.outcomes++ != outcome) continue;
    chosen = time;
    swaps = matches;
  }
  effect.answer = message(access.location, chosen).value;
  effect.stale = chosen != newest;
  read(thread, access.location, chosen, swaps ? access.order : access.failure);
  if (swaps) effect.wrote = insert(thread, access, chosen, modified(access, effect.answer), true);
  return effect;
}

bool ViewMemory::insert(Thread& thread, const Access& access, std::uint8_t time, std::uint64_t value,
                        bool attached) {
  const std::size_t location = access.location;
  const std::size_t end = begin_[locations_];
  if (end == kMessagesMost) throw std::length_error("kMessagesMost is too small for this scenario");
  if (newest_time(location) == 0xff) throw std::length_error("more stores to one word than time stamps");
  const auto at = static_cast<std::uint8_t>(time + 1);
  const bool last = time == newest_time(location);
  if (!last) shift_times(location, at);
  const std::uint64_t before = message(location, time).value;
  View released = releases(access.order) ? thread.current : thread.released;
  // A read-modify-write goes on with the release sequence of what it read.
  if (attached) released.join(views()[message(location, time).view]);
  released.at[location] = std::max(released.at[location], at);
  const std::size_t slot = begin_[location] + std::size_t{at} - first_.at[location];
  std::copy_backward(messages_.begin() + static_cast<std::ptrdiff_t>(slot),
                     messages_.begin() + static_cast<std::ptrdiff_t>(end),
                     messages_.begin() + static_cast<std::ptrdiff_t>(end + 1));
  for (std::size_t next = location + 1; next <= locations_; ++next) ++begin_[next];
  messages_[slot] = {.value = value, .view = views().number(released), .attached = attached ? 1U : 0U};
  thread.current.at[location] = at;
  thread.acquired.at[location] = std::max(thread.acquired.at[location], at);
  if (access.order == std::memory_order_seq_cst)
    sequential_.at[location] = std::max(sequential_.at[location], at);
  return last && value != before;
}

void ViewMemory::shift_times(std::size_t location, std::uint8_t from) {
  const auto shift = [&](View& view) {
    if (view.at[location] >= from) ++view.at[location];
  };
  shift(sequential_);
  for (Thread& thread : threads_) {
    shift(thread.current);
    shift(thread.acquired);
    shift(thread.released);
  }
  for (std::size_t i = 0; i < begin_[locations_]; ++i) {
    View view = views()[messages_[i].view];
    if (view.at[location] < from) continue;
    shift(view);
    messages_[i].view = views().number(view);
  }
}

void ViewMemory::fence(Thread& thread, std::memory_order order) noexcept {
  if (acquires(order)) thread.current.join(thread.acquired);
  if (order == std::memory_order_seq_cst) {
    sequential_.join(thread.current);
    thread.current = sequential_;
    thread.acquired.join(sequential_);
  }
  if (releases(order)) thread.released = thread.current;
}

void ViewMemory::store_newest(std::size_t actor, std::size_t location, std::uint64_t value) {
  const Access access{
      .op = Op::store, .location = static_cast<std::uint8_t>(location), .order = std::memory_order_release};
  insert(threads_[actor], access, newest_time(location), value, false);
}

bool ViewMemory::up_to_date(std::size_t actor) const noexcept {
  for (std::size_t i = 0; i < locations_; ++i)
    if (threads_[actor].current.at[i] < newest_time(i)) return false;
  return true;
}

void ViewMemory::bring_up_to_date(std::size_t actor) noexcept {
  for (std::size_t i = 0; i < locations_; ++i) threads_[actor].current.at[i] = newest_time(i);
  threads_[actor].acquired.join(threads_[actor].current);
}

void ViewMemory::tidy(const Locations& locations, const Kinds& alive) {
  View least;
  least.at.fill(0xff);
  for (std::size_t actor = 0; actor < kActorsMost; ++actor)
    if (alive[actor] != 0)
      for (std::size_t i = 0; i < locations_; ++i) {
        const bool loads = (locations[i].loaders & alive[actor]) != 0;
        least.at[i] = std::min(least.at[i], loads ? threads_[actor].current.at[i] : std::uint8_t{0xff});
      }
  // What every actor alive has seen newer ones of, nobody can read any more.
  bool any = false;
  for (std::size_t i = 0; i < locations_; ++i) {
    const std::uint8_t keep = std::min(std::max(least.at[i], first_.at[i]), newest_time(i));
    any |= keep != first_.at[i];
    least.at[i] = keep;
  }
  if (any) drop_below(least);
}

void ViewMemory::drop_below(const View& least) {
  std::size_t to = 0;
  std::size_t from = 0;
  for (std::size_t location = 0; location < locations_; ++location) {
    const std::size_t end = begin_[location + 1];
    from += static_cast<std::size_t>(least.at[location] - first_.at[location]);
    first_.at[location] = least.at[location];
    begin_[location] = static_cast<std::uint8_t>(to);
    while (from < end) messages_[to++] = messages_[from++];
  }
  begin_[locations_] = static_cast<std::uint8_t>(to);
}

void ViewMemory::hash(Hasher& hasher) const {
  for (std::size_t location = 0; location < locations_; ++location)
    for (std::size_t i = begin_[location]; i < begin_[location + 1]; ++i) {
      const std::uint64_t released =
          messages_[i].view == 0 ? 0 : digest_of(views()[messages_[i].view], first_);
      hasher.feed(messages_[i].value);
      // Where a location begins, and what is bound to its predecessor.
      const std::uint64_t kind = i == begin_[location] ? 2 : messages_[i].attached;
      hasher.feed(released * 4 + kind);
    }
  for (const Thread& thread : threads_) {
    hasher.feed(digest_of(thread.current, first_));
    hasher.feed(digest_of(thread.acquired, first_));
    hasher.feed(digest_of(thread.released, first_));
  }
  hasher.feed(digest_of(sequential_, first_));
}

}  // namespace busway::interleave
