#include "config/config_file.h"

#include "config/print.h"
#include "config_support.h"

using namespace ringcached;
using namespace ringcached::config;
using namespace ringcached::config::testing;

namespace {

std::string failure_of(const std::string& text) {
  Draft draft;
  const auto failure = read_config_text(text, "a.conf", draft);
  return failure ? failure->text : "";
}

struct Bad {
  const char* text;
  const char* place;  // the message begins with it
  const char* part;
};
constexpr Bad kBad[] = {
    {"[network]\nprot = 1\n", "a.conf:2:1: ", "unknown setting network.prot (did you mean network.port?)"},
    {"[network]\nhashpower = 1\n", "a.conf:2:1: ", "unknown setting network.hashpower"},
    {"[memory]\nport = 1\n", "a.conf:2:1: ", "did you mean network.port?"},
    {"port = 1\n", "a.conf:1:1: ", "unknown setting port (did you mean network.port?)"},
    {"[netwerk]\nport = 1\n", "a.conf:1:2: ", "unknown section [netwerk] (did you mean network?)"},
    {"[zzz]\n", "a.conf:1:2: ", "--print-default-config"},
    {"network = 3\n", "a.conf:1:11: ", "write [network] on a line of its own"},
    {"[network]\nport = \"x\"\n",
     "a.conf:2:8: ", "network.port: a string is not a whole number from 1 to 65535"},
    {"[network]\nport = 1.5\n", "a.conf:2:8: ", "a number with a fraction is not"},
    {"[network]\nport = 65536\n", "a.conf:2:8: ", "65536 is not a whole number from 1 to 65535 (0: no TCP"},
    {"[network]\nport = -2\n", "a.conf:2:8: ", "-2 is not"},
    {"[network]\nport = 1\nport = 2\n", "a.conf:3:", "not valid TOML"},
    {"[network]\n[network]\n", "a.conf:2:", "not valid TOML"},
    {"[network]\nport 3\n", "a.conf:2:6: ", "not valid TOML"},
    {"[network\n", "a.conf:1:", "saw '\\n'"},
    {"[network]\nport = 99999999999999999999\n", "a.conf:2:", "not valid TOML"},
    {"[network]\nrefuse_fast = 1\n", "a.conf:2:15: ", "a whole number is not true or false"},
    {"[network]\nunix_mode = 700\n", "a.conf:2:13: ", "a string with an octal access mode"},
    {"[network]\nunix_mode = \"8\"\n", "a.conf:2:13: ", "octal access mode"},
    {"[network]\nlisten = \"a\"\n", "a.conf:2:10: ", "a string is not a list of strings"},
    {"[network]\nlisten = [\"a\",\n 3]\n", "a.conf:3:2: ", "a whole number is not a list of strings"},
    {"[network]\nprotocol = \"asci\"\n",
     "a.conf:2:12: ", "\"asci\" is not auto, ascii or binary (did you mean ascii?)"},
    {"[network]\nidle_timeout = 30\n", "a.conf:2:16: ", "a string with a time and its unit"},
    {"[network]\nidle_timeout = \"30\"\n", "a.conf:2:16: ", "such as \"30s\""},
    {"[network]\nidle_timeout = 1979-05-27\n", "a.conf:2:16: ", "a date or time is not"},
    // Made toml++ abort: a date, a blank, one digit, the end of the line.
    {"[network]\nport = 1979-05-27 0\n", "a.conf:2:", "not valid TOML"},
    {"[memory]\nlimit = 64\n",
     "a.conf:2:9: ", "memory.limit: a whole number is not a string with a size and its unit"},
    {"[memory]\nlimit = \"64\"\n", "a.conf:2:9: ", "\"64\" is not a string with a size and its unit"},
    {"[memory]\nlimit = { a = 1 }\n", "a.conf:2:9: ", "a table is not"},
    {"[memory]\nlimit = []\n", "a.conf:2:9: ", "a list is not"},
    {"[compat]\ngrowth_factor = 1\n", "a.conf:2:17: ", "1 is not a number above 1"},
    {"[compat]\ngrowth_factor = nan\n", "a.conf:2:17: ", "a number above 1"},
    {"[compat]\ngrowth_factor = true\n", "a.conf:2:17: ", "true or false is not a number above 1"},
    {"[stats]\nprefix_delimiter = \"\"\n", "a.conf:2:20: ", "one character"},
    {"[process]\nuser = \"a\\u0000b\"\n", "a.conf:2:8: ", "not plain UTF-8"},
    {"[process]\nuser = \"\xff\"\n", "a.conf:2:", "not valid TOML"},
    {"[process]\r\nverbosity = 4\r\n", "a.conf:2:13: ", "from 0 to 3"},
    // The first problem of the file is named, not the first by name.
    {"[store]\nzzz = 1\n[io]\nzzz = 1\n", "a.conf:2:1: ", "store.zzz"},
};

}  // namespace

