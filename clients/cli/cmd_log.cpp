// busway log verify | dump: looks at segment files without a daemon.
#include <iostream>

#include <nlohmann/json.hpp>
#include <unistd.h>

#include "bus/log/names.hpp"
#include "bus/log/verify.hpp"
#include "clients/cli/commands.hpp"
#include "clients/cli/format.hpp"
#include "clients/cli/interrupt.hpp"
#include "clients/cli/output.hpp"
#include "clients/cli/progress.hpp"
#include "clients/cli/table.hpp"
#include "clients/cli/text.hpp"

namespace busway::cli {
namespace {

std::uint64_t unsigned_of(std::int64_t count) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(count, 0));
}

log::VerifyReport verify_all(const LogVerify& options) {
  watch_signals();
  Progress progress("verified", 0);
  log::VerifyOptions how;
  how.active = options.active;
  how.compacted = options.compacted;
  how.foreign = options.foreign;
  how.progress = [&](std::int64_t done, std::int64_t) {
    if (interrupted()) throw Error(errc::io, "interrupted");
    progress.at(0, unsigned_of(done));
  };
  log::VerifyReport all;
  for (const std::string& path : options.paths) {
    log::VerifyReport one = log::verify(path, how);
    std::move(one.segments.begin(), one.segments.end(), std::back_inserter(all.segments));
    std::move(one.defects.begin(), one.defects.end(), std::back_inserter(all.defects));
    std::move(one.gaps.begin(), one.gaps.end(), std::back_inserter(all.gaps));
  }
  return all;
}

std::string verify_text(const log::VerifyReport& report) {
  Table table({"SEGMENT", "OFFSETS", "BATCHES", "RECORDS", "BYTES", "INDEX", "TIMEINDEX"});
  std::int64_t records = 0;
  std::int64_t bytes = 0;
  for (const log::SegmentReport& one : report.segments) {
    const bool empty = one.next_offset <= one.base_offset;
    table.row({one.file.string(),
               empty ? "none" : std::to_string(one.base_offset) + ".." + std::to_string(one.next_offset - 1),
               std::to_string(one.batches), std::to_string(one.records), std::to_string(one.bytes),
               std::to_string(one.index_entries), std::to_string(one.time_index_entries)});
    records += one.records;
    bytes += one.valid_bytes;
  }
  std::string out = table.text();
  for (const log::OffsetGap& gap : report.gaps) {
    out += "no records from offset " + std::to_string(gap.first_offset) + " to " +
           std::to_string(gap.next_offset - 1) + ", before " + gap.before.string() + '\n';
  }
  return out + human_count(report.segments.size()) + " segments, " + human_count(unsigned_of(records)) +
         " records, " + human_bytes(unsigned_of(bytes)) + " in valid batches, " +
         (report.ok() ? "no defect" : human_count(report.defects.size()) + " defects") + '\n';
}

