// Errors of Busway: one error category, one exception type for set-up, one result type for the hot path.
//
// Set-up calls throw busway::Error, which is a std::system_error whose what() names the thing, the limit and
// the setting to change. try_* calls return Result<T>, which must be looked at.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

namespace busway {

/// What went wrong. The numbers are part of the control protocol and of the C ABI: append, never renumber.
enum class errc : int {
  ok = 0,
  no_daemon = 1,           ///< nothing listens on the control socket
  wrong_socket_owner = 2,  ///< the socket belongs to neither root, the expected uid, nor us
  protocol_mismatch = 3,   ///< client and daemon speak different protocol versions
  bad_message = 4,         ///< a control message that does not verify
  access_denied = 5,       ///< the ACL gives this uid no such right
  unknown_topic = 6,
  invalid_topic_name = 7,
  topic_exists = 8,
  invalid_setting = 9,  ///< unknown key or malformed value
  invalid_partition = 10,
  record_too_large = 11,   ///< larger than max.message.bytes
  budget_exceeded = 12,    ///< memory.max.bytes or a quota
  deadline_exceeded = 13,  ///< the call's deadline passed; for a publish: nothing was published
  topic_deleted = 14,
  partition_failed = 15,  ///< the partition's log cannot be written; reading goes on
  disk_full = 16,
  epoch_changed = 17,        ///< a receipt of an older epoch: the record may be lost
  offset_out_of_range = 18,  ///< below the log start offset and the subscriber's policy is `error`
  corrupt = 19,              ///< shared memory or a file does not check out
  forked = 20,               ///< this session belongs to the parent process
  stopped = 21,              ///< the daemon was stopped
  data_dir_in_use = 22,
  data_dir_version = 23,  ///< the data directory was written by a newer format
  lane_exhausted = 24,    ///< open loans hold the whole lane
  unsupported = 25,
  io = 26,             ///< an operating system error; the message carries errno's text
  limit_reached = 27,  ///< sessions, topics, partitions, lanes, descriptors
  usage = 28,          ///< the caller broke the API's contract (two threads on one publisher, ...)
  would_block = 29,    ///< try_publish: there is no room at present
};

/// The category of busway::errc. Thread safe, never destroyed.
const std::error_category& category() noexcept;
inline std::error_code make_error_code(errc code) noexcept { return {static_cast<int>(code), category()}; }

/// Thrown by set-up calls. what() is a whole sentence for a person; code() is for the program.
class Error : public std::system_error {
 public:
  Error(errc code, const std::string& sentence)
      : std::system_error(make_error_code(code), sentence), sentence_(sentence) {}
  /// The sentence alone, without the category's text behind it.
  const std::string& sentence() const noexcept { return sentence_; }
  errc error() const noexcept { return static_cast<errc>(code().value()); }

 private:
  std::string sentence_;
};

/// What publish_batch throws: the error of the record that was refused. The records before it are published,
/// it and those behind it are not.
class BatchError : public Error {
 public:
  BatchError(const Error& refused, std::size_t published) : Error(refused), published_(published) {}
  /// How many records of the batch are published: the index of the refused one.
  std::size_t published() const noexcept { return published_; }

 private:
  std::size_t published_;
};

/// A value or an errc, for calls that may not throw. Must be looked at.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}   // NOLINT: implicit by design, as std::expected
  Result(errc error) noexcept : error_(error) {}  // NOLINT

  explicit operator bool() const noexcept { return error_ == errc::ok; }
  errc error() const noexcept { return error_; }
  T& operator*() noexcept { return *value_; }
  const T& operator*() const noexcept { return *value_; }
  T* operator->() noexcept { return &*value_; }
  const T* operator->() const noexcept { return &*value_; }

 private:
  std::optional<T> value_;
  errc error_ = errc::ok;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() noexcept = default;
  Result(errc error) noexcept : error_(error) {}  // NOLINT

  explicit operator bool() const noexcept { return error_ == errc::ok; }
  errc error() const noexcept { return error_; }

 private:
  errc error_ = errc::ok;
};

}  // namespace busway

template <>
struct std::is_error_code_enum<busway::errc> : std::true_type {};
