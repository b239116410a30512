// The TOML side of the configuration: dotted keys, tables and quoted keys all flatten to one name, so that
// `data.dir = "x"`, `[data]` with `dir = "x"`, and `"data.dir" = "x"` mean the same.
#include <algorithm>
#include <charconv>
#include <vector>

#include <grp.h>
#include <pwd.h>
#include <toml++/toml.h>

#include <busway/error.hpp>

#include "bus/control/socket_path.hpp"
#include "daemon/config.hpp"

namespace busway::daemon {
namespace {

constexpr std::string_view kTopicDefaults = "topic.defaults.";

/// Where a value stands, for errors: "/etc/busway/busway.toml:12".
using Place = std::string;

[[noreturn]] void refuse(const Place& place, const std::string& sentence, errc code = errc::invalid_setting) {
  throw Error(code, place + ": " + sentence);
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

class FileReader {
 public:
  FileReader(std::string_view file, Config& config) : file_(file), config_(config) {}

  void read(const toml::table& table) {
    std::vector<AclEntry> entries;
    bool has_acl = false;
    for (const auto& [key, node] : table) {
      if (key == "acl") {
        has_acl = true;
        entries = read_acl(node);
      } else {
        read_node(std::string(key.str()), node);
      }
    }
    config_.acl = has_acl ? Acl(std::move(entries)) : Acl::standard();
    try {
      config_.topic_defaults = parse_topic_config("(topic.defaults)", topic_defaults_);
    } catch (const Error& error) {
      refuse(file_, error.sentence(), error.error());  // settings that do not go together
    }
  }

 private:
  Place place(const toml::node& node) const { return file_ + ":" + std::to_string(node.source().begin.line); }

  void read_node(const std::string& key, const toml::node& node);
  std::string scalar(const std::string& key, const toml::node& node) const;
  std::vector<AclEntry> read_acl(const toml::node& node) const;
  AclEntry read_acl_entry(const toml::table& table) const;
  std::vector<std::string> texts(const std::string& key, const toml::node& node) const;
  template <class Ids, class Lookup>
  void read_ids(const toml::node& node, const std::string& key, Ids& ids, Lookup lookup) const;

  Place file_;
  Config& config_;
  Settings topic_defaults_;
};

void set_topic_default(const Place& place, const std::string& key, const std::string& value,
                       Settings& settings) {
  settings[key] = value;
  try {
    parse_topic_config("(topic.defaults)",
                       {{key, value}, {"storage", "memory"}});  // this one alone, for its place
  } catch (const Error& error) {
    refuse(place, error.sentence(), error.error());
  }
}

void set_value(const Place& place, const std::string& key, const std::string& value, Config& config) {
  const auto rows = config_settings();
  const auto found =
      std::find_if(rows.begin(), rows.end(), [&](const ConfigSetting& row) { return row.about.key == key; });
  if (found == rows.end()) {
    std::vector<std::string_view> known{"acl"};
    for (const ConfigSetting& row : rows) known.push_back(row.about.key);
    std::vector<std::string> defaults;
    for (const TopicSetting& row : topic_settings())
      defaults.push_back(std::string(kTopicDefaults) += row.about.key);
    known.insert(known.end(), defaults.begin(), defaults.end());
    const std::string_view near = nearest_key(key, known);
    refuse(place,
           "unknown setting " + key + (near.empty() ? "" : ", did you mean " + std::string(near) + "?"));
  }
  try {
    const std::int64_t number = parse_setting(found->about, value);
    if (found->text != nullptr) {
      config.*found->text = value;
    } else {
      found->set(config, number);
    }
  } catch (const Error& error) {
    refuse(place, error.sentence(), error.error());
  }
}

bool is_text(const std::string& key) {
  const auto rows = config_settings();
  return std::any_of(rows.begin(), rows.end(), [&](const ConfigSetting& row) {
    // A mode without quotes would be TOML's decimal reading of it.
    return row.about.key == key &&
           (row.about.type == SettingType::text || row.about.type == SettingType::mode);
  });
}

void FileReader::read_node(const std::string& key, const toml::node& node) {
  if (const toml::table* table = node.as_table()) {
    for (const auto& [name, child] : *table) read_node(key + "." + std::string(name.str()), child);
  } else if (key.starts_with(kTopicDefaults)) {
    set_topic_default(place(node), key.substr(kTopicDefaults.size()), scalar(key, node), topic_defaults_);
  } else {
    if (is_text(key) && !node.is_string()) refuse(place(node), key + ": must be a text, in quotes");
    set_value(place(node), key, scalar(key, node), config_);
  }
}

std::string FileReader::scalar(const std::string& key, const toml::node& node) const {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* flag = node.as_boolean()) return flag->get() ? "true" : "false";
  refuse(place(node), key + ": must be a text, a whole number, true or false");
}

std::vector<std::string> FileReader::texts(const std::string& key, const toml::node& node) const {
  std::vector<std::string> out;
  if (const toml::array* array = node.as_array()) {
    for (const toml::node& item : *array) out.push_back(scalar(key, item));
  } else {
    out.push_back(scalar(key, node));
  }
  return out;
}

template <class Ids, class Lookup>
void FileReader::read_ids(const toml::node& node, const std::string& key, Ids& ids, Lookup lookup) const {
  for (const std::string& name : texts("acl." + key, node)) {
    const auto id = lookup(name);
    if (!id) refuse(place(node), std::string("acl.").append(key) + ": this machine knows no " + quoted(name));
    ids.push_back(*id);
  }
}

/// The number where the text is one.
template <class Id>
std::optional<Id> as_number(const std::string& text) {
  Id id{};
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), id);
  const bool whole = parsed.ec == std::errc{} && parsed.ptr == text.data() + text.size();
  return whole ? std::optional(id) : std::nullopt;
}

