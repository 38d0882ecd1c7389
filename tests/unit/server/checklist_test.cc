// The checklist of easy mistakes, specification section 17, one case for each number.
//
//   number  here, and where else
//   ------  -------------------------------------------------------------------------------------------
//   1-22    here; 5-8, the binary ones, also as tables in binary_session_test.cc
//   23      here; with a server in tests/integration/admin_test.py and watch_test.py
//   24      here; against memcached in the transcripts stats_*.txt
//   25      here, except for "Error TLS not enabled": ringcached has no TLS, and refresh_certs is ERROR
//   26      a matter of the engine: tests/integration/connections_test.py, "checklist 26"
//   27, 28  here
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "server/watch_session.h"
#include "support/binary_packet.h"
#include "support/exchange.h"
#include "support/session_harness.h"

using ringcached::testing::check_everywhere;
using ringcached::testing::encode;
using ringcached::testing::Packet;
using ringcached::testing::SessionHarness;
using ringcached::testing::small_items;
using namespace std::string_literals;

namespace {

void expect(const std::string& sent, const std::string& expected) {
  check_everywhere({"checklist", sent, expected}, small_items());
}

// The answers to binary requests as render_answers() writes them.
void expect_binary(const std::vector<Packet>& packets, const std::string& expected) {
  std::string sent;
  for (const Packet& packet : packets) sent += encode(packet);
  for (const std::size_t piece : {~std::size_t{0}, std::size_t{1}, std::size_t{7}, std::size_t{24}}) {
    SessionHarness harness(small_items());
    CHECK_MESSAGE(ringcached::testing::render_answers(harness.feed(sent, piece)) == expected,
                  "pieces of " << piece);
  }
}

enum Opcode : unsigned char {
  kGet = 0x00,
  kAdd = 0x02,
  kNoop = 0x0a,
  kGetKey = 0x0c,
  kGetKeyQuiet = 0x0d,
  kSetQuiet = 0x11,
  kAddQuiet = 0x12,
  kReplaceQuiet = 0x13,
  kDeleteQuiet = 0x14,
  kIncrementQuiet = 0x15,
  kAppendQuiet = 0x19,
  kTouch = 0x1c,
  kGetAndTouchQuiet = 0x1e,
  kGetKeyAndTouch = 0x23
};
const std::string kStored = ringcached::testing::stored_extras(7);

const std::string kLarge(2000, 'x');
const std::string kTooLarge = "SERVER_ERROR object too large for cache\r\n";
const std::string kBadFormat = "CLIENT_ERROR bad command line format\r\n";
const std::string kOverlongKey(251, 'k');

}  // namespace

