// Reading a verified FlatBuffer with bounds, for this room's decode_*.cpp only: it includes the generated
// header.
//
// Verification proves that every offset stays within the message. It does not bound how often a text may be
// referred to: each length and count is checked before anything is copied, so a message of 64 KiB cannot make
// us allocate more than that a few times over.
#pragma once

#include <cstring>

#include <control_generated.h>

#include "bus/control/messages.hpp"

namespace busway::control::detail {

namespace fb = flatbuffers;

[[noreturn]] inline void refuse(const std::string& what) {
  throw Error(errc::bad_message, "control message does not verify: " + what);
}

/// A copy of the message that is aligned as FlatBuffers wants it, verified.
class Verified {
 public:
  explicit Verified(std::span<const std::byte> message);
  const wire::Message& root() const noexcept { return *root_; }

 private:
  std::vector<std::uint64_t> copy_;  // aligned for the widest scalar
  const wire::Message* root_ = nullptr;
};

inline std::string text(const fb::String* value, std::size_t most, const char* what) {
  if (value == nullptr) return {};
  if (value->size() > most) {
    refuse(std::string(what) + " of " + std::to_string(value->size()) + " bytes, at most " +
           std::to_string(most) + " are allowed");
  }
  return value->str();
}

inline std::string topic_name(const fb::String* value) {
  std::string name = text(value, limits::kTopicNameMost, "topic name");
  if (name.empty()) refuse("empty topic name");
  return name;
}

template <class T>
std::size_t count(const fb::Vector<T>* list, std::size_t most, const char* what) {
  if (list == nullptr) return 0;
  if (list->size() > most) {
    refuse(std::string(what) + " with " + std::to_string(list->size()) + " entries, at most " +
           std::to_string(most) + " are allowed");
  }
  return list->size();
}

using NamedTextVector = fb::Vector<fb::Offset<wire::NamedText>>;

NamedTexts named_texts(const NamedTextVector* list, std::size_t most_entries, std::size_t most_name,
                       std::size_t most_value, const char* what);
/// A key that comes twice is refused.
Settings settings(const NamedTextVector* list);

inline Uuid uuid(const wire::Uuid& from) {
  Uuid to;
  std::memcpy(to.bytes.data(), from.bytes()->data(), to.bytes.size());
  return to;
}

/// Item of a vector of structs. FlatBuffers 2.0 does not verify that the items are aligned: copy, then look.
template <class Struct>
Struct item(const fb::Vector<const Struct*>& list, std::size_t index) {
  Struct copy;
  std::memcpy(static_cast<void*>(&copy), list.Data() + index * sizeof(Struct), sizeof(Struct));
  return copy;
}

inline LaneId lane_id(std::uint16_t value) {
  if (value == 0 || value > limits::kLanesPerTopic) refuse("lane id " + std::to_string(value));
  return LaneId{value};
}

inline std::optional<std::uint32_t> below(fb::Optional<std::uint32_t> value, std::uint32_t end,
                                          const char* what) {
  if (!value) return std::nullopt;
  if (*value >= end) refuse(std::string(what) + " " + std::to_string(*value));
  return *value;
}

}  // namespace busway::control::detail
