// A daemon within the test, a bus connected to it, and words for what the tests do with them.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <busway/busway.hpp>
#include <busway/embedded.hpp>

#include "bus/base/fd.hpp"

namespace busway::client::test {

/// A data directory that goes when the test does.
class DataDirectory {
 public:
  DataDirectory() {
    std::string path = (std::filesystem::temp_directory_path() / "busway-client-XXXXXX").string();
    if (::mkdtemp(path.data()) == nullptr) throw_errno("mkdtemp " + path);
    path_ = path;
  }
  DataDirectory(const DataDirectory&) = delete;
  DataDirectory& operator=(const DataDirectory&) = delete;
  ~DataDirectory() { std::filesystem::remove_all(path_); }
  std::string text() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

class ClientTest : public ::testing::Test {
 protected:
  static EmbeddedOptions options() {
    return {.config = {{"disk.backend", "threads"}, {"log.level", "error"}}};
  }

  Settings memory_topic(const std::string& overflow) {
    return {{"storage", "memory"}, {"overflow", overflow}};
  }

  /// Everything that `subscriber` can read now, values joined by blanks.
  static std::string read_all(Subscriber& subscriber, std::chrono::milliseconds patience = 100ms) {
    std::string text;
    while (true) {
      const auto records = subscriber.poll(patience);
      if (records.empty()) return text;
      for (const Record& record : records)
        text += (text.empty() ? "" : " ") + std::string(record.value().text());
    }
  }
  /// Polls until `count` values were read, or for a long time.
  static std::vector<std::string> read(Subscriber& subscriber, std::size_t count) {
    std::vector<std::string> values;
    const auto until = std::chrono::steady_clock::now() + 60s;
    while (values.size() < count && std::chrono::steady_clock::now() < until)
      for (const Record& record : subscriber.poll(1s)) values.emplace_back(record.value().text());
    return values;
  }
  static void publish_numbers(Publisher& publisher, int from, int end) {
    for (int i = from; i < end; ++i) publisher.publish({.value = std::to_string(i)});
  }
  static std::string numbers(int from, int end) {
    std::string text;
    for (int i = from; i < end; ++i) text += (text.empty() ? "" : " ") + std::to_string(i);
    return text;
  }
  /// The errc that `work` throws; errc::ok if it does not.
  static errc error_of(const std::function<void()>& work, std::string* sentence = nullptr) {
    try {
      work();
    } catch (const Error& error) {
      if (sentence != nullptr) *sentence = error.sentence();
      return error.error();
    }
    return errc::ok;
  }

  DataDirectory data_;
  EmbeddedDaemon daemon_{data_.text(), options()};
  Bus bus_ = daemon_.connect();
};

}  // namespace busway::client::test
