#include "tests/interleave/engine/access.hpp"

#include <cstring>
#include <stdexcept>

namespace busway::interleave {

const char* name_of(Op op) noexcept {
  switch (op) {
    case Op::load:
      return "load";
    case Op::store:
      return "store";
    case Op::cas:
      return "cas";
    case Op::exchange:
      return "exchange";
    case Op::fetch_add:
      return "fetch_add";
    case Op::fetch_or:
      return "fetch_or";
    case Op::fetch_and:
      return "fetch_and";
    case Op::fence:
      return "fence";
    case Op::choose:
      return "choose";
    case Op::report:
      return "report";
    case Op::futex_wait:
      return "futex_wait";
    case Op::futex_wake:
      return "futex_wake";
    case Op::none:
      break;
  }
  return "none";
}

const char* name_of(Place place) noexcept {
  switch (place) {
    case Place::base:
      return "base";
    case Place::tail:
      return "tail";
    case Place::reclaimed:
      return "reclaimed";
    case Place::slot:
      return "slot";
    case Place::granted:
      return "granted";
    case Place::written:
      return "written";
    case Place::ring_generation:
      return "ring_generation";
    case Place::lane_generation:
      return "lane_generation";
    case Place::lease:
      return "lease";
    case Place::cursor:
      return "cursor";
    case Place::record_sleepers:
      return "record_sleepers";
    case Place::space_sleepers:
      return "space_sleepers";
    case Place::bell:
      return "bell";
    case Place::daemon_bell:
      return "daemon_bell";
    case Place::daemon_asleep:
      return "daemon_asleep";
    case Place::dirty:
      return "dirty";
    case Place::frame:
      return "frame";
    case Place::pidfd:
      return "pidfd";
    case Place::nowhere:
      break;
  }
  return "nowhere";
}

const char* name_of(std::memory_order order) noexcept {
  switch (order) {
    case std::memory_order_relaxed:
      return "relaxed";
    case std::memory_order_consume:
      return "consume";
    case std::memory_order_acquire:
      return "acquire";
    case std::memory_order_release:
      return "release";
    case std::memory_order_acq_rel:
      return "acq_rel";
    case std::memory_order_seq_cst:
      return "seq_cst";
  }
  return "?";
}

std::uint8_t Locations::add(Place place, std::uint8_t owner, std::uint8_t index, std::uint64_t initial,
                            std::uint8_t loaders, bool constant) {
  if (all_.size() == kLocationsMost) throw std::length_error("a scenario has more words than kLocationsMost");
  all_.push_back({place, owner, index, initial, loaders, constant});
  return static_cast<std::uint8_t>(all_.size() - 1);
}

std::string Locations::name(std::size_t location) const {
  const Location& at = all_[location];
  return std::string(name_of(at.place)) + "[" + std::to_string(at.owner) + "," + std::to_string(at.index) +
         "]";
}

void Hasher::feed(const void* data, std::size_t bytes) noexcept {
  const auto* at = static_cast<const unsigned char*>(data);
  for (; bytes >= 8; bytes -= 8, at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, 8);
    feed(word);
  }
  if (bytes != 0) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, bytes);
    feed(word ^ (std::uint64_t{bytes} << 56));
  }
}

}  // namespace busway::interleave