std::string verify_json(const log::VerifyReport& report) {
  using Json = nlohmann::ordered_json;
  Json segments = Json::array();
  for (const log::SegmentReport& one : report.segments) {
    segments.push_back({{"file", one.file.string()},
                        {"base_offset", one.base_offset},
                        {"next_offset", one.next_offset},
                        {"bytes", one.bytes},
                        {"valid_bytes", one.valid_bytes},
                        {"batches", one.batches},
                        {"records", one.records},
                        {"max_timestamp", one.max_timestamp_ms},
                        {"index_entries", one.index_entries},
                        {"time_index_entries", one.time_index_entries}});
  }
  Json defects = Json::array();
  for (const log::Defect& one : report.defects) {
    defects.push_back({{"kind", std::string(log::name(one.kind))},
                       {"file", one.file.string()},
                       {"position", one.position},
                       {"bytes", one.bytes},
                       {"first_offset", one.first_offset},
                       {"last_offset", one.last_offset},
                       {"what", one.what},
                       {"sentence", one.sentence()}});
  }
  Json gaps = Json::array();
  for (const log::OffsetGap& one : report.gaps) {
    gaps.push_back({{"before", one.before.string()},
                    {"first_offset", one.first_offset},
                    {"next_offset", one.next_offset}});
  }
  const Json all = {{"ok", report.ok()}, {"segments", segments}, {"defects", defects}, {"gaps", gaps}};
  // A file name need not be UTF-8; JSON must.
  return all.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

BytesView view(log::Bytes bytes) {
  return bytes.is_null() ? BytesView() : BytesView(bytes.data, bytes.length());
}

/// What `busway log dump` prints, piece by piece.
class Dumper {
 public:
  explicit Dumper(const LogDump& options) : options_(options), out_(STDOUT_FILENO) {
    if (options.format) format_.emplace(*options.format);
  }

  /// How many defects it met.
  std::int64_t run() {
    log::DumpSink sink;
    sink.file = [this](const std::filesystem::path& file) { this->file(file); };
    if (!format_)
      sink.batch = [this](std::int64_t at, const log::BatchView& batch) { this->batch(at, batch); };
    if (!options_.batches) sink.record = [this](const log::RecordView& record) { this->record(record); };
    if (plain()) {
      sink.offset_entry = [this](const log::OffsetPosition& entry) {
        out_.write("  offset " + std::to_string(entry.offset) + " at byte " + std::to_string(entry.position) +
                   '\n');
      };
      sink.time_entry = [this](const log::TimestampOffset& entry) {
        out_.write("  " + iso_time(entry.timestamp_ms) + " offset " + std::to_string(entry.offset) + '\n');
      };
    }
    sink.defect = [this](const log::Defect& defect) {
      out_.flush();
      std::cerr << "busway: " << defect.sentence() << '\n';
    };
    watch_signals();
    std::int64_t defects = 0;
    for (const std::string& path : options_.paths) defects += log::dump(path, sink);
    out_.flush();
    return defects;
  }

 private:
  bool plain() const { return !options_.json && !format_; }

  void file(const std::filesystem::path& file) {
    const auto directory = std::filesystem::absolute(file).parent_path().filename().string();
    const auto name = log::parse_partition_directory(directory);
    topic_ = name ? name->topic : std::string();
    partition_ = name ? static_cast<std::int32_t>(name->partition) : 0;
    if (plain()) out_.write(file.string() + '\n');
  }

  void batch(std::int64_t position, const log::BatchView& batch) {
    if (interrupted()) throw Error(errc::io, "interrupted");
    const log::BatchSummary& about = batch.summary();
    if (options_.json) {
      if (!options_.batches) return;
      const nlohmann::ordered_json json = {{"base_offset", about.base_offset},
                                           {"last_offset", about.last_offset},
                                           {"position", position},
                                           {"bytes", about.bytes},
                                           {"records", about.record_count},
                                           {"codec", std::string(log::codec_name(about.codec))},
                                           {"epoch", about.leader_epoch},
                                           {"max_timestamp", about.max_timestamp_ms},
                                           {"crc", batch.header().crc.get()}};
      out_.write(json.dump() + '\n');
      return;
    }
    out_.write("  offsets " + std::to_string(about.base_offset) + ".." + std::to_string(about.last_offset) +
               " at byte " + std::to_string(position) + ": " + std::to_string(about.record_count) +
               " records, " + std::to_string(about.bytes) + " bytes, " +
               std::string(log::codec_name(about.codec)) + ", epoch " + std::to_string(about.leader_epoch) +
               ", until " + iso_time(about.max_timestamp_ms) + '\n');
  }

  void record(const log::RecordView& record) {
    const Record shown({.offset = record.offset,
                        .timestamp_ms = record.timestamp_ms,
                        .partition = partition_,
                        .key = view(record.key),
                        .value = view(record.value),
                        .headers = record.headers});
    if (options_.json) {
      print_json(out_.buffer(), topic_, shown);
    } else if (format_) {
      format_->print(out_.buffer(), topic_, shown);
    } else {
      plain_record(shown);
    }
    out_.added();
  }

  void plain_record(const Record& record) {
    std::string& out = out_.buffer();
    out += "    ";
    append_number(out, record.offset());
    out.append(" ").append(iso_time(record.timestamp_ms())).append(" key=");
    append_json_or_null(out, record.key());
    out += " value=";
    append_json_or_null(out, record.value());
    for (const Header& header : record.headers()) {
      out += " header ";
      append_json_bytes(out, header.name);
      out += '=';
      append_json_or_null(out, header.value);
    }
    out += '\n';
  }

  const LogDump& options_;
  Output out_;
  std::optional<Format> format_;
  std::string topic_;
  std::int32_t partition_ = 0;
};

}  // namespace

int run(const LogVerify& options, const std::string&) {
  const log::VerifyReport report = verify_all(options);
  if (report.segments.empty() && report.defects.empty()) {
    throw Error(errc::io, "there are no segment files (*.log) at " + options.paths.front());
  }
  Output out(STDOUT_FILENO);
  out.write(options.json ? verify_json(report) : verify_text(report));
  out.flush();
  for (const log::Defect& defect : report.defects) std::cerr << "busway: " << defect.sentence() << '\n';
  return report.ok() ? kDone : kFailed;
}

int run(const LogDump& options, const std::string&) { return Dumper(options).run() == 0 ? kDone : kFailed; }

}  // namespace busway::cli
