// The file system as a seam: everything the store does to names and files, except the drain's own writes and
// syncs (disk.hpp). The real one makes system calls; the tests' one keeps only what was synced.
//
// Model: calls answer with a value >= 0, or -errno as the kernel does; nothing is retried that could hide a
// lost write. A descriptor is a number that this file system gave out and that means something to the Disk
// beside it, too; File owns one. A name is on the disk for certain once its directory was synced.
//
// Thread safety: FileSystem: every call from any thread. File: as a plain value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/disk.hpp"

namespace busway::daemon {

enum class OpenMode : std::uint8_t {
  read,         ///< must exist
  write,        ///< read and write; must exist
  create,       ///< read and write; must not exist
  open_always,  ///< read and write; created when it does not exist
  directory,    ///< for sync()
};

class FileSystem {
 public:
  FileSystem() = default;
  FileSystem(const FileSystem&) = delete;
  FileSystem& operator=(const FileSystem&) = delete;
  virtual ~FileSystem() = default;

  /// A descriptor, close-on-exec.
  [[nodiscard]] virtual int open(const std::string& path, OpenMode mode) = 0;
  virtual void close(int fd) noexcept = 0;
  /// Bytes read; fewer than asked for only at the end of the file.
  [[nodiscard]] virtual std::int64_t read(int fd, std::span<std::byte> into, std::uint64_t offset) = 0;
  /// Writes all of it. 0 or -errno.
  [[nodiscard]] virtual int write(int fd, std::span<const std::byte> bytes, std::uint64_t offset) = 0;
  [[nodiscard]] virtual std::int64_t size(int fd) = 0;
  [[nodiscard]] virtual int truncate(int fd, std::uint64_t size) = 0;
  /// Reserves room and makes the file this large; what was not written reads as zeros.
  [[nodiscard]] virtual int allocate(int fd, std::uint64_t size) = 0;
  /// Reserves room for a part of the file, whose size stays as it is: writes there are quicker.
  [[nodiscard]] virtual int reserve(int fd, std::uint64_t offset, std::uint64_t bytes) = 0;
  [[nodiscard]] virtual int sync(int fd, SyncKind kind) = 0;
  /// Replaces `to`.
  [[nodiscard]] virtual int rename(const std::string& from, const std::string& to) = 0;
  [[nodiscard]] virtual int unlink(const std::string& path) = 0;
  [[nodiscard]] virtual int make_directory(const std::string& path) = 0;
  [[nodiscard]] virtual int remove_directory(const std::string& path) = 0;
  /// Names in a directory, sorted, without "." and "..".
  [[nodiscard]] virtual int list(const std::string& path, std::vector<std::string>& names) = 0;
};

/// System calls, nothing else. New files are 0640, new directories 0750 (before the umask).
class RealFileSystem final : public FileSystem {
 public:
  int open(const std::string& path, OpenMode mode) override;
  void close(int fd) noexcept override;
  std::int64_t read(int fd, std::span<std::byte> into, std::uint64_t offset) override;
  int write(int fd, std::span<const std::byte> bytes, std::uint64_t offset) override;
  std::int64_t size(int fd) override;
  int truncate(int fd, std::uint64_t size) override;
  int allocate(int fd, std::uint64_t size) override;
  int reserve(int fd, std::uint64_t offset, std::uint64_t bytes) override;
  int sync(int fd, SyncKind kind) override;
  int rename(const std::string& from, const std::string& to) override;
  int unlink(const std::string& path) override;
  int make_directory(const std::string& path) override;
  int remove_directory(const std::string& path) override;
  int list(const std::string& path, std::vector<std::string>& names) override;
};

/// Owns a descriptor of a file system and knows its path for error messages. Movable, not copyable. The file
/// system must outlive it. What throws, throws errc::io or errc::disk_full naming the path.
class File {
 public:
  File() noexcept = default;
  File(FileSystem& file_system, int fd, std::string path) noexcept
      : file_system_(&file_system), fd_(fd), path_(std::move(path)) {}
  File(File&& other) noexcept
      : file_system_(other.file_system_), fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}
  File& operator=(File&& other) noexcept;
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { close(); }

  /// Throws when it cannot be opened.
  static File open(FileSystem& file_system, const std::string& path, OpenMode mode);
  /// An empty File when there is none; throws for every other reason.
  static File open_if_there(FileSystem& file_system, const std::string& path, OpenMode mode);

  int fd() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  const std::string& path() const noexcept { return path_; }
  /// The path under which the file lies now, after a rename.
  void set_path(std::string path) { path_ = std::move(path); }
  /// Hands the descriptor out; with RealFileSystem it is the kernel's.
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  void close() noexcept;

  std::uint64_t size() const;
  /// Bytes read; fewer only at the end of the file.
  std::size_t read(std::span<std::byte> into, std::uint64_t offset) const;
  void write(std::span<const std::byte> bytes, std::uint64_t offset) const;
  void truncate(std::uint64_t size) const;
  void sync(SyncKind kind = SyncKind::data) const;

 private:
  FileSystem* file_system_ = nullptr;
  int fd_ = -1;
  std::string path_;
};

/// Throws errc::io (errc::disk_full) "what PATH: errno's text" if `result` is negative; else hands it on.
std::int64_t check_file(std::int64_t result, std::string_view what, const std::string& path);

/// False: it was not there. Throws errc::io.
bool remove_if_there(FileSystem& file_system, const std::string& path);

/// The whole file; throws errc::limit_reached beyond `most` bytes.
std::vector<std::byte> read_whole(FileSystem& file_system, const std::string& path, std::uint64_t most);
/// The file holds `bytes` afterwards, or what it held before, whenever the power fails: written aside,
/// synced, renamed, directory synced.
void replace_durably(FileSystem& file_system, const std::string& path, std::span<const std::byte> bytes);
/// fsync of a directory: the names in it are on the disk.
void sync_directory(FileSystem& file_system, const std::string& path);
/// Creates a directory, if there is none, and syncs its parent.
void make_directory_durably(FileSystem& file_system, const std::string& path);
/// Everything before the last slash.
std::string parent_of(const std::string& path);

}  // namespace busway::daemon
