// The administration commands in conversation: every word with every number of arguments, what settings do
// and show, prefix statistics, crawls.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "server/upkeep.h"
#include "support/session_harness.h"

using ringcached::testing::SessionHarness;
using namespace ringcached;

namespace {

bool shows(SessionHarness& harness, const std::string& command, const std::string& line) {
  return harness.feed(command + "\r\n").find(line + "\r\n") != std::string::npos;
}

// Ticks and turns until no work is left.
void run_upkeep(SessionHarness& harness, server::Upkeep& upkeep) {
  for (int tick = 0; tick < 4; ++tick) {
    upkeep.on_tick();
    for (int turn = 0; turn < 10000 && upkeep.on_turn(harness.worker()); ++turn) {
    }
  }
}

void store_mortals(SessionHarness& harness, unsigned items) {
  for (unsigned i = 0; i < items; ++i) {
    harness.feed("set m" + std::to_string(i) + " 0 5 1 noreply\r\nx\r\n");
  }
}

void pass_time(SessionHarness& harness, unsigned seconds) {
  harness.clock().advance_seconds(seconds);
  harness.cache_clock().tick();
}

}  // namespace

TEST_SUITE("admin commands") {
  // A word that is missing must not be looked at (CVE-2019-11596 was such a crash), and one too many must not
  // matter more than the specification says.
  TEST_CASE("every word with every number of arguments") {
    const std::vector<std::string> heads = {
        "stats",
        "stats detail",
        "stats cachedump",
        "stats sizes",
        "stats items",
        "stats slabs",
        "stats numa",
        "stats settings",
        "stats conns",
        "stats extstore",
        "stats reset",
        "slabs",
        "slabs reassign",
        "slabs automove",
        "slabs automove ratio",
        "slabs automove window",
        "slabs automove freeratio",
        "lru",
        "lru mode",
        "lru tune",
        "lru temp_ttl",
        "lru_crawler",
        "lru_crawler enable",
        "lru_crawler disable",
        "lru_crawler sleep",
        "lru_crawler tocrawl",
        "lru_crawler crawl",
        "lru_crawler metadump",
        "lru_crawler mgdump",
        "extstore",
        "extstore item_size",
        "extstore max_frag",
        "extstore free_memchunks",
        "verbosity",
        "cache_memlimit",
        "flush_all",
        "shutdown",
        "version",
        "refresh_certs",
    };
    for (const std::string& head : heads) {
      for (const std::string argument : {"1", "-1", "x", "all", "99999999999999999999", ","}) {
        for (unsigned count = 0; count <= 6; ++count) {
          for (const std::string end : {"", " ", " noreply"}) {
            SessionHarness harness;
            std::string line = head;
            for (unsigned i = 0; i < count; ++i) line += " " + argument;
            line += end;
            CAPTURE(line);
            const std::string answer = harness.feed(line + "\r\n");
            if (end != " noreply") CHECK(answer.ends_with("\r\n"));
            REQUIRE_FALSE(harness.closed());
            CHECK(harness.feed("get nothing\r\n") == "END\r\n");
          }
        }
      }
    }
  }

  TEST_CASE("what settings commands set is shown") {
    SessionHarness harness;
    const struct {
      const char* command;
      std::vector<std::string> settings;
    } rows[] = {
        {"slabs automove 0", {"slab_automove 0"}},
        {"slabs automove 2", {"slab_automove 2"}},
        {"slabs automove ratio 0.5", {"slab_automove_ratio 0.50"}},
        {"slabs automove window 30", {"slab_automove_window 30"}},
        {"slabs automove freeratio 0.5", {}},
        {"lru tune 10 25 0.1 2.5",
         {"hot_lru_pct 10", "warm_lru_pct 25", "hot_max_factor 0.10", "warm_max_factor 2.50"}},
        {"lru mode flat", {"lru_segmented no"}},
        {"lru mode segmented", {"lru_segmented yes"}},
        {"lru temp_ttl 30", {"temp_lru yes", "temporary_ttl 30"}},
        {"lru temp_ttl -1", {"temp_lru no"}},
        {"lru_crawler sleep 200", {"lru_crawler_sleep 200"}},
        {"lru_crawler tocrawl 300", {"lru_crawler_tocrawl 300"}},
        {"lru_crawler disable", {"lru_crawler no"}},
        {"lru_crawler enable", {"lru_crawler yes"}},
        {"stats detail on", {"detail_enabled yes"}},
        {"stats detail off", {"detail_enabled no"}},
        {"extstore item_size 100", {}},
    };
    for (const auto& row : rows) {
      CAPTURE(row.command);
      CHECK(harness.feed(std::string(row.command) + "\r\n") == "OK\r\n");
      for (const std::string& setting : row.settings) {
        CAPTURE(setting);
        CHECK(shows(harness, "stats settings", "STAT " + setting));
      }
    }
    CHECK(harness.feed("lru_crawler enable\r\n") == "ERROR failed to start lru crawler thread\r\n");
    CHECK(harness.feed("lru_crawler disable\r\nlru_crawler disable\r\n") == "OK\r\nOK\r\n");
    CHECK(harness.feed("lru_crawler crawl all\r\n") == "CLIENT_ERROR lru crawler disabled\r\n");
    CHECK_FALSE(shows(harness, "stats", "STAT lru_crawler_running 0"));
  }

  TEST_CASE("noreply") {
    SessionHarness harness;
    CHECK(harness
              .feed("slabs automove 0 noreply\r\nlru mode flat noreply\r\nlru_crawler sleep x noreply\r\n"
                    "extstore x noreply\r\nslabs reassign 1 1 noreply\r\nlru_crawler crawl all noreply\r\n"
                    "lru_crawler metadump all noreply\r\nlru_crawler mgdump all noreply\r\n")
              .empty());
    CHECK(shows(harness, "stats settings", "STAT slab_automove 0"));
  }

  TEST_CASE("slabs reassign moves a page") {
    SessionHarness harness;
    const std::string value(4000, 'x');
    for (unsigned i = 0; i < 200; ++i) {
      harness.feed("set l" + std::to_string(i) + " 0 0 4000 noreply\r\n" + value + "\r\n");
    }
    unsigned large = 0;
    for (unsigned i = 1; i <= harness.store().class_count(); ++i) {
      if (harness.store().class_stats(i).items > 0) large = i;
    }
    const std::uint64_t before = harness.store().class_stats(large).pages;
    REQUIRE(before > 1);
    const std::string from = "slabs reassign " + std::to_string(large);
    CHECK(harness.feed(from + " 1\r\n") == "OK\r\n");
    CHECK(harness.store().class_stats(large).pages == before - 1);
    CHECK(harness.store().class_stats(1).pages == 1);
    CHECK(shows(harness, "stats", "STAT slabs_moved 1"));
    CHECK(harness.feed("slabs reassign 1 2\r\n") == "NOSPARE source class has no spare pages\r\n");
    CHECK(harness.feed(from + " " + std::to_string(large) + "\r\n") ==
          "SAME src and dst class are identical\r\n");
    CHECK(harness.feed(from + " 200\r\n") == "BADCLASS invalid src or dst class id\r\n");
    config::Config config;
    config.store.slab_reassign = false;
    SessionHarness fixed({}, config);
    CHECK(fixed.feed("slabs reassign x 1\r\n") == "CLIENT_ERROR slab reassignment disabled\r\n");
  }

  TEST_CASE("prefix statistics: what counts") {
    SessionHarness harness;
    CHECK(harness.feed("get off:1\r\nstats detail on\r\nstats detail dump\r\n") == "END\r\nOK\r\nEND\r\n");
    harness.feed(
        "set foo:1 0 0 1\r\nx\r\nget foo:1 foo:2 bar :x\r\nadd foo:1 0 0 1\r\ny\r\n"
        "delete foo:9\r\ndelete foo:1\r\nset :x 0 0 1\r\nx\r\nget a:b:c\r\nincr i:1 1\r\ntouch t:1 0\r\n"
        "gat 0 g:1 foo:1\r\nset bad:1 0 0 1\r\nxyz\r\nset line:1 x 0 1\r\nx\r\nset quiet:1 0 0 1 noreply\r\n"
        "x\r\ngats 0 quiet:1\r\nset plain 0 0 1\r\nx\r\n");
    const std::string expected =
        "PREFIX  get 1 hit 0 set 1 del 0\r\nPREFIX a get 1 hit 0 set 0 del 0\r\n"
        "PREFIX bad get 0 hit 0 set 1 del 0\r\nPREFIX foo get 3 hit 1 set 2 del 2\r\n"
        "PREFIX g get 1 hit 0 set 0 del 0\r\nPREFIX quiet get 1 hit 1 set 1 del 0\r\nEND\r\n";
    CHECK(harness.feed("stats detail dump\r\n") == expected);
    CHECK(harness.feed("stats detail off\r\nget foo:1\r\nstats detail dump\r\n") ==
          "OK\r\nEND\r\n" + expected);
    CHECK(harness.feed("stats reset\r\nstats detail dump\r\n") == "RESET\r\nEND\r\n");
  }

  TEST_CASE("prefix statistics: a value in pieces, another delimiter, and the most prefixes there are") {
    config::Config config;
    config.stats.prefix_delimiter = "/";
    config.stats.detail_enabled = true;
    SessionHarness harness({}, config);
    CHECK(harness.feed("set a/1 0 0 3\r\nxyz\r\nget b:1\r\n", 1) == "STORED\r\nEND\r\n");
    CHECK(harness.feed("stats detail dump\r\n") == "PREFIX a get 0 hit 0 set 1 del 0\r\nEND\r\n");

    server::PrefixStats stats(':', true);
    server::PrefixTable& one = stats.attach();
    server::PrefixTable& other = stats.attach();
    for (unsigned i = 0; i < server::PrefixTable::kPrefixesMax + 10; ++i) {
      one.count_set("p" + std::to_string(i) + ":1");
    }
    other.count_get("p0:1", true);
    const std::string dump = stats.dump();
    CHECK(std::ranges::count(dump, '\n') == server::PrefixTable::kPrefixesMax + 1);
    CHECK(dump.starts_with("PREFIX p0 get 1 hit 1 set 1 del 0\r\n"));
    stats.reset();
    CHECK(stats.dump() == "END\r\n");
  }

  TEST_CASE("prefix statistics: binary requests count, meta commands do not") {
    SessionHarness harness;
    harness.feed("stats detail on\r\nmg m:1 v\r\nms m:1 1\r\nx\r\nmd m:1\r\nms m:2 1\r\nx\r\n");
    CHECK(harness.feed("stats detail dump\r\n") == "END\r\n");
    const auto packet = [](unsigned char opcode, const std::string& extras, const std::string& key,
                           const std::string& value) {
      std::string bytes(24, '\0');
      bytes[0] = '\x80';
      bytes[1] = static_cast<char>(opcode);
      bytes[3] = static_cast<char>(key.size());
      bytes[4] = static_cast<char>(extras.size());
      bytes[11] = static_cast<char>(extras.size() + key.size() + value.size());
      return bytes + extras + key + value;
    };
    harness.reconnect();
    harness.feed(packet(0x01, std::string(8, '\0'), "b:1", "x") + packet(0x00, "", "b:1", "") +
                 packet(0x00, "", "b:2", "") + packet(0x04, "", "b:1", ""));
    // In pieces as well.
    harness.feed(packet(0x01, std::string(8, '\0'), "b:3", "x"), 1);
    const std::string expected = "PREFIX b get 2 hit 1 set 2 del 1\r\nEND\r\n";
    CHECK(harness.feed(packet(0x10, "", "detail dump", "")).find(expected) != std::string::npos);
    harness.feed(packet(0x10, "", "detail off", ""));
    harness.reconnect();
    CHECK(harness.feed("get b:1\r\nstats detail dump\r\n") == "END\r\n" + expected);
  }

  TEST_CASE("a crawl is shared by the workers, and busy until all are through") {
    SessionHarness harness;
    server::Upkeep upkeep;
    harness.feed("set a 0 0 1\r\nx\r\nset b 0 0 1\r\nx\r\n");
    run_upkeep(harness, upkeep);
    CHECK(shows(harness, "stats", "STAT crawler_items_checked 0"));
    CHECK(shows(harness, "stats", "STAT lru_crawler_starts 0"));
    CHECK(harness.feed("lru_crawler crawl all\r\n") == "OK\r\n");
    CHECK(shows(harness, "stats", "STAT lru_crawler_running 1"));
    CHECK(harness.feed("lru_crawler crawl 1\r\n") == "BUSY currently processing crawler request\r\n");
    CHECK(harness.feed("lru_crawler metadump all\r\n") == "BUSY currently processing crawler request\r\n");
    run_upkeep(harness, upkeep);
    CHECK(shows(harness, "stats", "STAT lru_crawler_running 0"));
    CHECK(shows(harness, "stats", "STAT lru_crawler_starts 1"));
    CHECK(shows(harness, "stats", "STAT crawler_items_checked 2"));
    CHECK(harness.feed("lru_crawler crawl 2\r\n") == "OK\r\n");
    run_upkeep(harness, upkeep);
    CHECK(shows(harness, "stats", "STAT crawler_items_checked 2"));
    CHECK(harness.feed("lru_crawler crawl hash\r\n") == "ERROR an unknown error happened\r\n");
    harness.feed("stats reset\r\n");
    CHECK(shows(harness, "stats", "STAT lru_crawler_starts 0"));
  }

  TEST_CASE("a crawl under way is finished after the crawler was disabled") {
    SessionHarness harness;
    server::Upkeep upkeep;
    harness.feed("set a 0 0 1\r\nx\r\nlru_crawler crawl all\r\nlru_crawler disable\r\n");
    run_upkeep(harness, upkeep);
    CHECK_FALSE(harness.server().crawler.running());
  }

  // It once stopped all background work of the workers.
  TEST_CASE("without the crawler expired items stay, and pages above a lowered limit go") {
    config::Config config;
    config.store.lru_crawler = false;
    SessionHarness harness({}, config);
    server::Upkeep upkeep;
    store_mortals(harness, 100);
    pass_time(harness, 10);
    run_upkeep(harness, upkeep);
    CHECK(harness.store().stats().items == 100);
    const std::string value(100000, 'x');
    for (unsigned i = 0; i < 300; ++i) {
      harness.feed("set l" + std::to_string(i) + " 0 0 100000 noreply\r\n" + value + "\r\n");
    }
    REQUIRE(harness.store().stats().page_bytes_used > (std::size_t{8} << 20));
    CHECK(harness.feed("cache_memlimit 8\r\n") == "OK\r\n");
    run_upkeep(harness, upkeep);
    CHECK(harness.store().stats().page_bytes_used <= (std::size_t{8} << 20));
    CHECK(harness.feed("lru_crawler enable\r\n") == "OK\r\n");
    run_upkeep(harness, upkeep);
    CHECK(shows(harness, "stats settings", "STAT lru_crawler yes"));
    CHECK(harness.feed("get m1\r\n") == "END\r\n");
  }

  TEST_CASE("with the crawler expired items go by themselves, and count for their class") {
    SessionHarness harness;
    server::Upkeep upkeep;
    harness.feed("set a 0 0 1 noreply\r\nx\r\n");
    store_mortals(harness, 100);
    harness.feed("get m1\r\n");
    pass_time(harness, 10);
    run_upkeep(harness, upkeep);
    CHECK(harness.store().stats().items == 1);
    CHECK(shows(harness, "stats items", "STAT items:1:crawler_reclaimed 100"));
    CHECK(shows(harness, "stats items", "STAT items:1:expired_unfetched 99"));
    CHECK(shows(harness, "stats items", "STAT items:1:crawler_items_checked 101"));
    CHECK(shows(harness, "stats items", "STAT items:1:number 1"));
    CHECK(shows(harness, "stats items", "STAT items:1:number_hot 1"));
    CHECK(shows(harness, "stats items", "STAT items:1:number_warm 0"));
    CHECK(shows(harness, "stats items", "STAT items:1:age 10"));
  }

  TEST_CASE("reset zeroes the figures of the classes") {
    SessionHarness harness;
    server::Upkeep upkeep;
    store_mortals(harness, 10);
    harness.feed("set a 0 0 1 noreply\r\nx\r\nget a\r\n");
    pass_time(harness, 10);
    run_upkeep(harness, upkeep);
    CHECK(shows(harness, "stats slabs", "STAT 1:get_hits 1"));
    harness.feed("stats reset\r\n");
    CHECK(shows(harness, "stats items", "STAT items:1:crawler_reclaimed 0"));
    CHECK(shows(harness, "stats items", "STAT items:1:expired_unfetched 0"));
    CHECK(shows(harness, "stats items", "STAT items:1:number 1"));
    CHECK(shows(harness, "stats slabs", "STAT 1:get_hits 0"));
    CHECK(shows(harness, "stats slabs", "STAT 1:cmd_set 0"));
    harness.feed("get a\r\n");
    CHECK(shows(harness, "stats slabs", "STAT 1:get_hits 1"));
  }
}
