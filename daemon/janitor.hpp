// Work that must not hold up the drain thread: creating, extending, sealing and deleting files.
//
// Jobs run one after the other in the order they were submitted, on one thread of the janitor's own, or at
// once in the caller where a test wants a fixed order of I/O. A job that throws busway::Error is reported and
// forgotten: nothing that a job does is needed for correctness (an index is rebuilt, a leftover is removed at
// the next start).
//
// Thread safety: every call from any thread, but not from within a job.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace busway::daemon {

class Janitor {
 public:
  enum class Mode { own_thread, in_caller };
  using Job = std::function<void()>;
  /// Gets the sentence of a job's error; called on the janitor's thread.
  using Report = std::function<void(const std::string& sentence)>;

  explicit Janitor(Mode mode, Report report = {});
  /// Finishes what was submitted.
  ~Janitor();
  Janitor(const Janitor&) = delete;
  Janitor& operator=(const Janitor&) = delete;

  void submit(Job job);
  /// Returns when everything submitted before is done.
  void finish();

 private:
  void run();
  void perform(const Job& job) const;

  Mode mode_;
  Report report_;
  std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable idle_;
  std::deque<Job> jobs_;   // guarded by mutex_
  bool busy_ = false;      // guarded by mutex_
  bool stopping_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace busway::daemon
