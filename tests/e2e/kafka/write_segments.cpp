// write_segments DIRECTORY: writes partitions with this project's own code, for Kafka's tools and other
// decoders to check: one partition for each codec and one of all codecs mixed, each of several segments with
// both indexes. Beside them expected.jsonl, one line for each record: what a decoder must find.
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>

#include "tests/unit/log/log_fixture.hpp"

namespace busway::log {
namespace {

namespace fs = std::filesystem;
using namespace testing;  // NOLINT: the fixture's words

constexpr int kSegments = 3;
constexpr int kBatches = 60;
constexpr std::int64_t kJump = 1'000'000;  // the third segment starts behind a jump, under a new epoch

std::string hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
    out += digits;
  }
  return out;
}

std::string json(const std::optional<std::string>& bytes) {
  return bytes ? "\"" + hex(*bytes) + "\"" : "null";
}

// Records of many shapes, timestamps out of order now and then.
OwnedRecord record_at(std::int64_t offset) {
  OwnedRecord record;
  record.timestamp_ms = 1'700'000'000'000 + 10 * offset - (offset % 11 == 0 ? 500 : 0);
  if (offset % 5 != 0) record.key = "key-" + std::to_string(offset % 97);
  if (offset % 13 != 0)
    record.value =
        "value of " + std::to_string(offset) + " " + std::string(static_cast<std::size_t>(offset % 200), 'x');
  if (offset % 17 == 0) record.value = "";
  if (offset % 7 == 0)
    record.headers = {{"trace", std::to_string(offset)}, {"empty", ""}, {"nothing", std::nullopt}};
  if (offset == 500) record.value = std::string(300'000, 'L');
  return record;
}

class Writer {
 public:
  explicit Writer(const fs::path& directory)
      : directory_(directory), expected_(directory / "expected.jsonl") {}

  void partition(const std::string& topic, Codec first, int codecs) {
    const fs::path path = directory_ / partition_directory(topic, 0);
    fs::create_directories(path);
    std::int64_t base = 0;
    for (int segment = 0; segment < kSegments; ++segment) {
      if (segment == 2) base += kJump;
      SegmentBuilder builder(path, base);
      for (int batch = 0; batch < kBatches; ++batch) {
        const auto codec = static_cast<Codec>((static_cast<int>(first) + batch % codecs) % 5);
        add(builder, topic, base, 1 + batch % 40, segment < 2 ? 0 : 1, codec);
        base = builder.next_offset();
      }
      builder.write();
    }
  }

 private:
  void add(SegmentBuilder& builder, const std::string& topic, std::int64_t base, int count,
           std::int32_t epoch, Codec codec) {
    std::vector<OwnedRecord> records;
    for (int i = 0; i < count; ++i) {
      records.push_back(record_at(base + i));
      expect(topic, base + i, records.back());
    }
    builder.add(compressed(build_batch(records, base, epoch), codec));
  }

  void expect(const std::string& topic, std::int64_t offset, const OwnedRecord& record) {
    expected_ << R"({"topic":")" << topic << R"(","offset":)" << offset << R"(,"timestamp":)"
              << record.timestamp_ms << R"(,"key":)" << json(record.key) << R"(,"value":)"
              << json(record.value) << R"(,"headers":[)";
    const char* comma = "";
    for (const auto& [name, value] : record.headers) {
      expected_ << comma << "[\"" << name << "\"," << json(value) << "]";
      comma = ",";
    }
    expected_ << "]}\n";
  }

  fs::path directory_;
  std::ofstream expected_;
};

}  // namespace
}  // namespace busway::log

int main(int argc, char** argv) {
  using busway::log::Codec;
  if (argc != 2) {
    std::fputs("usage: write_segments DIRECTORY\n", stderr);
    return 2;
  }
  try {
    busway::log::Writer writer(argv[1]);
    for (const Codec codec : {Codec::none, Codec::gzip, Codec::snappy, Codec::lz4, Codec::zstd}) {
      writer.partition(std::string(codec_name(codec)), codec, 1);
    }
    writer.partition("mixed", Codec::none, 5);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "write_segments: %s\n", error.what());
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}