std::optional<uid_t> find_user(const std::string& name) {
  if (const auto id = as_number<uid_t>(name)) return id;
  std::vector<char> buffer(16384);
  passwd found{};
  passwd* result = nullptr;
  ::getpwnam_r(name.c_str(), &found, buffer.data(), buffer.size(), &result);
  return result == nullptr ? std::nullopt : std::optional(found.pw_uid);
}

std::optional<gid_t> find_group(const std::string& name) {
  if (const auto id = as_number<gid_t>(name)) return id;
  std::vector<char> buffer(16384);
  group found{};
  group* result = nullptr;
  ::getgrnam_r(name.c_str(), &found, buffer.data(), buffer.size(), &result);
  return result == nullptr ? std::nullopt : std::optional(found.gr_gid);
}

std::vector<AclEntry> FileReader::read_acl(const toml::node& node) const {
  const toml::array* array = node.as_array();
  if (array == nullptr || !array->is_array_of_tables()) {
    refuse(place(node), "acl: must be a list of [[acl]] tables with users, groups, topics and allow");
  }
  std::vector<AclEntry> entries;
  for (const toml::node& item : *array) entries.push_back(read_acl_entry(*item.as_table()));
  return entries;
}

void set_right(const Place& place, const std::string& word, AclEntry& entry) {
  if (word == "publish") {
    entry.publish = true;
  } else if (word == "subscribe") {
    entry.subscribe = true;
  } else if (word == "admin") {
    entry.admin = true;
  } else {
    refuse(place, "acl.allow = " + word + ": must be publish, subscribe or admin");
  }
}

