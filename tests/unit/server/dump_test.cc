// Answers made in pieces: lru_crawler metadump and mgdump, stats cachedump, stats sizes.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "server/item_dump.h"
#include "support/binary_packet.h"
#include "support/session_harness.h"

using ringcached::testing::encode;
using ringcached::testing::render_answers;
using ringcached::testing::SessionHarness;
using namespace ringcached;

namespace {

store::Options seeded() {
  store::Options options;
  options.hash_seed = 0x5eed;
  return options;
}

void set(SessionHarness& harness, const std::string& key, const std::string& value, unsigned flags = 0,
         int exptime = 0) {
  const std::string answer =
      harness.feed("set " + key + " " + std::to_string(flags) + " " + std::to_string(exptime) + " " +
                   std::to_string(value.size()) + "\r\n" + value + "\r\n");
  REQUIRE(answer == "STORED\r\n");
}

void set_binary_key(SessionHarness& harness, std::string_view key, std::string_view value) {
  store::StoreRequest request;
  request.key = harness.store().key(key);
  request.binary_key = true;
  REQUIRE(harness.store().put(harness.worker().thread, request, value, harness.worker().now()) ==
          store::StoreResult::kStored);
}

// The lines between the first and the last, sorted: the order is that of the index.
std::vector<std::string> body(const std::string& answer, const std::string& first, const std::string& last) {
  REQUIRE(answer.starts_with(first));
  REQUIRE(answer.ends_with(last));
  std::istringstream lines(answer.substr(first.size(), answer.size() - first.size() - last.size()));
  std::vector<std::string> sorted;
  for (std::string line; std::getline(lines, line);) sorted.push_back(line + "\n");
  std::ranges::sort(sorted);
  return sorted;
}

std::vector<std::string> metadump(SessionHarness& harness, const std::string& which = "all") {
  return body(harness.feed("lru_crawler metadump " + which + "\r\n"), "OK\r\n", "END\r\n");
}

unsigned class_of(SessionHarness& harness, const std::string& key) {
  for (const std::string& line : metadump(harness)) {
    if (!line.starts_with("key=" + key + " ")) continue;
    const std::size_t at = line.find("cls=") + 4;
    return static_cast<unsigned>(std::stoul(line.substr(at)));
  }
  FAIL("no such key: ", key);
  return 0;
}

}  // namespace

