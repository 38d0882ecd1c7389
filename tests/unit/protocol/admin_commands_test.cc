// The arguments of slabs, lru, lru_crawler, extstore, stats cachedump and stats detail. Every line was
// compared with memcached 1.6.45 (tests/integration/transcripts/admin_*.txt plays them against both).
#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "protocol/admin.h"
#include "protocol/admin_lru.h"
#include "protocol/admin_slabs.h"
#include "protocol/limits.h"
#include "protocol/number.h"
#include "protocol/reply.h"
#include "protocol/uri.h"

namespace ringcached::protocol {
namespace {

struct Refused {
  const char* arguments;
  std::string_view reply;
};

std::string uri(std::string_view text) {
  std::string out(3 * text.size(), '\0');
  out.resize(static_cast<std::size_t>(write_uri_encoded(out.data(), text) - out.data()));
  return out;
}

}  // namespace

TEST_SUITE("protocol admin commands") {
  TEST_CASE("real numbers") {
    CHECK(parse_real("0.5") == 0.5);
    CHECK(parse_real("-1") == -1.0);
    CHECK(parse_real("+2") == 2.0);
    CHECK(parse_real("1e3") == 1000.0);
    for (const char* wrong : {"", "x", "+", "+-1", "1x", "nan", "inf", "-inf", "1e999"}) {
      CAPTURE(wrong);
      CHECK_FALSE(parse_real(wrong).has_value());
    }
  }

  TEST_CASE("what slabs refuses") {
    const Refused rows[] = {
        {"", reply::kError},
        {"x", reply::kError},
        {"reassign", reply::kError},
        {"reassign 1", reply::kError},
        {"reassign 1 2 3", reply::kError},
        {"reassign x 1", reply::kBadFormat},
        {"reassign 1 x", reply::kBadFormat},
        {"reassign 1.5 1", reply::kBadFormat},
        {"reassign 99999999999 1", reply::kBadFormat},
        {"r 1 2", reply::kError},
        {"automove", reply::kError},
        {"automove 3", reply::kError},
        {"automove -1", reply::kBadFormat},
        {"automove x", reply::kBadFormat},
        {"automove x y", reply::kBadFormat},
        {"automove ratio", reply::kError},
        {"automove ratio x", reply::kError},
        {"automove freeratio", reply::kError},
        {"automove freeratio x", reply::kError},
        {"automove window", reply::kBadFormat},
        {"automove window x", reply::kBadFormat},
        {"automove window 2", reply::kAutomoveWindow},
        {"automove window 1801", reply::kAutomoveWindow},
    };
    for (const Refused& row : rows) {
      CAPTURE(row.arguments);
      CHECK(parse_slabs(row.arguments, true).reply == row.reply);
    }
    CHECK(parse_slabs("reassign x 1", false).reply == reply::kReassignDisabled);
    CHECK(parse_slabs("reassign 1", false).reply == reply::kError);
    CHECK(parse_slabs("automove 1", false).is_ok());
  }

  TEST_CASE("what slabs takes") {
    using Action = SlabsCommand::Action;
    const auto reassign = parse_slabs("reassign -1 7", true);
    REQUIRE(reassign.is_ok());
    CHECK(reassign.value.action == Action::kReassign);
    CHECK(reassign.value.from == -1);
    CHECK(reassign.value.to == 7);
    CHECK(parse_slabs("automove 2 more", true).value.number == 2);
    CHECK(parse_slabs("automove ratio -1 more", true).value.real == -1.0);
    CHECK(parse_slabs("automove window 3", true).value.number == 3);
    CHECK(parse_slabs("automove window 1800", true).value.action == Action::kWindow);
    CHECK(parse_slabs("automove freeratio 0.01", true).value.action == Action::kFreeRatio);
  }

  TEST_CASE("lru") {
    const Refused rows[] = {
        {"", reply::kError},
        {"x", reply::kError},
        {"t 10 20 0.1 2", reply::kError},
        {"tune", reply::kError},
        {"tune 10", reply::kError},
        {"tune 10 20", reply::kError},
        {"tune 10 20 0.1", reply::kError},
        {"tune x 20 0.1 2", reply::kError},
        {"tune -1 20 0.1 2", reply::kError},
        {"tune 10 20 x 2", reply::kError},
        {"tune 41 40 0.1 2", reply::kLruPercents},
        {"tune 4294967295 4294967295 0.1 2", reply::kLruPercents},
        {"tune 10 20 0 2", reply::kLruFactors},
        {"tune 10 20 0.1 -2", reply::kLruFactors},
        {"mode", reply::kError},
        {"mode x", reply::kError},
        {"temp_ttl", reply::kError},
        {"temp_ttl x", reply::kError},
        {"temp_ttl 99999999999", reply::kError},
        {"tune 40 40 0.1 2 more", ""},
        {"tune 0 0 0.1 2", ""},
        {"mode flat more", ""},
        {"temp_ttl -5 more", ""},
    };
    for (const Refused& row : rows) {
      CAPTURE(row.arguments);
      CHECK(parse_lru(row.arguments).reply == row.reply);
    }
    const LruCommand tuned = parse_lru("tune 10 20 0.5 2").value;
    CHECK(tuned.action == LruCommand::Action::kTune);
    CHECK(tuned.hot_percent == 10);
    CHECK(tuned.warm_percent == 20);
    CHECK(tuned.hot_factor == 0.5);
    CHECK(tuned.warm_factor == 2.0);
    CHECK_FALSE(parse_lru("mode flat").value.segmented);
    CHECK(parse_lru("mode segmented").value.segmented);
    CHECK(parse_lru("temp_ttl -5").value.temp_ttl == -5);
  }

  TEST_CASE("lru_crawler") {
    const Refused rows[] = {
        {"", reply::kError},
        {"x", reply::kError},
        {"enable x", reply::kError},
        {"disable x", reply::kError},
        {"sleep", reply::kError},
        {"sleep 1 2", reply::kError},
        {"sleep x", reply::kBadFormat},
        {"sleep -1", reply::kBadFormat},
        {"sleep 1000001", reply::kCrawlerSleep},
        {"tocrawl", reply::kError},
        {"tocrawl 1 2", reply::kError},
        {"tocrawl x", reply::kBadFormat},
        {"tocrawl 99999999999", reply::kBadFormat},
        {"crawl", reply::kError},
        {"crawl 1 x", reply::kError},
        {"metadump", reply::kError},
        {"metadump all x", reply::kError},
        {"mgdump", reply::kError},
        {"mgdump all x", reply::kError},
        {"enable", ""},
        {"disable", ""},
        {"sleep 1000000", ""},
        {"tocrawl 4294967295", ""},
        {"crawl anything", ""},
    };
    for (const Refused& row : rows) {
      CAPTURE(row.arguments);
      CHECK(parse_lru_crawler(row.arguments).reply == row.reply);
    }
    CHECK(parse_lru_crawler("mgdump  1,2 ").value.classes == "1,2");
    CHECK(parse_lru_crawler("sleep 100").value.number == 100);
  }

  TEST_CASE("class lists") {
    constexpr unsigned kClassMax = 63;
    const Refused rows[] = {
        {"x", reply::kCrawlerBadClass},
        {"0", reply::kCrawlerBadClass},
        {"64", reply::kCrawlerBadClass},
        {"-1", reply::kCrawlerBadClass},
        {"1,x", reply::kCrawlerBadClass},
        {"1,64", reply::kCrawlerBadClass},
        {"1,all", reply::kCrawlerBadClass},
        {"all,1", reply::kCrawlerBadClass},
        {"al", reply::kCrawlerBadClass},
        {"99999999999", reply::kCrawlerBadClass},
        {",", reply::kCrawlerNotStarted},
        {",,", reply::kCrawlerNotStarted},
        {"1,", ""},
        {",1", ""},
        {"01", ""},
        {"+1", ""},
        {"63", ""},
        {"all", ""},
        {"hash", ""},
    };
    for (const Refused& row : rows) {
      CAPTURE(row.arguments);
      CHECK(parse_class_list(row.arguments, kClassMax).reply == row.reply);
    }
    const ClassList some = parse_class_list("3,1,3", kClassMax).value;
    CHECK_FALSE(some.everything);
    CHECK(some.ids.count() == 2);
    CHECK(some.ids[1]);
    CHECK(some.ids[3]);
    CHECK(parse_class_list("all", kClassMax).value.everything);
    CHECK_FALSE(parse_class_list("all", kClassMax).value.by_hash);
    CHECK(parse_class_list("hash", kClassMax).value.by_hash);
  }

  TEST_CASE("extstore") {
    const Refused rows[] = {
        {"", reply::kError},
        {"x", reply::kError},
        {"x 1", reply::kError},
        {"item_size", reply::kError},
        {"item_size x", reply::kError},
        {"max_frag x", reply::kError},
        {"free_memchunks 1", reply::kError},
        {"free_memchunks 1 2", reply::kOk},
        {"item_size 1 2", reply::kOk},
        {"item_age 1", reply::kOk},
        {"low_ttl 1", reply::kOk},
        {"recache_rate 1", reply::kOk},
        {"compact_under 1", reply::kOk},
        {"drop_under 1", reply::kOk},
        {"max_sleep 1", reply::kOk},
        {"max_frag 0.5", reply::kOk},
        {"drop_unread 1", reply::kOk},
    };
    for (const Refused& row : rows) {
      CAPTURE(row.arguments);
      CHECK(check_extstore(row.arguments) == row.reply);
    }
  }

  TEST_CASE("stats cachedump and stats detail") {
    const Refused rows[] = {
        {"", reply::kCachedumpTooFew},
        {"1", reply::kCachedumpTooFew},
        {"x 1", reply::kBadFormat},
        {"1 x", reply::kBadFormat},
        {"1 -1", reply::kBadFormat},
        {"64 1", reply::kCachedumpIllegalClass},
        {"63 0", ""},
        {"0 1 more words", ""},
    };
    for (const Refused& row : rows) {
      CAPTURE(row.arguments);
      CHECK(parse_cachedump(row.arguments, 63).reply == row.reply);
    }
    CHECK(parse_cachedump("7 9", 63).value.slab_class == 7);
    CHECK(parse_cachedump("7 9", 63).value.items_max == 9);
    CHECK(parse_stats_detail("").reply == reply::kStatsDetailUsage);
    CHECK(parse_stats_detail("d").reply == reply::kStatsDetailUsage);
    CHECK(parse_stats_detail("on x").value == DetailAction::kOn);
    CHECK(parse_stats_detail("off").value == DetailAction::kOff);
    CHECK(parse_stats_detail("dump").value == DetailAction::kDump);
  }

  TEST_CASE("keys in dumps") {
    CHECK(uri("") == "");
    CHECK(uri("AZaz09-._~") == "AZaz09-._~");
    CHECK(uri("a b%/:") == "a%20b%25%2F%3A");
    CHECK(uri(std::string_view("\0\n\x7f\xff", 4)) == "%00%0A%7F%FF");
    CHECK(uri(std::string(kKeyBytesMax, '\xab')).size() == kUriBytesPerByteMax * kKeyBytesMax);
  }
}

}  // namespace ringcached::protocol
