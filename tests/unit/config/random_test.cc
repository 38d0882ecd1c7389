// Seeded: any configuration survives print and read, and no input makes the readers fall over.
#include <random>

#include "config/config_file.h"
#include "config/print.h"
#include "config/text.h"
#include "config_support.h"

using namespace ringcached;
using namespace ringcached::config;
using namespace ringcached::config::testing;

namespace {

constexpr unsigned kSeed = 20261121;

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(engine_);
  }
  template <typename List>
  const auto& pick(const List& list) {
    return list[static_cast<std::size_t>(between(0, static_cast<std::int64_t>(std::size(list)) - 1))];
  }
  // Text that a setting accepts, with everything that needs escaping.
  std::string text(std::size_t length_max) {
    static const std::vector<std::string> kPieces = {"a", "\"", "\\",       "#", "'", "[",
                                                     "]", "=",  "\xc3\xa9", "/", ".", "-"};
    std::string out;
    const auto pieces = between(1, 12);
    for (std::int64_t i = 0; i < pieces; ++i) {
      const std::string& piece = pick(kPieces);
      if (out.size() + piece.size() <= length_max) out += piece;
    }
    return out.empty() ? "x" : out;
  }
  std::string bytes(std::size_t length_max) {
    std::string out(static_cast<std::size_t>(between(0, static_cast<std::int64_t>(length_max))), '\0');
    for (char& c : out) c = static_cast<char>(between(0, 255));
    return out;
  }
  Value value(const Option& option) {
    switch (option.type) {
      case Type::kFlag:
        return Value(between(0, 1) == 1);
      case Type::kInteger:
      case Type::kSize:
      case Type::kDuration:
        if (!option.zero.empty() && between(0, 3) == 0) return Value(std::int64_t{0});
        if (!option.minus_one.empty() && between(0, 3) == 0) return Value(std::int64_t{-1});
        return Value(between(option.min, option.max));
      case Type::kFloat:
        return Value(std::uniform_real_distribution<double>(
            option.float_above + 1e-9, std::min(option.float_below, option.float_above + 1e9))(engine_));
      case Type::kEnum:
        return Value(between(0, static_cast<std::int64_t>(option.names.size()) - 1));
      case Type::kMode:
        return Value(between(0, option.max));
      case Type::kText:
        return Value(text(option.length_max));
      case Type::kList:
        break;
    }
    std::vector<std::string> list;
    for (auto left = between(0, 4); left > 0; --left) list.push_back(text(option.length_max));
    return Value(std::move(list));
  }

 private:
  std::mt19937 engine_;
};

}  // namespace

TEST_SUITE("config_random") {
  TEST_CASE("any configuration reads back from its print unchanged") {
    MESSAGE("seed ", kSeed);
    Random random(kSeed);
    for (int round = 0; round < 200; ++round) {
      Config config;
      for (const Option& option : options()) option.field.set(config, random.value(option));
      Draft draft;
      const std::string printed = config_text(config);
      const auto failure = read_config_text(printed, "printed", draft);
      REQUIRE_MESSAGE(!failure, (failure ? failure->text : ""), "\n", printed);
      for (const Option& option : options()) {
        REQUIRE_MESSAGE(option.field.get(config) == option.field.get(draft.config), option.key, " in\n",
                        printed);
      }
    }
  }

  TEST_CASE("any command line has an outcome, and an error is one line") {
    Random random(kSeed);
    std::vector<std::string> pieces = {"-",
                                       "--",
                                       "=",
                                       ",",
                                       "",
                                       "-1",
                                       "1",
                                       "0",
                                       "64m",
                                       "[",
                                       "[::1]:5",
                                       "a,b",
                                       "-o",
                                       "{}",
                                       "%%",
                                       "[]",
                                       "\"",
                                       "'a b'",
                                       "--config=/nonexistent/x",
                                       "-h-"};
    for (const Option& option : options()) {
      if (option.short_flag != 0) pieces.push_back(std::string("-") + option.short_flag);
      if (!option.long_flag.empty()) pieces.push_back("--" + std::string(option.long_flag));
      if (!option.suboption.empty()) pieces.emplace_back(option.suboption);
    }
    for (const Suboption& suboption : ignored_suboptions()) pieces.emplace_back(suboption.name);
    std::size_t runs = 0;
    std::size_t errors = 0;
    for (int round = 0; round < 1500; ++round) {
      Words words;
      for (auto left = random.between(0, 6); left > 0; --left) {
        std::string word = random.pick(pieces);
        if (random.between(0, 3) == 0) word += random.pick(pieces);
        if (random.between(0, 9) == 0) word = random.bytes(20);
        // An argument ends at its first NUL.
        words.push_back(word.substr(0, word.find('\0')));
      }
      const ParseOutcome outcome = parse(words);
      if (const auto* error = std::get_if<Error>(&outcome)) {
        ++errors;
        std::string shown;
        for (const std::string& word : words) shown += word + "|";
        CHECK_MESSAGE(is_one_line(error->text), shown, " -> ", error->text);
        CHECK(error->exit_code != 0);
      } else if (const auto* result = std::get_if<Run>(&outcome)) {
        ++runs;
        CHECK_FALSE(result->config.listeners.empty());
      }
    }
    // Both ways were taken, else the test says nothing.
    CHECK(runs > 50);
    CHECK(errors > 500);
  }

  TEST_CASE("no text makes the file reader fall over") {
    Random random(kSeed);
    const std::string sample = default_config_text();
    std::string active;
    for (const Option& option : options()) {
      active += std::string(option.key) + " = " + toml_text(option, option.field.get(Config{})) + "\n";
    }
    static const std::vector<std::string> kTokens = {
        "[", "]", "[[", "]]",    "=",    "\"",  "\"\"\"", "'''",        "\n",      ".",    ",",   "{",
        "}", "#", "0x", "1e999", "true", "nan", "-",      "1979-05-27", "network", "port", "\\u", "\xff"};
    std::size_t accepted = 0;
    for (int round = 0; round < 3000; ++round) {
      std::string text = round % 3 == 0 ? random.bytes(200) : active;
      for (auto left = random.between(0, 3); left > 0 && !text.empty(); --left) {
        const auto at =
            static_cast<std::size_t>(random.between(0, static_cast<std::int64_t>(text.size()) - 1));
        switch (random.between(0, 3)) {
          case 0:
            text[at] = static_cast<char>(random.between(0, 255));
            break;
          case 1:
            text.erase(at, static_cast<std::size_t>(random.between(1, 40)));
            break;
          case 2:
            text.insert(at, random.pick(kTokens));
            break;
          default:
            text.resize(at);
        }
      }
      Draft draft;
      const auto failure = read_config_text(text, "fuzz", draft);
      if (!failure) {
        ++accepted;
      } else {
        CHECK_MESSAGE(failure->text.starts_with("fuzz:"), failure->text);
        CHECK_FALSE(contains(failure->text, "\n"));
      }
    }
    CHECK(accepted > 100);
    for (const std::size_t depth : {10u, 1000u, 100000u}) {
      Draft draft;
      CHECK(read_config_text("a = " + std::string(depth, '['), "deep", draft).has_value());
    }
  }
}
