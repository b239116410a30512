// docs/configuration.md holds the very tables that follow from the code. When this fails, it prints the table
// to paste.
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "daemon/config.hpp"

namespace busway::daemon {
namespace {

std::string page() {
  std::ifstream file(BUSWAY_CONFIGURATION_PAGE);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string table_row(const SettingDescription& about) {
  const std::string standard = about.standard.empty() ? "see right" : "`" + std::string(about.standard) + "`";
  const std::string allowed = about.type == SettingType::text ? "text" : allowed_values(about);
  return "| `" + std::string(about.key) + "` | " + standard + " | " + allowed + " | " +
         (about.changeable ? "yes" : "no") + " | " + std::string(about.meaning) + " |\n";
}

template <class Rows>
std::string table(const std::string& last_question, const Rows& rows) {
  std::string out =
      "| setting | default | allowed | " + last_question + " | meaning |\n| --- | --- | --- | --- | --- |\n";
  for (const auto& row : rows) out += table_row(row.about);
  return out;
}

TEST(ConfigurationPage, HasTheTableOfTheDaemonsSettings) {
  const std::string expected = table("on reload", config_settings());
  EXPECT_NE(page().find(expected), std::string::npos) << expected;
}

TEST(ConfigurationPage, HasTheTableOfTopicSettings) {
  const std::string expected = table("by alter", topic_settings());
  EXPECT_NE(page().find(expected), std::string::npos) << expected;
}

TEST(ConfigTable, EveryDefaultInTheTableIsTheStructsDefault) {
  for (const ConfigSetting& row : config_settings()) {
    if (row.text != nullptr) continue;
    EXPECT_EQ(parse_setting(row.about, row.about.standard), row.get(Config{})) << row.about.key;
  }
}

/// "a.b" and "a.b.c" cannot both be dotted keys of one TOML file.
TEST(ConfigTable, NoKeyIsTheBeginningOfAnother) {
  for (const ConfigSetting& one : config_settings()) {
    for (const ConfigSetting& other : config_settings()) {
      EXPECT_FALSE(other.about.key.starts_with(std::string(one.about.key) + ".")) << other.about.key;
    }
  }
}

}  // namespace
}  // namespace busway::daemon