TEST_SUITE("dumps") {
  TEST_CASE("metadump: every item with its facts") {
    SessionHarness harness(seeded());
    set(harness, "plain", "12345");
    set(harness, "flags", "12345", 7);
    set(harness, "mortal", "12345", 0, 100);
    set(harness, "k%/:", "x");
    set(harness, "dead", "x", 0, -1);
    set_binary_key(harness, "two words", "x");
    harness.feed("get plain\r\n");
    const std::string now = std::to_string(harness.cache_clock().wall_base() + harness.cache_clock().now());
    const std::string later =
        std::to_string(harness.cache_clock().wall_base() + harness.cache_clock().now() + 100);
    std::vector<std::string> lines = metadump(harness);
    REQUIRE(lines.size() == 5);
    // The ids grow, but are not the point here.
    for (std::string& line : lines) {
      const std::size_t cas = line.find(" cas=");
      line.erase(cas, line.find(' ', cas + 1) - cas);
    }
    CHECK(lines[0] == "key=flags exp=-1 la=" + now + " fetch=no cls=2 size=73 flags=7 \n");
    CHECK(lines[1] == "key=k%25%2F%3A exp=-1 la=" + now + " fetch=no cls=1 size=64 flags=0 \n");
    CHECK(lines[2] == "key=mortal exp=" + later + " la=" + now + " fetch=no cls=1 size=70 flags=0 \n");
    CHECK(lines[3] == "key=plain exp=-1 la=" + now + " fetch=yes cls=1 size=69 flags=0 \n");
    CHECK(lines[4] == "key=two%20words exp=-1 la=" + now + " fetch=no cls=1 size=69 flags=0 \n");
  }

  TEST_CASE("mgdump: keys as commands, binary ones in base64") {
    SessionHarness harness(seeded());
    set(harness, "plain", "1");
    set(harness, "k%y", "1");
    set_binary_key(harness, "two words", "x");
    const auto lines = body(harness.feed("lru_crawler mgdump hash\r\n"), "OK\r\n", "EN\r\n");
    CHECK(lines == std::vector<std::string>{"mg dHdvIHdvcmRz b\r\n", "mg k%y\r\n", "mg plain\r\n"});
  }

  TEST_CASE("flushed and expired items are not shown") {
    SessionHarness harness(seeded());
    set(harness, "a", "1");
    set(harness, "b", "1", 0, 5);
    harness.clock().advance_seconds(10);
    harness.cache_clock().tick();
    CHECK(metadump(harness).size() == 1);
    harness.feed("flush_all\r\n");
    CHECK(metadump(harness).empty());
  }

  TEST_CASE("some classes only") {
    SessionHarness harness(seeded());
    set(harness, "small", "1");
    set(harness, "large", std::string(3000, 'x'));
    const unsigned small = class_of(harness, "small"), large = class_of(harness, "large");
    REQUIRE(small != large);
    CHECK(metadump(harness, std::to_string(small)).size() == 1);
    CHECK(metadump(harness, std::to_string(large)).size() == 1);
    CHECK(metadump(harness, std::to_string(large) + "," + std::to_string(small)).size() == 2);
    CHECK(metadump(harness, std::to_string(large + 1)).empty());
  }

  TEST_CASE("the conversation goes on behind a dump, however the bytes come") {
    const std::string sent = "lru_crawler metadump 63\r\nget a\r\nstats cachedump 62 0\r\nversion\r\n";
    for (std::size_t piece = 1; piece <= sent.size(); ++piece) {
      CAPTURE(piece);
      SessionHarness harness(seeded());
      set(harness, "a", "1");
      CHECK(harness.feed(sent, piece) ==
            "OK\r\nEND\r\nVALUE a 0 1\r\n1\r\nEND\r\nEND\r\nVERSION 1.6.45-ringcached-0.1.0\r\n");
    }
  }

  TEST_CASE("many items: in pieces, complete, each once") {
    SessionHarness harness(seeded());
    constexpr unsigned kItems = 20000;
    for (unsigned i = 0; i < kItems; ++i) {
      harness.feed("set key" + std::to_string(i) + " 0 0 1 noreply\r\nx\r\n");
    }
    harness.connection().unsent_most = 0;
    const std::vector<std::string> lines = metadump(harness);
    std::set<std::string> keys;
    for (const std::string& line : lines) keys.insert(line.substr(0, line.find(' ')));
    CHECK(lines.size() == kItems);
    CHECK(keys.size() == kItems);
    CHECK(harness.connection().unsent_most < 256 * 1024);
  }

  TEST_CASE("replies not yet sent refuse a dump") {
    SessionHarness harness(seeded());
    CHECK(harness.feed("get a\r\nlru_crawler metadump all\r\n") ==
          "END\r\nERROR cannot pipeline other commands before metadump\r\n");
    CHECK(harness.feed("get a\r\nlru_crawler mgdump all\r\n") ==
          "END\r\nERROR cannot pipeline other commands before mgdump\r\n");
    CHECK(harness.feed("get a\r\nlru_crawler crawl 0\r\n") == "END\r\nBADCLASS invalid class id\r\n");
    CHECK(harness.feed("set a 0 0 1 noreply\r\n1\r\nlru_crawler mgdump all\r\n") == "OK\r\nmg a\r\nEN\r\n");
    CHECK(harness.feed("get b\r\nstats cachedump 1 0\r\n") == "END\r\nITEM a [1 b; 0 s]\r\nEND\r\n");
  }

  TEST_CASE("one dump at a time; a connection that is gone gives the right back") {
    SessionHarness harness(seeded());
    const std::string_view busy = "BUSY currently processing crawler request\r\n";
    {
      const server::CrawlLease lease = harness.server().crawler.begin(harness.worker().now());
      REQUIRE(lease);
      CHECK(harness.feed("lru_crawler metadump all\r\n") == busy);
      CHECK(harness.feed("lru_crawler mgdump all\r\n") == busy);
      CHECK(harness.feed("lru_crawler crawl all\r\n") == busy);
    }
    CHECK(harness.feed("lru_crawler metadump all\r\n") == "OK\r\nEND\r\n");
    CHECK_FALSE(harness.server().crawler.running());
    {
      server::DumpSession session(
          harness.worker(), server::make_key_dump(harness.worker(), server::KeyDumpFormat::kMetadump, {},
                                                  harness.server().crawler.begin(harness.worker().now())));
      CHECK(harness.server().crawler.running());
    }
    CHECK_FALSE(harness.server().crawler.running());
    CHECK(harness.server().crawler.starts() == 3);
  }

  TEST_CASE("a dump that nobody reads loses its turn after a while, and says so to who reads on") {
    SessionHarness harness(seeded());
    for (unsigned i = 0; i < 20000; ++i) {
      harness.feed("set key" + std::to_string(i) + " 0 0 1 noreply\r\nx\r\n");
    }
    const auto wait = [&harness](unsigned seconds) {
      harness.clock().advance_seconds(seconds);
      harness.cache_clock().tick();
    };
    server::Crawler& crawler = harness.server().crawler;
    server::DumpSession unread(
        harness.worker(),
        server::make_key_dump(harness.worker(), server::KeyDumpFormat::kMetadump, store::SlabClassSet{}.set(),
                              crawler.begin(harness.worker().now())));
    CHECK(unread.on_begin(harness.connection()) == Next::kProduce);
    wait(server::kCrawlPatienceSeconds - 1);
    harness.connection().take_output();
    CHECK(harness.feed("lru_crawler metadump all\r\n") == "BUSY currently processing crawler request\r\n");
    // Progress gives it the time anew.
    CHECK(unread.on_produce(harness.connection()) == Next::kProduce);
    wait(server::kCrawlPatienceSeconds - 1);
    CHECK_FALSE(crawler.begin(harness.worker().now()));
    wait(1);
    harness.connection().take_output();
    CHECK(metadump(harness).size() == 20000);
    CHECK_FALSE(crawler.running());
    CHECK(unread.on_produce(harness.connection()) == Next::kHandOver);
    CHECK(harness.connection().take_output() == "ERROR locked try again later\r\n");
  }

  TEST_CASE("a late dump that was overtaken gives nothing back; a pass is never late") {
    SessionHarness harness(seeded());
    server::Crawler& crawler = harness.server().crawler;
    const CacheTime late = 100 + server::kCrawlPatienceSeconds;
    server::CrawlLease slow = crawler.begin(100);
    REQUIRE(slow);
    {
      server::CrawlLease next = crawler.begin(late);
      REQUIRE(next);
      CHECK_FALSE(slow.renew(late));
      slow = {};
      CHECK(crawler.running());
      CHECK(next.renew(late));
    }
    CHECK_FALSE(crawler.running());
    slow = crawler.begin(late);
    REQUIRE(crawler.begin_pass({}, 1, late + server::kCrawlPatienceSeconds));
    CHECK_FALSE(crawler.begin(late + 10 * server::kCrawlPatienceSeconds));
    crawler.finish_part();
    CHECK_FALSE(crawler.running());
    CHECK_FALSE(slow.renew(late));
  }

  TEST_CASE("dumps that are not allowed") {
    config::Config config;
    config.commands.dump_enabled = false;
    SessionHarness harness(seeded(), config);
    CHECK(harness.feed("lru_crawler metadump all\r\n") == "ERROR metadump not allowed\r\n");
    CHECK(harness.feed("lru_crawler mgdump x\r\n") == "ERROR key dump not allowed\r\n");
    CHECK(harness.feed("lru_crawler metadump\r\n") == "ERROR\r\n");
    CHECK(harness.feed("get a\r\nlru_crawler metadump all\r\n") == "END\r\nERROR metadump not allowed\r\n");
    CHECK(harness.feed("stats cachedump\r\n") == "CLIENT_ERROR stats cachedump not allowed\r\n");
    CHECK(harness.feed("stats detail\r\n") == "CLIENT_ERROR stats detail not allowed\r\n");
    CHECK(harness.feed("stats detail on\r\n") == "CLIENT_ERROR stats detail not allowed\r\n");
    CHECK(harness.feed("lru_crawler disable\r\n") == "OK\r\n");
    CHECK(harness.feed("lru_crawler metadump all\r\n") == "CLIENT_ERROR lru crawler disabled\r\n");
  }

  TEST_CASE("cachedump: the items of a class, up to a number of them") {
    SessionHarness harness(seeded());
    set(harness, "a", "1");
    set(harness, "b", "22", 0, 100);
    set(harness, "dead", "1", 0, -1);
    set_binary_key(harness, "two words", "x");
    const unsigned slab_class = class_of(harness, "a");
    const std::string dump = "stats cachedump " + std::to_string(slab_class);
    const std::string later =
        std::to_string(harness.cache_clock().wall_base() + harness.cache_clock().now() + 100);
    const auto lines = body(harness.feed(dump + " 0\r\n"), "", "END\r\n");
    CHECK(lines == std::vector<std::string>{"ITEM a [1 b; 0 s]\r\n", "ITEM b [2 b; " + later + " s]\r\n"});
    CHECK(body(harness.feed(dump + " 1\r\n"), "", "END\r\n").size() == 1);
    CHECK(body(harness.feed(dump + " 9 more words\r\n"), "", "END\r\n").size() == 2);
    CHECK(harness.feed("stats cachedump " + std::to_string(slab_class + 1) + " 0\r\n") == "END\r\n");
    CHECK(harness.feed("stats cachedump 0 0\r\n") == "END\r\n");
    CHECK(harness.feed("stats cachedump 200 1\r\n") == "CLIENT_ERROR Illegal slab id\r\n");
    CHECK(harness.feed("stats cachedump 1\r\n") == "CLIENT_ERROR bad command line\r\n");
  }

  TEST_CASE("cachedump ends at two megabytes") {
    SessionHarness harness(seeded());
    const std::string padding(200, 'k');
    for (unsigned i = 0; i < 12000; ++i) {
      harness.feed("set " + padding + std::to_string(10000 + i) + " 0 0 1 noreply\r\nx\r\n");
    }
    const unsigned slab_class = class_of(harness, padding + "10000");
    const std::string answer = harness.feed("stats cachedump " + std::to_string(slab_class) + " 0\r\n");
    CHECK(answer.size() <= server::kCachedumpBytesMax);
    CHECK(answer.size() > server::kCachedumpBytesMax - 300);
    CHECK(answer.ends_with(" b; 0 s]\r\nEND\r\n"));
  }

  TEST_CASE("stats sizes") {
    SessionHarness untracked(seeded());
    CHECK(untracked.feed("stats sizes\r\n") == "STAT sizes_status disabled\r\nEND\r\n");
    config::Config config;
    config.stats.track_sizes = true;
    SessionHarness harness(seeded(), config);
    CHECK(harness.feed("stats sizes\r\n") == "END\r\n");
    set(harness, "foo", "1");                      // 63
    set(harness, "fo", "123");                     // 64
    set(harness, "fooo", std::string(100, 'x'));   // 163
    set(harness, "f", std::string(5000, 'x'), 1);  // 5064
    CHECK(harness.feed("stats sizes more\r\nget nothing\r\n") ==
          "STAT 64 2\r\nSTAT 192 1\r\nSTAT 5088 1\r\nEND\r\nEND\r\n");
    CHECK(harness.feed("stats settings\r\n").find("STAT track_sizes yes\r\n") != std::string::npos);
  }

  TEST_CASE("sizes for binary clients, however the bytes come") {
    config::Config config;
    config.stats.track_sizes = true;
    const std::string sent = encode({.opcode = 0x10, .key = "sizes", .opaque = 3}) + encode({.opcode = 0x0a});
    for (std::size_t piece = 1; piece <= sent.size(); ++piece) {
      CAPTURE(piece);
      SessionHarness harness(seeded(), config);
      set(harness, "foo", "1");
      set(harness, "f", std::string(5000, 'x'));
      harness.reconnect();
      CHECK(render_answers(harness.feed(sent, piece)) ==
            "10 00 k64 v1 o03\n10 00 k5088 v1 o03\n10 00 o03\n0a 00\n");
    }
  }
}
