// How records are printed.
#include "clients/cli/format.hpp"

#include <random>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "bus/log/record_headers.hpp"
#include "clients/cli/options.hpp"

namespace busway::cli {
namespace {

using namespace std::string_literals;

/// A record at offset 42 of partition 3, stamped 1714978089123.
class PrintedRecord {
 public:
  PrintedRecord& key(BytesView bytes) { return fields_.key = bytes, *this; }
  PrintedRecord& value(BytesView bytes) { return fields_.value = bytes, *this; }
  PrintedRecord& header(std::string_view name, log::Bytes value) {
    list_.push_back({name, value});
    encoded_ = log::encode_headers(list_);
    fields_.headers = encoded_;
    return *this;
  }
  std::string as(std::string_view format, bool show_null = false) const {
    std::string out;
    Format(format, show_null).print(out, "orders", Record(fields_));
    return out;
  }
  nlohmann::json json() const {
    std::string out;
    print_json(out, "orders", Record(fields_));
    EXPECT_EQ(out.find('\n'), out.size() - 1) << "one line for each record";
    return nlohmann::json::parse(out);
  }

 private:
  Record::Fields fields_{
      .offset = 42, .timestamp_ms = 1714978089123, .partition = 3, .key = {}, .value = {}, .headers = {}};
  std::vector<log::HeaderView> list_;
  std::vector<std::byte> encoded_;
};

TEST(Format, PrintsWhatKcatPrints) {
  PrintedRecord record;
  record.key("k").value("value").header("a", {"1"}).header("b", {}).header("a", {""});
  EXPECT_EQ(record.as("%t %p %o %T %k %K %s %S %h"), "orders 3 42 1714978089123 k 1 value 5 a=1,b=NULL,a=");
  EXPECT_EQ(record.as("%s\\n"), "value\n");
  EXPECT_EQ(record.as("100%%\\t\\r\\0\\x41\\\\|"), "100%\t\r\0A\\|"s);
  EXPECT_EQ(record.as(""), "");
}

TEST(Format, NullAndEmptyDiffer) {
  EXPECT_EQ(PrintedRecord().as("[%k|%K|%s|%S|%h]"), "[|-1||-1|]");
  EXPECT_EQ(PrintedRecord().key("").value("").as("[%k|%K|%s|%S]"), "[|0||0]");
  EXPECT_EQ(PrintedRecord().as("%k %s", true), "NULL NULL");
  EXPECT_EQ(PrintedRecord().as("%s\\n", true), "NULL\n");
  EXPECT_EQ(PrintedRecord().key("").value("").as("[%k%s]", true), "[]");
}

TEST(Format, BytesPassUnchanged) {
  const auto bytes = "\0\xff\n%s\\n\x80"s;
  EXPECT_EQ(PrintedRecord().value(bytes).as("%s"), bytes);
  EXPECT_EQ(PrintedRecord().value(bytes).as("%s\\n"), bytes + '\n');
}

TEST(Format, RefusesWhatItDoesNotKnow) {
  EXPECT_THROW(Format("%x"), UsageError);
  EXPECT_THROW(Format("100%"), UsageError);
}

TEST(Json, HasEveryField) {
  PrintedRecord record;
  record.key("k\"\n\x01").value("v\xC3\xA9").header("name", {"x"}).header("none", {});
  const auto json = record.json();
  EXPECT_EQ(json["topic"], "orders");
  EXPECT_EQ(json["partition"], 3);
  EXPECT_EQ(json["offset"], 42);
  EXPECT_EQ(json["timestamp"], 1714978089123);
  EXPECT_EQ(json["key"], "k\"\n\x01");
  EXPECT_EQ(json["value"], "v\xC3\xA9");
  EXPECT_EQ(json["headers"][0]["name"], "name");
  EXPECT_EQ(json["headers"][0]["value"], "x");
  EXPECT_TRUE(json["headers"][1]["value"].is_null());
  EXPECT_TRUE(PrintedRecord().json()["key"].is_null());
  EXPECT_EQ(PrintedRecord().value("").json()["value"], "");
}

TEST(Json, BytesThatAreNotTextAreBase64) {
  EXPECT_EQ(PrintedRecord().value("\xff\xfe"s).json()["value"]["base64"], "//4=");
}

TEST(Json, AnyBytesComeBack) {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 12, '\0');
    for (char& c : bytes) c = static_cast<char>(random() % (round % 2 == 0 ? 256 : 128));
    const auto value = PrintedRecord().value(bytes).json()["value"];
    if (value.is_string()) {
      EXPECT_EQ(value.get<std::string>(), bytes);
    } else {
      EXPECT_EQ(value["base64"].get<std::string>().size(), (bytes.size() + 2) / 3 * 4);
    }
  }
}

}  // namespace
}  // namespace busway::cli
