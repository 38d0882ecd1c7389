#include <doctest/doctest.h>

#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "support/session_harness.h"

using ringcached::testing::SessionHarness;

namespace {

std::vector<std::string> names(const std::string& answer) {
  std::vector<std::string> found;
  std::istringstream lines(answer);
  for (std::string word, name; lines >> word;) {
    if (word != "STAT") continue;
    lines >> name;
    found.push_back(name);
  }
  return found;
}

std::uint64_t figure(const std::string& answer, const std::string& name) {
  const std::string start = "STAT " + name + " ";
  const std::size_t at = answer.find(start);
  REQUIRE_MESSAGE(at != std::string::npos, name);
  return std::stoull(answer.substr(at + start.size()));
}

// Spec 9.1, in order, without the lines that depend on options which are off by default.
const std::vector<std::string> kGeneral = {"pid",
                                           "uptime",
                                           "time",
                                           "version",
                                           "libevent",
                                           "pointer_size",
                                           "rusage_user",
                                           "rusage_system",
                                           "max_connections",
                                           "curr_connections",
                                           "total_connections",
                                           "rejected_connections",
                                           "connection_structures",
                                           "response_obj_oom",
                                           "response_obj_count",
                                           "response_obj_bytes",
                                           "read_buf_count",
                                           "read_buf_bytes",
                                           "read_buf_bytes_free",
                                           "read_buf_oom",
                                           "reserved_fds",
                                           "cmd_get",
                                           "cmd_set",
                                           "cmd_flush",
                                           "cmd_touch",
                                           "cmd_meta",
                                           "get_hits",
                                           "get_misses",
                                           "get_expired",
                                           "get_flushed",
                                           "delete_misses",
                                           "delete_hits",
                                           "incr_misses",
                                           "incr_hits",
                                           "decr_misses",
                                           "decr_hits",
                                           "cas_misses",
                                           "cas_hits",
                                           "cas_badval",
                                           "touch_hits",
                                           "touch_misses",
                                           "store_too_large",
                                           "store_no_memory",
                                           "auth_cmds",
                                           "auth_errors",
                                           "bytes_read",
                                           "bytes_written",
                                           "limit_maxbytes",
                                           "accepting_conns",
                                           "listen_disabled_num",
                                           "time_in_listen_disabled_us",
                                           "threads",
                                           "conn_yields",
                                           "hash_power_level",
                                           "hash_bytes",
                                           "hash_is_expanding",
                                           "slab_reassign_rescues",
                                           "slab_reassign_chunk_rescues",
                                           "slab_reassign_inline_reclaim",
                                           "slab_reassign_busy_items",
                                           "slab_reassign_busy_deletes",
                                           "slab_reassign_busy_nomem",
                                           "slab_reassign_last_busy_status",
                                           "slab_reassign_running",
                                           "slabs_moved",
                                           "lru_crawler_running",
                                           "lru_crawler_starts",
                                           "lru_maintainer_juggles",
                                           "malloc_fails",
                                           "log_worker_dropped",
                                           "log_worker_written",
                                           "log_watcher_skipped",
                                           "log_watcher_sent",
                                           "log_watchers",
                                           "unexpected_napi_ids",
                                           "round_robin_fallback",
                                           "bytes",
                                           "curr_items",
                                           "total_items",
                                           "slab_global_page_pool",
                                           "expired_unfetched",
                                           "evicted_unfetched",
                                           "evicted_active",
                                           "evictions",
                                           "reclaimed",
                                           "crawler_reclaimed",
                                           "crawler_items_checked",
                                           "lrutail_reflocked",
                                           "moves_to_cold",
                                           "moves_to_warm",
                                           "moves_within_lru",
                                           "direct_reclaims",
                                           "lru_bumps_dropped"};

}  // namespace