TEST_SUITE("checklist") {
  TEST_CASE(
      "1: too large is swallowed and answered once; set and any ms lose the old value, others keep it") {
    for (const std::string command : {"set a 0 0 2000", "ms a 2000", "ms a 2000 ME", "ms a 2000 MA"}) {
      expect("set a 0 0 1\r\n1\r\n" + command + "\r\n" + kLarge + "\r\nget a\r\n",
             "STORED\r\n" + kTooLarge + "END\r\n");
    }
    for (const std::string command : {"add", "replace", "append", "prepend", "cas"}) {
      expect("set a 0 0 1\r\n1\r\n" + command + " a 0 0 2000 1\r\n" + kLarge + "\r\nget a\r\n",
             "STORED\r\n" + kTooLarge + "VALUE a 0 1\r\n1\r\nEND\r\n");
    }
  }

  TEST_CASE("2: noreply hides errors as well, if it is the last word") {
    expect("set a 0 0 2000 noreply\r\n" + kLarge + "\r\nget a\r\n", "END\r\n");
    expect("set a 0 0 1 noreply\r\nx\nZget a\r\n", "END\r\n");
    expect("set a 0 0 1 noreply x\r\n1\r\n", "STORED\r\n");
  }

  TEST_CASE("3: one bad key turns a whole get into one error line") {
    expect("set a 0 0 1\r\n1\r\nget a " + kOverlongKey + " a\r\nget a\r\n",
           "STORED\r\n" + kBadFormat + "VALUE a 0 1\r\n1\r\nEND\r\n");
  }

  TEST_CASE("4: decr pads with spaces, incr understands them") {
    expect(
        "set n 0 0 3\r\n100\r\ndecr n 91\r\nget n\r\nincr n 1\r\nget n\r\nset m 0 0 4\r\n12  \r\nincr m "
        "1\r\n",
        "STORED\r\n9\r\nVALUE n 0 3\r\n9  \r\nEND\r\n10\r\nVALUE n 0 3\r\n10 \r\nEND\r\nSTORED\r\n13\r\n");
  }

  TEST_CASE("5: quiet writes still send errors, quiet reads still send hits") {
    const std::string delta = ringcached::testing::counted_extras(1);
    expect_binary({{kSetQuiet, "a", "1", kStored},
                   {kSetQuiet, "a", "2", kStored, 99},
                   {kAddQuiet, "a", "2", kStored},
                   {kReplaceQuiet, "b", "2", kStored},
                   {kDeleteQuiet, "b"},
                   {kIncrementQuiet, "b", "", delta},
                   {kAppendQuiet, "b", "2"},
                   {kSetQuiet, "b", kLarge, kStored},
                   {kGetKeyQuiet, "a"},
                   {kGetKeyQuiet, "b"},
                   {kGetAndTouchQuiet, "a", "", ringcached::testing::timed_extras(0)},
                   {kGetAndTouchQuiet, "b", "", ringcached::testing::timed_extras(0)},
                   {kNoop}},
                  "11 02 vData exists for key.\n12 02 vData exists for key.\n13 01 vNot found\n"
                  "14 01 vNot found\n15 01 vNot found\n19 05 vNot stored.\n11 03 vToo large.\n"
                  "0d 00 x00000007 ka v1 #\n1e 00 x00000007 v1 #\n0a 00\n");
  }

  TEST_CASE("6: a miss of GetK or GATK carries the key, not Not found") {
    expect_binary(
        {{kGetKey, "key"}, {kGetKeyAndTouch, "key", "", ringcached::testing::timed_extras(0)}, {kGet, "key"}},
        "0c 01 kkey\n23 01 kkey\n00 01 vNot found\n");
  }

  TEST_CASE("7: Touch answers with four bytes of extras") {
    expect_binary({{kSetQuiet, "a", "1", kStored}, {kTouch, "a", "", ringcached::testing::timed_extras(0)}},
                  "1c 00 x00000007 #\n");
  }

  TEST_CASE("8: Add with an id on a missing key is 1") {
    expect_binary({{kAdd, "a", "1", kStored, 5}, {kGet, "a"}}, "02 01 vNot found\n00 01 vNot found\n");
  }

  TEST_CASE("9: the id 0 never equals in cas, ms and md, and is no comparison in ma") {
    expect("set n 0 0 1\r\n1\r\ncas n 0 0 1 0\r\nx\r\nms n 1 C0\r\nx\r\nmd n C0\r\nma n C0 v\r\n",
           "STORED\r\nEXISTS\r\nEX\r\nEX\r\nVA 1\r\n2\r\n");
    expect("cas n 0 0 1 0\r\nx\r\nms n 1 C0\r\nx\r\nmd n C0\r\n", "NOT_FOUND\r\nNF\r\nNF\r\n");
  }

  TEST_CASE("10: 2592000 seconds is relative, one more is long ago") {
    expect(
        "set a 0 2592000 1\r\n1\r\nmg a t\r\nset a 0 2592001 1\r\n1\r\nmg a t\r\nms a 1 T2592000\r\n1\r\nmg "
        "a t\r\n"
        "ms a 1 T2592001\r\n1\r\nmg a t\r\n",
        "STORED\r\nHD t2592000\r\nSTORED\r\nEN\r\nHD\r\nHD t2592000\r\nHD\r\nEN\r\n");
  }

  TEST_CASE("11: a negative time succeeds, hides the old value, and is a miss") {
    for (const std::string command : {"set a 0 -1 1", "ms a 1 T-1"}) {
      const std::string done = command[0] == 's' ? "STORED\r\n" : "HD\r\n";
      expect("set a 0 0 1\r\n1\r\n" + command + "\r\n2\r\nget a\r\nmg a\r\nadd a 0 0 1\r\n3\r\n",
             "STORED\r\n" + done + "END\r\nEN\r\nSTORED\r\n");
    }
  }

  TEST_CASE("12: a set right behind flush_all survives") {
    expect("set a 0 0 1\r\n1\r\nflush_all\r\nset b 0 0 1\r\n2\r\nms c 1\r\n3\r\nget a b c\r\n",
           "STORED\r\nOK\r\nSTORED\r\nHD\r\nVALUE b 0 1\r\n2\r\nVALUE c 0 1\r\n3\r\nEND\r\n");
  }

  TEST_CASE("13: flush_all at a later time takes what was stored before that time") {
    SessionHarness harness;
    harness.feed("set a 0 0 1\r\n1\r\nflush_all 5\r\nset b 0 0 1\r\n2\r\n");
    CHECK(harness.feed("get a b\r\n") == "VALUE a 0 1\r\n1\r\nVALUE b 0 1\r\n2\r\nEND\r\n");
    harness.clock().advance_seconds(5);
    harness.cache_clock().tick();
    ringcached::server::flush_if_due(harness.worker());
    CHECK(harness.feed("get a b\r\n") == "END\r\n");
  }

  TEST_CASE("14: a command line may end in a bare line feed, a data block may not") {
    expect("set a 0 0 1\n1\r\nget a\nmg a v\n", "STORED\r\nVALUE a 0 1\r\n1\r\nEND\r\nVA 1\r\n1\r\n");
    expect("set a 0 0 1\r\n1\nZget a\r\n", "CLIENT_ERROR bad data chunk\r\nEND\r\n");
    expect("ms a 1\r\n1\nZmg a\r\n", "CLIENT_ERROR bad data chunk\r\nEN\r\n");
  }

  TEST_CASE("15: 2049 bytes without a line feed close, but not those of a get or gets") {
    for (const std::string command : {"mg", "incr", "gat", "xyz"}) {
      SessionHarness harness;
      harness.feed(command + std::string(2048 - command.size(), ' '));
      CHECK_FALSE(harness.closed());
      harness.feed(" ");
      CHECK(harness.closed() == (command != "gat"));
    }
    for (const std::string command : {"get ", "gets "}) {
      SessionHarness harness;
      harness.feed(command + std::string(100000, ' '), 1000);
      CHECK_FALSE(harness.closed());
      CHECK(harness.feed("a\r\n") == "END\r\n");
    }
  }

  TEST_CASE("16: mg acts from left to right and answers in the order of the request, then Z, X, W") {
    expect("ms a 1 T90 E5\r\n1\r\nmg a t T30 k v c\r\nmg a T40 t\r\nmd a I E6\r\nmg a s\r\nmg a s\r\n",
           "HD\r\nVA 1 t90 ka c5\r\n1\r\nHD t40\r\nHD\r\nHD s1 X W\r\nHD s1 Z X\r\n");
  }

  TEST_CASE("17: W is also given for a stale item without R or N") {
    expect("ms a 1\r\n1\r\nmd a I\r\nmg a\r\nmg a\r\n", "HD\r\nHD\r\nHD X W\r\nHD Z X\r\n");
  }

  TEST_CASE("18: q of md hides HD only") {
    expect("ms a 1 E5\r\n1\r\nmd a q C4\r\nmd a q\r\nmd a q\r\nmn\r\n", "HD\r\nEX\r\nNF\r\nMN\r\n");
  }

  TEST_CASE("19: N of ma creates with J and does not count") {
    expect("ma n N0 J10 D5 v\r\nma n N0 J10 D5 v\r\n", "VA 2\r\n10\r\nVA 2\r\n15\r\n");
  }

  TEST_CASE("20: k of a binary key is base64 with b; on hits of mg and ms the item decides") {
    expect(
        "ms Zm9v 1 b k\r\n1\r\nmg foo k\r\nmd Zm9v b k\r\nmg Zm9v b k\r\nset foo 0 0 1\r\n1\r\nmg Zm9v b "
        "k\r\n",
        "HD kZm9v b\r\nHD kZm9v b\r\nHD kZm9v b\r\nEN kZm9v b\r\nSTORED\r\nHD kfoo\r\n");
  }

  TEST_CASE("21: touch, gat and mg T keep the id; incr, decr and append change it") {
    SessionHarness harness;
    harness.feed("ms n 2 E5\r\n10\r\n");
    CHECK(harness.feed("touch n 100\r\ngat 100 n\r\nmg n T100 c\r\n").ends_with("HD c5\r\n"));
    std::string before = "HD c5\r\n";
    for (const std::string command :
         {"incr n 1\r\n", "decr n 1\r\n", "append n 0 0 1\r\n0\r\n", "ms n 1 MP\r\n1\r\n"}) {
      harness.feed(command);
      const std::string after = harness.feed("mg n c\r\n");
      CHECK(after != before);
      before = after;
    }
  }

  TEST_CASE("22: the size limit counts overhead and key") {
    SessionHarness harness;
    const std::string fits(1048516, 'x');
    CHECK(harness.feed("set k 0 0 1048516\r\n" + fits + "\r\nms k 1048516\r\n" + fits + "\r\n") ==
          "STORED\r\nHD\r\n");
    CHECK(harness.feed("set k 0 0 1048517\r\n" + fits + "x\r\nms k 1048517\r\n" + fits + "x\r\n") ==
          kTooLarge + kTooLarge);
    CHECK(harness.feed("ms kk 1048516\r\n" + fits + "\r\nms k 1048516 F1\r\n" + fits + "\r\n") ==
          kTooLarge + kTooLarge);
  }

  TEST_CASE("23: lines of metadump end in a blank and a line feed, those of watch in a line feed") {
    SessionHarness harness;
    harness.feed("set a 0 0 1\r\n1\r\n");
    const std::string dump = harness.feed("lru_crawler metadump all\r\n");
    CHECK(dump.starts_with("OK\r\nkey=a "));
    CHECK(dump.ends_with(" flags=0 \nEND\r\n"));
    CHECK(std::ranges::count(dump, '\r') == 2);
    CHECK(harness.feed("lru_crawler mgdump all\r\n") == "OK\r\nmg a\r\nEN\r\n");
    CHECK(harness.feed("watch\r\n") == "OK\r\n");
    harness.server().events.record(0, {.stream = ringcached::server::EventStream::kFetchers}, "a");
    while (ringcached::server::serve_watchers(harness.worker())) {
    }
    const std::string line = harness.connection().take_output();
    CHECK(line.find(" type=item_get key=a ") != std::string::npos);
    CHECK(line.ends_with("\n"));
    CHECK(line.find('\r') == std::string::npos);
  }

  TEST_CASE("24: stats has the names that exporters want") {
    SessionHarness harness;
    const std::string stats = harness.feed("stats\r\n");
    for (const std::string name : {"uptime",
                                   "version",
                                   "curr_connections",
                                   "total_connections",
                                   "max_connections",
                                   "cmd_get",
                                   "cmd_set",
                                   "cmd_touch",
                                   "cmd_flush",
                                   "get_hits",
                                   "get_misses",
                                   "delete_hits",
                                   "delete_misses",
                                   "incr_hits",
                                   "incr_misses",
                                   "decr_hits",
                                   "decr_misses",
                                   "cas_hits",
                                   "cas_misses",
                                   "cas_badval",
                                   "touch_hits",
                                   "touch_misses",
                                   "bytes",
                                   "limit_maxbytes",
                                   "curr_items",
                                   "total_items",
                                   "evictions",
                                   "reclaimed",
                                   "bytes_read",
                                   "bytes_written",
                                   "threads",
                                   "conn_yields",
                                   "hash_power_level",
                                   "expired_unfetched",
                                   "evicted_unfetched",
                                   "slabs_moved",
                                   "cmd_meta"}) {
      CHECK_MESSAGE(stats.find("STAT " + name + " ") != std::string::npos, name);
    }
    CHECK(harness.feed("stats conns\r\n").find("STAT 7:state conn_parse_cmd\r\n") != std::string::npos);
  }

  TEST_CASE("25: error texts without the word ERROR") {
    expect("cache_memlimit 4\r\ncache_memlimit 1000000001\r\n",
           "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m\r\n"
           "MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes\r\n");
    expect("slabs reassign 1 1\r\nslabs reassign 1 255\r\nslabs reassign 1 2\r\nlru_crawler crawl x\r\n",
           "SAME src and dst class are identical\r\n"
           "BADCLASS invalid src or dst class id\r\n"
           "NOSPARE source class has no spare pages\r\n"
           "BADCLASS invalid class id\r\n");
    SessionHarness harness;
    {
      const auto lease = harness.server().crawler.begin(harness.worker().now());
      for (const std::string command : {"metadump", "mgdump", "crawl"}) {
        CHECK(harness.feed("lru_crawler " + command + " all\r\n") ==
              "BUSY currently processing crawler request\r\n");
      }
    }
    using ringcached::server::EventLog;
    ringcached::server::Watcher* watcher = nullptr;
    for (std::size_t i = 0; i < EventLog::kWatchersMax; ++i) {
      REQUIRE(harness.server().events.join(0, watcher) == EventLog::JoinResult::kJoined);
    }
    CHECK(harness.feed("watch\r\n") == "WATCHER_TOO_MANY log watcher limit reached\r\n");
    CHECK(harness.feed("refresh_certs\r\n") == "ERROR\r\n");
  }

  TEST_CASE("27: gat and mg T count touches, not gets; keys are counted, not commands") {
    using ringcached::server::Count;
    SessionHarness harness;
    harness.feed("set a 0 0 1\r\n1\r\ngat 0 a b a\r\nget a b\r\nmg a T0\r\n");
    const auto& counters = harness.worker().counters;
    CHECK(counters.get(Count::kCmdTouch) == 4);
    CHECK(counters.get(Count::kTouchHits) == 3);
    CHECK(counters.get(Count::kTouchMisses) == 1);
    CHECK(counters.get(Count::kCmdGet) == 2);
    CHECK(counters.get(Count::kGetHits) == 1);
    CHECK(counters.get(Count::kGetMisses) == 1);
  }

  TEST_CASE("28: an expired item counts until it is reaped") {
    SessionHarness harness;
    harness.feed("set a 0 10 1\r\n1\r\n");
    harness.clock().advance_seconds(20);
    harness.cache_clock().tick();
    CHECK(harness.feed("stats\r\n").find("STAT curr_items 1\r\n") != std::string::npos);
    harness.feed("get a\r\n");
    CHECK(harness.feed("stats\r\n").find("STAT curr_items 0\r\n") != std::string::npos);
  }
}
