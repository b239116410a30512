#include "tests/disk/simulated_disk.hpp"

#include <algorithm>
#include <cerrno>
#include <stdexcept>

#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace busway::test {

using daemon::OpenMode;
using daemon::SyncKind;

namespace {

constexpr std::uint64_t kSector = 512;

std::string name_of(const std::string& path) { return path.substr(path.find_last_of('/') + 1); }

void must(bool ok, const char* what) {
  if (!ok) throw std::runtime_error(what);
}

}  // namespace

class SimulatedMachine::Files final : public daemon::FileSystem {
 public:
  explicit Files(SimulatedMachine& machine) : machine_(machine) {}

  int open(const std::string& path, OpenMode mode) override {
    if (machine_.down_) throw PowerCut();
    if (mode == OpenMode::directory) {
      if (!machine_.directories_.contains(path)) return -ENOENT;
      return give(nullptr, path, ::memfd_create("directory", MFD_CLOEXEC));
    }
    Directory* directory = machine_.directory_of(path);
    if (directory == nullptr) return -ENOENT;
    auto inode = machine_.find(path);
    if (inode && mode == OpenMode::create) return -EEXIST;
    if (!inode) {
      if (mode == OpenMode::read || mode == OpenMode::write) return -ENOENT;
      if (const int error = machine_.step("create " + path); error != 0) return -error;
      inode = machine_.make_inode({});
      machine_.change_names(*directory, {name_of(path), inode, {}});
    }
    return give(inode, path, ::fcntl(inode->seen.get(), F_DUPFD_CLOEXEC, 0));
  }

  void close(int fd) noexcept override {
    machine_.open_.erase(fd);
    ::close(fd);
  }

  std::int64_t read(int fd, std::span<std::byte> into, std::uint64_t offset) override {
    if (machine_.down_) throw PowerCut();
    const ssize_t count = ::pread(fd, into.data(), into.size(), static_cast<off_t>(offset));
    return count < 0 ? -errno : count;
  }

  int write(int fd, std::span<const std::byte> bytes, std::uint64_t offset) override {
    return machine_.write(fd, bytes, offset);
  }

  std::int64_t size(int fd) override {
    struct stat about {};
    return ::fstat(fd, &about) < 0 ? -errno : about.st_size;
  }

  int truncate(int fd, std::uint64_t size) override {
    const auto inode = machine_.inode_of(fd);
    if (const int error = machine_.step("truncate " + machine_.open_[fd].path); error != 0) return -error;
    must(::ftruncate(inode->seen.get(), static_cast<off_t>(size)) == 0, "ftruncate");
    inode->pending.push_back({.new_size = size, .is_truncation = true});
    return 0;
  }

  int allocate(int fd, std::uint64_t bytes) override {
    return static_cast<std::uint64_t>(size(fd)) >= bytes ? 0 : truncate(fd, bytes);
  }

  int reserve(int, std::uint64_t, std::uint64_t) override { return 0; }  // nobody can see it

  int sync(int fd, SyncKind) override { return machine_.sync(fd); }

  int rename(const std::string& from, const std::string& to) override {
    const auto inode = machine_.find(from);
    if (!inode) return -ENOENT;
    must(machine_.directory_of(from) == machine_.directory_of(to), "renames stay in their directory");
    if (const int error = machine_.step("rename " + from + " to " + name_of(to)); error != 0) return -error;
    machine_.change_names(*machine_.directory_of(to), {name_of(from), inode, name_of(to)});
    return 0;
  }

  int unlink(const std::string& path) override {
    if (machine_.down_) throw PowerCut();
    if (!machine_.find(path)) return -ENOENT;
    if (const int error = machine_.step("unlink " + path); error != 0) return -error;
    machine_.change_names(*machine_.directory_of(path), {name_of(path), nullptr, {}});
    return 0;
  }

  int make_directory(const std::string& path) override {
    if (machine_.down_) throw PowerCut();
    if (machine_.directories_.contains(path)) return -EEXIST;
    // That a directory may be lost is not modelled: it is made once, empty.
    machine_.directories_[path];
    return 0;
  }

  int remove_directory(const std::string& path) override {
    return machine_.directories_.erase(path) == 1 ? 0 : -ENOENT;
  }

  int list(const std::string& path, std::vector<std::string>& names) override {
    if (machine_.down_) throw PowerCut();
    names.clear();
    const auto found = machine_.directories_.find(path);
    if (found == machine_.directories_.end()) return -ENOENT;
    for (const auto& [name, inode] : found->second.seen) names.push_back(name);
    return 0;
  }

 private:
  int give(std::shared_ptr<Inode> inode, const std::string& path, int fd) {
    must(fd >= 0, "no descriptor");
    machine_.open_[fd] = {std::move(inode), path};
    return fd;
  }

  SimulatedMachine& machine_;
};

class SimulatedMachine::Simulated final : public daemon::Disk {
 public:
  explicit Simulated(SimulatedMachine& machine) : machine_(machine) {}

