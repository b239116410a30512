// Arguments of the load programs: NAME=VALUE words. SIGTERM asks them to come to an end.
#pragma once

#include <atomic>
#include <csignal>
#include <cstdint>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace busway::test {

class LoadArguments {
 public:
  LoadArguments(int argc, char** argv) {
    for (int index = 1; index < argc; ++index) {
      const std::string word = argv[index];
      const auto equals = word.find('=');
      if (equals == std::string::npos) throw std::runtime_error("expected NAME=VALUE: " + word);
      values_[word.substr(0, equals)] = word.substr(equals + 1);
    }
  }
  std::string text(const std::string& name, const std::string& standard = {}) const {
    const auto found = values_.find(name);
    return found == values_.end() ? standard : found->second;
  }
  std::uint64_t number(const std::string& name, std::uint64_t standard) const {
    const auto found = values_.find(name);
    return found == values_.end() ? standard : std::stoull(found->second);
  }

 private:
  std::map<std::string, std::string> values_;
};

inline std::atomic<bool> load_asked_to_end{false};

inline void end_on_sigterm() {
  struct sigaction action {};
  action.sa_handler = [](int) { load_asked_to_end.store(true, std::memory_order_relaxed); };
  ::sigaction(SIGTERM, &action, nullptr);
}

/// Appends plain values to a file through a buffer.
template <class T>
class ArrayFile {
 public:
  explicit ArrayFile(const std::string& path) : out_(path, std::ios::binary) {
    if (!out_) throw std::runtime_error("cannot write " + path);
  }
  void add(const T& item) {
    items_.push_back(item);
    if (items_.size() == 4096) write();
  }
  void write() {
    out_.write(reinterpret_cast<const char*>(items_.data()),
               static_cast<std::streamsize>(items_.size() * sizeof(T)));
    items_.clear();
    if (!out_.flush()) throw std::runtime_error("cannot write");
  }

 private:
  std::ofstream out_;
  std::vector<T> items_;
};

}  // namespace busway::test
