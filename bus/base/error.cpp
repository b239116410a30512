#include <busway/error.hpp>

namespace busway {
namespace {

const char* text(errc code) noexcept {
  switch (code) {
    case errc::ok:
      return "ok";
    case errc::no_daemon:
      return "no daemon";
    case errc::wrong_socket_owner:
      return "wrong socket owner";
    case errc::protocol_mismatch:
      return "protocol mismatch";
    case errc::bad_message:
      return "bad control message";
    case errc::access_denied:
      return "access denied";
    case errc::unknown_topic:
      return "unknown topic";
    case errc::invalid_topic_name:
      return "invalid topic name";
    case errc::topic_exists:
      return "topic exists";
    case errc::invalid_setting:
      return "invalid setting";
    case errc::invalid_partition:
      return "invalid partition";
    case errc::record_too_large:
      return "record too large";
    case errc::budget_exceeded:
      return "budget exceeded";
    case errc::deadline_exceeded:
      return "deadline exceeded";
    case errc::topic_deleted:
      return "topic deleted";
    case errc::partition_failed:
      return "partition failed";
    case errc::disk_full:
      return "disk full";
    case errc::epoch_changed:
      return "epoch changed";
    case errc::offset_out_of_range:
      return "offset out of range";
    case errc::corrupt:
      return "corrupt";
    case errc::forked:
      return "session used in a forked child";
    case errc::stopped:
      return "daemon stopped";
    case errc::data_dir_in_use:
      return "data directory in use";
    case errc::data_dir_version:
      return "data directory of another version";
    case errc::lane_exhausted:
      return "lane exhausted by open loans";
    case errc::unsupported:
      return "unsupported";
    case errc::io:
      return "input/output error";
    case errc::limit_reached:
      return "limit reached";
    case errc::usage:
      return "wrong use of the API";
    case errc::would_block:
      return "would block";
  }
  return "unknown error";
}

class Category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "busway"; }
  std::string message(int code) const override { return text(static_cast<errc>(code)); }
};

}  // namespace

const std::error_category& category() noexcept {
  static const Category instance;
  return instance;
}

}  // namespace busway