TEST_SUITE("config_file") {
  TEST_CASE("every error begins with file, line and column and says what to write") {
    for (const Bad& c : kBad) {
      const std::string text = failure_of(c.text);
      INFO(c.text, " -> ", text);
      CHECK(text.starts_with(c.place));
      CHECK(contains(text, c.part));
      CHECK_FALSE(contains(text, "\n"));
    }
  }

  TEST_CASE("a file in every type of TOML is read") {
    Draft draft;
    const auto failure = read_config_text(
        "\xEF\xBB\xBF# comment\n"
        "network = { port = 5_000, listen = [\"::1\", \"a:1,b:2\"] }\n"
        "memory.limit = '1g' # literal\n"
        "[compat]\n"
        "growth_factor = 2\n"
        "[network.nothing]\n",
        "a.conf", draft);
    // A table that was written inline cannot be extended, so the last line is the only error.
    REQUIRE(failure);
    CHECK(contains(failure->text, "a.conf:6:"));

    Draft better;
    const auto none = read_config_text(
        "\xEF\xBB\xBF[network]\nport = 5_000\nlisten = [\"::1\", \"a:1,b:2\"]\n"
        "idle_timeout = \"2m\"\nunix_mode = \"0660\"\n"
        "[memory]\nlimit = '1g'\n[compat]\ngrowth_factor = 2\n[store]\nevict_when_full = false\n"
        "[io]\nlevel = \"6.12\"\nmin_wait = \"50us\"\nspin = \"1ms\"\n",
        "a.conf", better);
    CHECK_FALSE(none);
    const Config& config = better.config;
    CHECK(config.network.port == 5000);
    CHECK(config.network.listen == std::vector<std::string>{"::1", "a:1", "b:2"});
    CHECK(config.network.idle_timeout_s == 120);
    CHECK(config.network.unix_mode == 0660);
    CHECK(config.memory.limit_bytes == 1u << 30);
    CHECK(config.store.growth_factor == 2.0);
    CHECK_FALSE(config.store.evictions_enabled);
    CHECK(config.io.level == IoLevel::k6_12);
    CHECK(config.io.min_wait_us == 50);
    CHECK(config.io.spin_us == 1000);
  }

  TEST_CASE("the command line wins over the file, the file over the default") {
    const TemporaryDirectory directory;
    const std::string file = directory.write("a.conf",
                                             "[network]\nport = 5000\nlisten = [\"127.0.0.2\"]\n"
                                             "[process]\ndaemonize = true\nverbosity = 2\n"
                                             "[store]\nlru_crawler = false\n[memory]\nlimit = \"128m\"\n");
    const Config from_file = config_of({"--config", file});
    CHECK(from_file.config_file == file);
    CHECK(from_file.network.port == 5000);
    CHECK(from_file.network.backlog == 1024);
    CHECK(from_file.process.daemonize);
    CHECK(from_file.process.verbosity == 2);
    REQUIRE(from_file.listeners.size() == 1);
    CHECK(from_file.listeners[0].host == "127.0.0.2");

    const Config both = config_of(
        {"-p6000", "-v", "-l", "127.0.0.3", "-o", "lru_crawler", "--no-daemon", "--config=" + file});
    CHECK(both.network.port == 6000);
    CHECK(both.network.listen == std::vector<std::string>{"127.0.0.3"});
    CHECK(both.process.verbosity == 1);
    CHECK_FALSE(both.process.daemonize);
    CHECK(both.store.lru_crawler);
    CHECK(both.memory.limit_bytes == 128u << 20);
    // A file's port is a port given: -U leaves it alone.
    CHECK(config_of({"-U", "5001", "--config=" + file}).network.port == 5000);
  }

  TEST_CASE("an error of the file reaches the command line's outcome, and rules name the file's place") {
    const TemporaryDirectory directory;
    const std::string typo = directory.write("typo.conf", "[network]\nprot = 1\n");
    const Error error = error_of({"--config", typo});
    CHECK(error.text.starts_with(typo + ":2:1: unknown setting network.prot"));
    CHECK(error.exit_code == 1);
    CHECK(is_one_line(error.text));
    CHECK(error_of({"--check-config", "--config", typo}).text == error.text);

    const std::string small = directory.write("small.conf", "[memory]\nlimit = \"1m\"\n");
    CHECK(contains(error_of({"--config", small}).text, "1/2 of memory max (" + small + ":2:9)"));
    const std::string nowhere = directory.write("nowhere.conf", "[network]\nport = 0\n");
    CHECK(error_of({"--config", nowhere}).text.starts_with(nowhere + ":2:8: nothing to listen on"));
    const std::string address = directory.write("address.conf", "[network]\nlisten = [\"a:x\"]\n");
    CHECK(error_of({"--config", address}).text.starts_with(address + ":2:10: \"a:x\": Invalid port number"));
  }

  TEST_CASE("an unreadable file is an error with its cause") {
    const TemporaryDirectory directory;
    const std::string missing = directory.path("none.conf");
    const Error error = error_of({"--config", missing});
    CHECK(error.text ==
          missing + ": cannot be read: No such file or directory; give --config a file this user may read\n");
    CHECK(contains(error_of({"--config", directory.path("")}).text, "Is a directory"));
    const std::string huge = directory.write("huge.conf", std::string(kConfigFileBytesMax + 1, '#'));
    CHECK(contains(error_of({"--config", huge}).text, "File too large"));
    const std::string largest = directory.write("largest.conf", std::string(kConfigFileBytesMax, '#'));
    CHECK(config_of({"--config", largest}).network.port == 11211);
  }

  TEST_CASE("settings without effect are acknowledged only when they differ from the default") {
    Draft draft;
    CHECK_FALSE(read_config_text("[compat]\nhot_lru_pct = 20\nwarm_lru_pct = 30\n", "a.conf", draft));
    REQUIRE(draft.notices().size() == 1);
    CHECK(draft.notices()[0].starts_with("compat.warm_lru_pct has no effect: "));
  }

  TEST_CASE("a reload can name the file anew") {
    const TemporaryDirectory directory;
    const std::string file = directory.write("a.conf", "[network]\nport = 5000\n");
    const ParseOutcome outcome = parse({"--config", "relative-and-gone.conf"}, file);
    REQUIRE(std::holds_alternative<Run>(outcome));
    CHECK(std::get<Run>(outcome).config.network.port == 5000);
  }

  TEST_CASE("a printed configuration that was read gives the same print") {
    const ParseOutcome first =
        parse({"--print-config", "-p", "-1", "-l", "[::1]:5,*", "-D", "\"", "-s", "/a \\ b"});
    REQUIRE(std::holds_alternative<Print>(first));
    const TemporaryDirectory directory;
    const std::string file = directory.write("a.conf", std::get<Print>(first).text);
    const ParseOutcome second = parse({"--print-config", "--config", file});
    REQUIRE(std::holds_alternative<Print>(second));
    CHECK(std::get<Print>(first).text == std::get<Print>(second).text);
    CHECK(contains(std::get<Print>(first).text, "listen = [\"[::1]:5\", \"*\"]"));
  }

  TEST_CASE("the example file is correct and changes nothing, also with every line made active") {
    std::string text = default_config_text();
    Draft untouched;
    CHECK_FALSE(read_config_text(text, "example", untouched));
    CHECK(config_text(untouched.config) == config_text(Config{}));
    std::size_t activated = 0;
    for (std::size_t at = text.find("\n#"); at != std::string::npos; at = text.find("\n#", at + 1)) {
      if (text[at + 2] == ' ') continue;
      text.erase(at + 1, 1);
      ++activated;
    }
    CHECK(activated == options().size());
    Draft draft;
    const auto failure = read_config_text(text, "example", draft);
    CHECK_MESSAGE(!failure, (failure ? failure->text : ""));
    CHECK(config_text(draft.config) == config_text(Config{}));
    for (const Option& option : options()) CHECK_MESSAGE(draft.is_set(option.key), option.key);
    CHECK(draft.notices().empty());
  }

  TEST_CASE("the packaged example is the generated text") {
    std::ifstream file(RINGCACHED_EXAMPLE_FILE, std::ios::binary);
    REQUIRE(file.good());
    const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    CHECK_MESSAGE(text == default_config_text(),
                  "write it anew: ringcached --print-default-config > packaging/ringcached.conf.example");
  }
}
