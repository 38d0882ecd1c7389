#include "protocol/admin.h"

#include <doctest/doctest.h>

#include "protocol/reply.h"

namespace ringcached::protocol {

TEST_SUITE("protocol admin") {
  TEST_CASE("flush_all") {
    const struct {
      const char* arguments;
      std::int32_t delay;
      std::string_view reply;
    } rows[] = {
        {"", 0, ""},
        {"0", 0, ""},
        {"-1", -1, ""},
        {"5", 5, ""},
        {"5 more words", 5, ""},
        {"2147483647", 2147483647, ""},
        {"2147483648", 0, reply::kInvalidExptime},
        {"x", 0, reply::kInvalidExptime},
        {"noreply 5", 0, reply::kInvalidExptime},
    };
    for (const auto& row : rows) {
      CAPTURE(row.arguments);
      const auto parsed = parse_flush_all(row.arguments);
      CHECK(parsed.reply == row.reply);
      CHECK(parsed.is_ok() == row.reply.empty());
      CHECK(parsed.value == row.delay);
    }
  }

  TEST_CASE("verbosity") {
    const struct {
      const char* arguments;
      std::uint32_t level;
      std::string_view reply;
    } rows[] = {
        {"0", 0, ""},
        {"1", 1, ""},
        {"2", 2, ""},
        {"3", 2, ""},
        {"4294967295", 2, ""},
        {"0 my eyes", 0, ""},
        {"", 0, reply::kBadFormat},
        {"x", 0, reply::kBadFormat},
        {"-1", 0, reply::kBadFormat},
        {"4294967296", 0, reply::kBadFormat},
    };
    for (const auto& row : rows) {
      CAPTURE(row.arguments);
      const auto parsed = parse_verbosity(row.arguments);
      CHECK(parsed.reply == row.reply);
      CHECK(parsed.value == row.level);
    }
  }

  TEST_CASE("cache_memlimit") {
    const struct {
      const char* arguments;
      std::uint32_t megabytes;
      std::string_view reply;
    } rows[] = {
        {"8", 8, ""},
        {"64 x", 64, ""},
        {"1000000000", 1000000000, ""},
        {"1000000001", 0, reply::kMemlimitNotBytes},
        {"4294967295", 0, reply::kMemlimitNotBytes},
        {"4294967296", 0, reply::kError},
        {"7", 0, reply::kMemlimitTooSmall},
        {"0", 0, reply::kMemlimitTooSmall},
        {"", 0, reply::kError},
        {"-8", 0, reply::kError},
        {"8m", 0, reply::kError},
    };
    for (const auto& row : rows) {
      CAPTURE(row.arguments);
      const auto parsed = parse_cache_memlimit(row.arguments);
      CHECK(parsed.reply == row.reply);
      CHECK(parsed.value == row.megabytes);
    }
  }

  TEST_CASE("shutdown") {
    CHECK(parse_shutdown("").value == ShutdownMode::kImmediate);
    CHECK(parse_shutdown("").is_ok());
    CHECK(parse_shutdown("graceful").value == ShutdownMode::kGraceful);
    CHECK(parse_shutdown("graceful").is_ok());
    CHECK(parse_shutdown("now").reply == reply::kShutdownBadMode);
    CHECK(parse_shutdown("noreply").reply == reply::kShutdownBadMode);
  }
}

}  // namespace ringcached::protocol