  bool submit_write(std::uint64_t token, int fd, std::span<const std::byte> bytes,
                    std::uint64_t offset) override {
    return submit({token, fd, bytes, offset, false});
  }
  bool submit_sync(std::uint64_t token, int fd, SyncKind) override {
    return submit({token, fd, {}, 0, true});
  }
  void flush() override {}

  std::size_t reap(std::span<daemon::DiskCompletion> out, std::chrono::nanoseconds) override {
    std::size_t count = 0;
    while (count < out.size() && !queue_.empty()) {
      // Any of them may be the next one.
      const auto which = static_cast<std::ptrdiff_t>(machine_.random_() % queue_.size());
      const Operation operation = queue_[static_cast<std::size_t>(which)];
      queue_.erase(queue_.begin() + which);
      const int result = operation.is_sync ? machine_.sync(operation.fd)
                                           : machine_.write(operation.fd, operation.bytes, operation.offset);
      out[count++] = {operation.token, -result};
      if (machine_.random_() % 4 == 0) break;
    }
    return count;
  }

  std::size_t in_flight() const noexcept override { return queue_.size(); }
  std::size_t capacity() const noexcept override { return kCapacity; }
  int write_now(int fd, std::span<const std::byte> bytes, std::uint64_t offset) override {
    return -machine_.write(fd, bytes, offset);
  }
  int sync_now(int fd, SyncKind) override { return -machine_.sync(fd); }
  std::string_view name() const noexcept override { return "simulated"; }

 private:
  static constexpr std::size_t kCapacity = 8;
  struct Operation {
    std::uint64_t token = 0;
    int fd = -1;
    std::span<const std::byte> bytes;
    std::uint64_t offset = 0;
    bool is_sync = false;
  };
  bool submit(const Operation& operation) {
    if (machine_.down_) throw PowerCut();
    if (queue_.size() == kCapacity) return false;
    queue_.push_back(operation);
    return true;
  }

  SimulatedMachine& machine_;
  std::deque<Operation> queue_;
};

namespace {

/// Each recovery allocates large buffers; taken from the kernel afresh they would cost more than the
/// recovery.
const bool kept_memory =
    ::mallopt(M_MMAP_THRESHOLD, 64 << 20) == 1 && ::mallopt(M_TRIM_THRESHOLD, 256 << 20) == 1;

}  // namespace

SimulatedMachine::SimulatedMachine(std::uint64_t seed)
    : random_(seed), files_(std::make_unique<Files>(*this)), disk_(std::make_unique<Simulated>(*this)) {
  directories_["/data"];
}

SimulatedMachine::SimulatedMachine(const DiskImage& image, std::uint64_t seed) : SimulatedMachine(seed) {
  for (const std::string& path : image.directories) directories_[path];
  for (const auto& [path, bytes] : image.files) {
    const auto inode = make_inode(bytes);
    inode->kept = bytes;
    Directory* directory = directory_of(path);
    directory->seen[name_of(path)] = inode;
    directory->kept[name_of(path)] = inode;
  }
}

SimulatedMachine::~SimulatedMachine() {
  for (const auto& [fd, open] : open_) ::close(fd);
}

daemon::FileSystem& SimulatedMachine::files() noexcept { return *files_; }
daemon::Disk& SimulatedMachine::disk() noexcept { return *disk_; }

int SimulatedMachine::step(const std::string& what) {
  if (down_) throw PowerCut();
  story_.push_back(what);
  if (++steps_ == cut_at_) {
    down_ = true;
    throw PowerCut();
  }
  if (!failing_.first.empty() && what.starts_with(failing_.first)) return failing_.second;
  const auto failure = failures_.find(steps_);
  return failure == failures_.end() ? 0 : failure->second;
}

std::shared_ptr<SimulatedMachine::Inode> SimulatedMachine::make_inode(const std::vector<std::byte>& bytes) {
  auto inode = std::make_shared<Inode>();
  inode->seen.reset(::memfd_create("simulated", MFD_CLOEXEC));
  must(static_cast<bool>(inode->seen), "memfd_create");
  must(::pwrite(inode->seen.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()),
       "pwrite");
  return inode;
}

SimulatedMachine::Directory* SimulatedMachine::directory_of(const std::string& path) {
  const auto found = directories_.find(daemon::parent_of(path));
  return found == directories_.end() ? nullptr : &found->second;
}

std::shared_ptr<SimulatedMachine::Inode> SimulatedMachine::find(const std::string& path) {
  Directory* directory = directory_of(path);
  if (directory == nullptr) return nullptr;
  const auto found = directory->seen.find(name_of(path));
  return found == directory->seen.end() ? nullptr : found->second;
}

std::shared_ptr<SimulatedMachine::Inode> SimulatedMachine::inode_of(int fd) {
  if (down_) throw PowerCut();
  const auto found = open_.find(fd);
  must(found != open_.end() && found->second.inode != nullptr, "a descriptor of no file was used");
  return found->second.inode;
}

void SimulatedMachine::change_names(Directory& directory, NameChange change) {
  apply(directory.seen, change);
  directory.pending.push_back(std::move(change));
}