AclEntry FileReader::read_acl_entry(const toml::table& table) const {
  AclEntry entry;
  for (const auto& [name, node] : table) {
    const std::string key(name.str());
    if (key == "users" && texts("acl.users", node) == std::vector<std::string>{"*"}) {
      entry.everybody = true;
    } else if (key == "users") {
      read_ids(node, key, entry.users, find_user);
    } else if (key == "groups") {
      read_ids(node, key, entry.groups, find_group);
    } else if (key == "topics") {
      entry.topics = texts("acl.topics", node);
    } else if (key == "allow") {
      for (const std::string& word : texts("acl.allow", node)) set_right(place(node), word, entry);
    } else {
      refuse(place(node),
             "unknown setting acl." + key + ": an [[acl]] table has users, groups, topics and allow");
    }
  }
  if (!entry.everybody && entry.users.empty() && entry.groups.empty()) {
    refuse(place(table), "acl: this entry names neither users nor groups; users = [\"*\"] means everybody");
  }
  if (entry.topics.empty())
    refuse(place(table), "acl: this entry names no topics; topics = [\"*\"] means all");
  if (!entry.publish && !entry.subscribe && !entry.admin) {
    refuse(place(table), "acl: this entry allows nothing; allow takes publish, subscribe and admin");
  }
  return entry;
}

void fill_in_defaults(Config& config) {
  if (config.data_dir.empty()) config.data_dir = default_data_dir();
  if (config.socket_path.empty())
    config.socket_path = control::default_socket_path(control::SocketUse::listen);
  if (config.memory_max_bytes == 0) config.memory_max_bytes = default_memory_budget();
  if (config.memory_per_uid_max_bytes == 0) config.memory_per_uid_max_bytes = config.memory_max_bytes / 2;
}

std::string toml_value(const SettingDescription& about, const std::string& text) {
  const bool bare =
      about.type != SettingType::text && about.type != SettingType::choice && about.type != SettingType::mode;
  return bare ? text : quoted(text);
}

template <class T>
void print_list(std::string& out, const char* key, const std::vector<T>& items) {
  if (items.empty()) return;
  out += key;
  out += " = [";
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out += ", ";
    if constexpr (std::is_same_v<T, std::string>) {
      out += quoted(items[i]);
    } else {
      out += std::to_string(items[i]);
    }
  }
  out += "]\n";
}

}  // namespace

Config parse_config(std::string_view text, std::string_view file, const ConfigSource& source) {
  Config config;
  try {
    FileReader(file, config).read(toml::parse(text));
  } catch (const toml::parse_error& error) {
    refuse(std::string(file) + ":" + std::to_string(error.source().begin.line),
           std::string(error.description()));
  }
  for (const auto& [key, value] : source.overrides) {
    if (key.starts_with(kTopicDefaults)) {
      Settings one{{key.substr(kTopicDefaults.size()), value}};
      config.topic_defaults = parse_topic_config("(topic.defaults)", one, config.topic_defaults);
    } else {
      set_value("command line", key, value, config);
    }
  }
  fill_in_defaults(config);
  return config;
}

std::string print_config(const Config& config) {
  std::string out;
  for (const ConfigSetting& row : config_settings()) {
    const std::string value =
        row.text != nullptr ? config.*row.text : print_setting(row.about, row.get(config));
    out += std::string(row.about.key) + " = " + toml_value(row.about, value) + "\n";
  }
  out += "\n[topic.defaults]\n";
  for (const TopicSetting& row : topic_settings()) {
    const std::string value = print_setting(row.about, row.get(config.topic_defaults));
    out += quoted(std::string(row.about.key)) + " = " + toml_value(row.about, value) + "\n";
  }
  for (const AclEntry& entry : config.acl.entries()) {
    out += "\n[[acl]]\n";
    if (entry.everybody) out += "users = [\"*\"]\n";
    print_list(out, "users", entry.users);
    print_list(out, "groups", entry.groups);
    print_list(out, "topics", entry.topics);
    std::vector<std::string> rights;
    if (entry.publish) rights.emplace_back("publish");
    if (entry.subscribe) rights.emplace_back("subscribe");
    if (entry.admin) rights.emplace_back("admin");
    print_list(out, "allow", rights);
  }
  return out;
}

}  // namespace busway::daemon
