// A queue over one array that grows when it must and is then reused: nothing is allocated per item.
// Thread safety: none.
#pragma once

#include <cassert>
#include <cstddef>
#include <utility>
#include <vector>

namespace busway::daemon {

template <class T>
class RingQueue {
 public:
  bool empty() const noexcept { return count_ == 0; }
  std::size_t size() const noexcept { return count_; }
  /// Counted from the front.
  T& operator[](std::size_t index) noexcept {
    assert(index < count_);
    return items_[(first_ + index) & (items_.size() - 1)];
  }
  const T& operator[](std::size_t index) const noexcept {
    assert(index < count_);
    return items_[(first_ + index) & (items_.size() - 1)];
  }
  T& front() noexcept { return (*this)[0]; }
  T& back() noexcept { return (*this)[count_ - 1]; }

  /// Invalidates references.
  T& push_back(T item) {
    if (count_ == items_.size()) grow();
    T& place = items_[(first_ + count_++) & (items_.size() - 1)];
    place = std::move(item);
    return place;
  }
  void pop_front() noexcept {
    assert(count_ > 0);
    first_ = (first_ + 1) & (items_.size() - 1);
    --count_;
  }

 private:
  void grow() {
    std::vector<T> larger(items_.empty() ? 16 : items_.size() * 2);  // a power of two
    for (std::size_t i = 0; i < count_; ++i) larger[i] = std::move((*this)[i]);
    items_ = std::move(larger);
    first_ = 0;
  }

  std::vector<T> items_;
  std::size_t first_ = 0;
  std::size_t count_ = 0;
};

}  // namespace busway::daemon