TEST_SUITE("stats") {
  TEST_CASE("the general statistics come in memcached's names and order, ours behind them") {
    SessionHarness harness;
    std::vector<std::string> found = names(harness.feed("stats\r\n"));
    REQUIRE(found.size() > kGeneral.size());
    found.resize(kGeneral.size());
    CHECK(found == kGeneral);
  }

  TEST_CASE("the engine's figures are shown as they are") {
    SessionHarness harness;
    const std::string answer = harness.feed("stats\r\n");
    CHECK(figure(answer, "bytes_read") == 1234);
    CHECK(figure(answer, "read_buf_count") == 256);
    CHECK(figure(answer, "read_buf_bytes") == 256 * 16384);
  }

  TEST_CASE("stats numa: one share where nothing is placed, one for each node otherwise") {
    SessionHarness plain;
    plain.feed("set a 0 0 1\r\n1\r\n");
    const std::string one = plain.feed("stats numa\r\n");
    CHECK(figure(one, "nodes") == 1);
    CHECK(figure(one, "node:0:workers") == 1);
    CHECK(figure(one, "node:0:pages") == 1);
    CHECK(figure(one, "node:0:bytes") == 256 << 10);
    CHECK(figure(one, "node:0:pages_of_own_workers") == 1);
    CHECK(figure(one, "node:0:used_chunks") == 1);
    CHECK(figure(one, "node:0:total_items") == 1);
    CHECK(figure(one, "node:0:huge_page_bytes") == 0);
    ringcached::store::Options options;
    options.nodes = {3, 5};
    const std::string two = SessionHarness(options).feed("stats numa\r\n");
    CHECK(figure(two, "nodes") == 2);
    CHECK(figure(two, "node:3:workers") == 1);
    CHECK(figure(two, "node:5:workers") == 0);
  }

  TEST_CASE("no name appears twice") {
    SessionHarness harness;
    const auto found = names(harness.feed("stats\r\n"));
    CHECK(std::set<std::string>(found.begin(), found.end()).size() == found.size());
  }

  TEST_CASE("commands count, each key of a multiget for itself, and reset starts over") {
    SessionHarness harness;
    harness.feed(
        "set a 0 0 1\r\n1\r\nget a b a\r\nincr a 1\r\nincr x 1\r\ndecr a 1\r\ndecr x 1\r\ntouch a 0\r\ntouch "
        "x 0\r\n"
        "gat 0 a x\r\ndelete a\r\ndelete a\r\nflush_all\r\ncas x 0 0 1 1\r\nx\r\n");
    const std::string answer = harness.feed("stats\r\n");
    const std::vector<std::pair<std::string, std::uint64_t>> expected = {
        {"cmd_get", 3},      {"get_hits", 2},    {"get_misses", 1},    {"cmd_set", 2},   {"incr_hits", 1},
        {"incr_misses", 1},  {"decr_hits", 1},   {"decr_misses", 1},   {"cmd_touch", 4}, {"touch_hits", 2},
        {"touch_misses", 2}, {"delete_hits", 1}, {"delete_misses", 1}, {"cmd_flush", 1}, {"cas_misses", 1}};
    for (const auto& [name, count] : expected) CHECK_MESSAGE(figure(answer, name) == count, name);
    CHECK(harness.feed("stats reset\r\n") == "RESET\r\n");
    const std::string after = harness.feed("stats\r\n");
    for (const auto& [name, count] : expected) CHECK_MESSAGE(figure(after, name) == 0, name);
    harness.feed("get a\r\n");
    CHECK(figure(harness.feed("stats\r\n"), "cmd_get") == 1);
  }

  TEST_CASE("a bad data block is a storage command, but compares no ids") {
    SessionHarness harness;
    harness.feed("cas x 0 0 2 1\r\nlong\r\ncas x 0 0 1 1\r\nlonger\r\n");
    const std::string answer = harness.feed("stats\r\n");
    CHECK(figure(answer, "cmd_set") == 2);
    CHECK(figure(answer, "cas_misses") == 0);
  }

  TEST_CASE("bytes and curr_items follow memcached's item sizes") {
    SessionHarness harness;
    harness.feed("set key 0 0 10\r\n0123456789\r\nset flagged 1 0 10\r\n0123456789\r\n");
    const std::string answer = harness.feed("stats\r\n");
    CHECK(figure(answer, "curr_items") == 2);
    CHECK(figure(answer, "bytes") == (48 + 8 + 3 + 1 + 10 + 2) + (48 + 8 + 7 + 1 + 4 + 10 + 2));
    harness.feed("delete key\r\n");
    CHECK(figure(harness.feed("stats\r\n"), "curr_items") == 1);
  }

  TEST_CASE("items and slabs name the same classes") {
    SessionHarness harness;
    harness.feed("set a 0 0 10\r\n0123456789\r\nset b 0 0 1000\r\n" + std::string(1000, 'x') +
                 "\r\nget a\r\n");
    const auto items = names(harness.feed("stats items\r\n"));
    const auto slabs = names(harness.feed("stats slabs\r\n"));
    std::set<std::string> item_classes;
    std::set<std::string> slab_classes;
    for (const auto& name : items) item_classes.insert(name.substr(6, name.find(':', 6) - 6));
    for (const auto& name : slabs) {
      if (name.find(':') != std::string::npos) slab_classes.insert(name.substr(0, name.find(':')));
    }
    CHECK(item_classes.size() == 2);
    CHECK(item_classes == slab_classes);
  }

  TEST_CASE("settings show what is in effect") {
    SessionHarness harness;
    harness.feed("cache_memlimit 128\r\nverbosity 1\r\n");
    const std::string answer = harness.feed("stats settings\r\n");
    CHECK(figure(answer, "maxbytes") == 128 << 20);
    CHECK(figure(answer, "verbosity") == 1);
    CHECK(answer.find("STAT growth_factor 1.25\r\n") != std::string::npos);
  }

  TEST_CASE("whatever command comes upon a dead item counts it, once") {
    const std::string large(100'000, 'x');
    const std::string too_large(2'000'000, 'x');
    const std::vector<std::string> commands = {"get k\r\n",
                                               "gat 0 k\r\n",
                                               "set k 0 0 1\r\n1\r\n",
                                               "set k 0 0 500\r\n" + large.substr(0, 500) + "\r\n",
                                               "set k 0 0 100000\r\n" + large + "\r\n",
                                               "set k 0 0 2000000\r\n" + too_large + "\r\n",
                                               "add k 0 0 1\r\n1\r\n",
                                               "replace k 0 0 1\r\n1\r\n",
                                               "replace k 0 0 100000\r\n" + large + "\r\n",
                                               "append k 0 0 1\r\n1\r\n",
                                               "append k 0 0 100000\r\n" + large + "\r\n",
                                               "cas k 0 0 1 5\r\n1\r\n",
                                               "incr k 1\r\n",
                                               "touch k 0\r\n",
                                               "delete k\r\n",
                                               "mg k\r\n",
                                               "mg k N0\r\n",
                                               "ms k 1\r\n1\r\n",
                                               "ms k 1 MA N0\r\n1\r\n",
                                               "ma k\r\n",
                                               "ma k N0\r\n",
                                               "md k\r\n",
                                               "md k x\r\n",
                                               "me k\r\n"};
    for (const std::string& command : commands) {
      CAPTURE(command.substr(0, 20));
      SessionHarness harness;
      harness.feed("set k 0 -1 1\r\n1\r\nset f 0 0 1\r\n1\r\n" + command);
      std::string stats = harness.feed("stats\r\n");
      CHECK(figure(stats, "get_expired") == 1);
      CHECK(figure(stats, "get_flushed") == 0);
      harness.feed("stats reset\r\nset k 0 0 1\r\n1\r\nflush_all\r\n" + command);
      stats = harness.feed("stats\r\n");
      CHECK(figure(stats, "get_expired") == 0);
      CHECK(figure(stats, "get_flushed") == 1);
      harness.feed("stats reset\r\n");
      CHECK(figure(harness.feed("stats\r\n"), "get_flushed") == 0);
    }
    SessionHarness alive;
    alive.feed(
        "set k 0 0 1\r\n1\r\nset k 0 0 1\r\n1\r\nadd k 0 0 1\r\n1\r\nincr k 1\r\nincr n 1\r\ndelete k\r\n");
    CHECK(figure(alive.feed("stats\r\n"), "get_expired") + figure(alive.feed("stats\r\n"), "get_flushed") ==
          0);
  }

  TEST_CASE("connections, workers, sizes, an unknown group") {
    SessionHarness harness;
    CHECK(
        harness.feed("stats conns\r\n") ==
        "STAT 7:addr tcp:127.0.0.1:1\r\nSTAT 7:listen_addr tcp:127.0.0.1:2\r\nSTAT 7:state conn_parse_cmd\r\n"
        "STAT 7:secs_since_last_cmd 0\r\nEND\r\n");
    CHECK(harness.feed("stats workers\r\n") ==
          "STAT 0:curr_connections 3\r\nSTAT 0:total_connections 8\r\nSTAT 0:bytes_read 1234\r\n"
          "STAT 0:bytes_written 99\r\nSTAT 1:curr_connections 1\r\nSTAT 1:total_connections 2\r\n"
          "STAT 1:bytes_read 0\r\nSTAT 1:bytes_written 0\r\nEND\r\n");
    const std::string general = harness.feed("stats\r\n");
    CHECK(figure(general, "worker_connections_min") == 1);
    CHECK(figure(general, "worker_connections_max") == 3);
    CHECK(harness.feed("stats sizes\r\n") == "STAT sizes_status disabled\r\nEND\r\n");
    CHECK(harness.feed("stats nonsense\r\n") == "ERROR\r\n");
    CHECK(harness.feed("stats items\r\n") == "END\r\n");
  }
}
