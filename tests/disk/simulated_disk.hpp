// A machine with a disk that keeps only what was synced, for the crash tests.
//
// Model. A file has bytes as its readers see them and bytes as they are on the disk; in between lie the
// operations since its last sync. A directory has names the same way; its operations reach the disk in their
// order, as with a journal. A power cut keeps of each file's operations any subset, of a write any subset of
// its 512-byte sectors, some of them garbled; of a directory's operations any prefix: the seed decides. A
// process kill keeps everything that was carried out. What was submitted to the asynchronous disk is carried
// out in reap(), in an order that the seed decides; a crash loses what was not.
//
// Every operation that changes something, and every sync, is a step. The machine can be told to lose power
// before step n (PowerCut is thrown, and from then on by everything), or to fail step n with an errno. A sync
// that fails marks its pages clean: later syncs succeed and keep nothing of them ("fsyncgate").
//
// Descriptors are real ones (of memfds that hold the bytes as readers see them), so that code that reads by
// pread works. One machine belongs to one thread.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "bus/base/fd.hpp"
#include "daemon/disk.hpp"
#include "daemon/file_system.hpp"

namespace busway::test {

/// Not derived from busway::Error: nobody may handle it.
struct PowerCut {};

enum class CrashKind : std::uint8_t {
  kill,         ///< the process dies, the kernel lives on: everything carried out stays
  power_least,  ///< nothing survives that was not synced
  power_random  ///< the seed decides
};

/// What is on the disk of a machine that is switched off.
struct DiskImage {
  std::map<std::string, std::vector<std::byte>> files;
  std::vector<std::string> directories;
};

class SimulatedMachine {
 public:
  explicit SimulatedMachine(std::uint64_t seed);
  /// Boots from an image.
  SimulatedMachine(const DiskImage& image, std::uint64_t seed);
  ~SimulatedMachine();
  SimulatedMachine(const SimulatedMachine&) = delete;
  SimulatedMachine& operator=(const SimulatedMachine&) = delete;

  daemon::FileSystem& files() noexcept;
  daemon::Disk& disk() noexcept;

  /// Steps taken so far.
  std::uint64_t steps() const noexcept { return steps_; }
  /// The power goes before this step (from 1). 0: never.
  void cut_power_before(std::uint64_t step) noexcept { cut_at_ = step; }
  /// This step fails. Several may be set.
  void fail_step(std::uint64_t step, int error) { failures_[step] = error; }
  /// Every step whose description begins like this fails.
  void fail_all(const std::string& what, int error) { failing_ = {what, error}; }
  bool is_down() const noexcept { return down_; }
  /// What each step was, for messages.
  const std::vector<std::string>& story() const noexcept { return story_; }

  /// What is found after the crash.
  DiskImage crash(CrashKind kind);

 private:
  class Files;
  class Simulated;
  struct Write {
    std::uint64_t offset = 0;
    std::vector<std::byte> bytes = {};
    std::uint64_t new_size = 0;  // of a truncation
    bool is_truncation = false;
    bool is_clean = false;  // a failed sync dropped it: no sync will keep it
  };
  struct Inode {
    Fd seen;  // a memfd
    std::vector<std::byte> kept;
    std::vector<Write> pending;
  };
  struct NameChange {
    std::string name;
    std::shared_ptr<Inode> inode;  // null: the name goes
    std::string renamed_to;        // not empty: `name` goes and this comes, at once
  };
  using Names = std::map<std::string, std::shared_ptr<Inode>>;
  struct Directory {
    Names seen;
    Names kept;
    std::vector<NameChange> pending;
  };

  int step(const std::string& what);
  std::shared_ptr<Inode> make_inode(const std::vector<std::byte>& bytes);
  Directory* directory_of(const std::string& path);
  std::shared_ptr<Inode> find(const std::string& path);
  std::shared_ptr<Inode> inode_of(int fd);
  void change_names(Directory& directory, NameChange change);
  static void apply(Names& names, const NameChange& change);
  static void apply(std::vector<std::byte>& bytes, const Write& write);
  int write(int fd, std::span<const std::byte> bytes, std::uint64_t offset);
  int sync(int fd);
  std::vector<std::byte> seen_bytes(const Inode& inode) const;
  std::vector<std::byte> survivors(const Inode& inode, CrashKind kind);
  void keep_some_sectors(std::vector<std::byte>& bytes, const Write& write);

  std::mt19937_64 random_;
  std::uint64_t steps_ = 0;
  std::uint64_t cut_at_ = 0;
  bool down_ = false;
  std::map<std::uint64_t, int> failures_;
  std::pair<std::string, int> failing_;
  std::vector<std::string> story_;
  std::map<std::string, Directory> directories_;
  struct Open {
    std::shared_ptr<Inode> inode;  // null: a directory
    std::string path;
  };
  std::map<int, Open> open_;
  std::unique_ptr<Files> files_;
  std::unique_ptr<Simulated> disk_;
};

}  // namespace busway::test
