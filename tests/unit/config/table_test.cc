#include <algorithm>
#include <map>
#include <set>

#include "config/print.h"
#include "config/suggest.h"
#include "config/text.h"
#include "config_support.h"

using namespace ringcached;
using namespace ringcached::config;
using namespace ringcached::config::testing;

TEST_SUITE("option_table") {
  TEST_CASE("no key, flag, sub-option or statistics name is declared twice") {
    std::map<std::string, int> names;
    for (const Option& option : options()) {
      ++names["key " + std::string(option.key)];
      if (option.short_flag != 0) ++names[std::string("-") + option.short_flag];
      if (!option.long_flag.empty()) ++names["--" + std::string(option.long_flag)];
      if (const std::string opposite = opposite_flag(option); !opposite.empty()) ++names["--" + opposite];
      if (!option.suboption.empty()) ++names["-o " + std::string(option.suboption)];
      if (!option.stats_name.empty()) ++names["stats " + std::string(option.stats_name)];
    }
    for (const Suboption& suboption : ignored_suboptions()) ++names["-o " + std::string(suboption.name)];
    for (const RefusedFlag& flag : refused_flags()) {
      ++names[std::string("-") + flag.short_flag];
      ++names["--" + std::string(flag.long_flag)];
    }
    for (const auto& [name, count] : names) CHECK_MESSAGE(count == 1, name);
  }

  TEST_CASE("every short flag of memcached is known") {
    std::set<char> known = {'h', 'i', 'V', 'o'};
    for (const Option& option : options()) known.insert(option.short_flag);
    for (const RefusedFlag& flag : refused_flags()) known.insert(flag.short_flag);
    for (const char flag : std::string("pUsaAldrumMckvhiVPfnLDtRCbBISFXWYeZNo")) {
      CHECK_MESSAGE(known.contains(flag), std::string(1, flag));
    }
  }

  TEST_CASE("every row is whole: section, help or reason, a default inside its own range") {
    for (const Option& option : options()) {
      INFO(option.key);
      const std::string section(option.key.substr(0, option.key.find('.')));
      CHECK(std::ranges::find(sections(), section, &Section::name) != sections().end());
      CHECK((!option.help.empty() || !option.inert.empty()));
      CHECK((section == "compat") == !option.inert.empty());
      const Value value = option.field.get(Config{});
      CHECK(check_value(option, value).is_ok());
      CHECK(find_key(option.key) == &option);
      CHECK(&options()[index_of(option)] == &option);
      if (option.type == Type::kEnum) CHECK_FALSE(option.names.empty());
      if (option.type == Type::kSize || option.type == Type::kDuration) CHECK(option.unit > 0);
    }
    CHECK(find_key("network") == nullptr);
    CHECK(find_suboption("") == nullptr);
  }

  TEST_CASE("a row's field is its own: setting it changes nothing else") {
    for (const Option& option : options()) {
      Config config;
      Value value = option.field.get(config);
      value.flag = !value.flag;
      value.integer = option.type == Type::kEnum ? 1 : value.integer + 1;
      value.real += 0.25;
      value.text += "x";
      value.list.emplace_back("x");
      option.field.set(config, value);
      std::size_t changed = 0;
      for (const Option& other : options())
        changed += other.field.get(config) != other.field.get(Config{}) ? 1 : 0;
      CHECK_MESSAGE(changed == 1, option.key);
    }
  }

  TEST_CASE("the nearest name is found for slips and for nothing else") {
    const std::vector<std::string_view> names = {"port", "pidfile", "hashpower"};
    CHECK(nearest("prot", names) == "port");
    CHECK(nearest("hashpowr", names) == "hashpower");
    CHECK(nearest("pid-file", names) == "pidfile");
    CHECK(nearest("zzzz", names).empty());
    CHECK(nearest("", names).empty());
    CHECK(nearest(std::string(1000, 'p'), names).empty());
  }

  TEST_CASE("sizes and times are printed in the largest unit that is exact") {
    const Option& size = *find_key("memory.limit");
    CHECK(toml_text(size, Value(std::int64_t{1} << 30)) == "\"1g\"");
    CHECK(toml_text(size, Value(std::int64_t{1536} << 20)) == "\"1536m\"");
    CHECK(toml_text(size, Value(std::int64_t{1048577})) == "\"1048577b\"");
    CHECK(toml_text(*find_key("network.stop_deadline"), Value(std::int64_t{250})) == "\"250ms\"");
    CHECK(toml_text(*find_key("network.stop_deadline"), Value(std::int64_t{5000})) == "\"5s\"");
    CHECK(toml_text(*find_key("io.min_wait"), Value(std::int64_t{50})) == "\"50us\"");
    CHECK(toml_text(*find_key("io.min_wait"), Value(std::int64_t{2000})) == "\"2ms\"");
    CHECK(toml_text(*find_key("io.min_wait"), Value(std::int64_t{0})) == "\"0\"");
    CHECK(toml_text(*find_key("network.idle_timeout"), Value(std::int64_t{90})) == "\"90s\"");
    CHECK(toml_text(*find_key("compat.growth_factor"), Value(2.0)) == "2.0");
    CHECK(toml_string("a\"\\\n\x7f") == "\"a\\\"\\\\\\u000A\\u007F\"");
  }

  TEST_CASE("text is UTF-8 or refused") {
    const Option& user = *find_key("process.user");
    for (const char* good : {"a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xed\x9f\xbf"}) {
      CHECK_MESSAGE(parse_value(user, good, Source::kCommandLine), good);
    }
    for (const char* bad : {"\x80", "\xc0\x80", "\xc3", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80",
                            "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82", "\x1b", "\x7f", "a\tb"}) {
      CHECK_FALSE(parse_value(user, bad, Source::kCommandLine).is_ok());
    }
  }
}