void SimulatedMachine::apply(Names& names, const NameChange& change) {
  if (!change.renamed_to.empty()) {
    names.erase(change.name);
    names[change.renamed_to] = change.inode;
  } else if (change.inode) {
    names[change.name] = change.inode;
  } else {
    names.erase(change.name);
  }
}

int SimulatedMachine::write(int fd, std::span<const std::byte> bytes, std::uint64_t offset) {
  const auto inode = inode_of(fd);
  const int error =
      step("write " + open_[fd].path + " " + std::to_string(bytes.size()) + " at " + std::to_string(offset));
  // A write that fails may have written a part.
  const auto done = error == 0 ? bytes : bytes.first(bytes.size() / 2);
  must(::pwrite(inode->seen.get(), done.data(), done.size(), static_cast<off_t>(offset)) ==
           static_cast<ssize_t>(done.size()),
       "pwrite");
  inode->pending.push_back({.offset = offset, .bytes = {done.begin(), done.end()}});
  return -error;
}

int SimulatedMachine::sync(int fd) {
  if (down_) throw PowerCut();
  const auto found = open_.find(fd);
  must(found != open_.end(), "a descriptor that is not open was synced");
  const int error = step("sync " + found->second.path);
  if (!found->second.inode) {
    if (error != 0) return -error;
    Directory& directory = directories_.at(found->second.path);
    directory.kept = directory.seen;
    directory.pending.clear();
    return 0;
  }
  Inode& inode = *found->second.inode;
  if (error != 0) {
    for (Write& write : inode.pending) write.is_clean = true;
    return -error;
  }
  std::vector<Write> left;
  for (Write& write : inode.pending) {
    if (write.is_clean) {
      left.push_back(std::move(write));
      continue;
    }
    apply(inode.kept, write);
    if (!write.is_truncation) continue;
    for (Write& dropped : left) {  // nothing of them reaches the disk behind the new end any more
      const std::uint64_t room = write.new_size > dropped.offset ? write.new_size - dropped.offset : 0;
      if (dropped.bytes.size() > room) dropped.bytes.resize(room);
    }
  }
  inode.pending = std::move(left);
  return 0;
}

void SimulatedMachine::apply(std::vector<std::byte>& bytes, const Write& write) {
  if (write.is_truncation) return bytes.resize(write.new_size);
  if (write.bytes.empty()) return;
  if (bytes.size() < write.offset + write.bytes.size()) bytes.resize(write.offset + write.bytes.size());
  std::copy(write.bytes.begin(), write.bytes.end(),
            bytes.begin() + static_cast<std::ptrdiff_t>(write.offset));
}

std::vector<std::byte> SimulatedMachine::seen_bytes(const Inode& inode) const {
  struct stat about {};
  must(::fstat(inode.seen.get(), &about) == 0, "fstat");
  std::vector<std::byte> bytes(static_cast<std::size_t>(about.st_size));
  must(::pread(inode.seen.get(), bytes.data(), bytes.size(), 0) == about.st_size, "pread");
  return bytes;
}

/// Each sector of a write is old, new, or (rarely) garbage.
void SimulatedMachine::keep_some_sectors(std::vector<std::byte>& bytes, const Write& write) {
  if (write.bytes.empty()) return;
  const std::uint64_t end = write.offset + write.bytes.size();
  if (bytes.size() < end) bytes.resize(end);
  for (std::uint64_t at = write.offset; at < end;) {
    const std::uint64_t sector_end = std::min(end, (at / kSector + 1) * kSector);
    const auto to = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    const auto count = static_cast<std::ptrdiff_t>(sector_end - at);
    const auto from = write.bytes.begin() + static_cast<std::ptrdiff_t>(at - write.offset);
    switch (random_() % 8) {
      case 0:
        std::generate(to, to + count, [this] { return static_cast<std::byte>(random_()); });
        break;
      case 1:
      case 2:
      case 3:
        break;
      default:
        std::copy(from, from + count, to);
    }
    at = sector_end;
  }
}

std::vector<std::byte> SimulatedMachine::survivors(const Inode& inode, CrashKind kind) {
  if (kind == CrashKind::kill) return seen_bytes(inode);
  std::vector<std::byte> bytes = inode.kept;
  if (kind == CrashKind::power_least) return bytes;
  for (const Write& write : inode.pending) {
    switch (random_() % 3) {
      case 0:
        break;
      case 1:
        apply(bytes, write);
        break;
      default:
        write.is_truncation ? apply(bytes, write) : keep_some_sectors(bytes, write);
    }
  }
  return bytes;
}

DiskImage SimulatedMachine::crash(CrashKind kind) {
  down_ = true;
  DiskImage image;
  for (auto& [path, directory] : directories_) {
    image.directories.push_back(path);
    Names names = kind == CrashKind::kill ? directory.seen : directory.kept;
    if (kind == CrashKind::power_random) {
      const std::size_t survive = random_() % (directory.pending.size() + 1);
      for (std::size_t i = 0; i < survive; ++i) apply(names, directory.pending[i]);
    }
    for (const auto& [name, inode] : names) image.files[path + "/" + name] = survivors(*inode, kind);
  }
  return image;
}

}  // namespace busway::test
