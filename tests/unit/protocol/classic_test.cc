#include <doctest/doctest.h>

#include <string>

#include "protocol/limits.h"
#include "unit/protocol/parser_rows.h"

namespace ringcached::protocol {
namespace {

using namespace std::string_literals;

const std::string kLongestKey(kKeyBytesMax, 'k');
const std::string kOverlongKey(kKeyBytesMax + 1, 'k');
const std::string kBad = kBadFormatText;
const std::string kBadExptime = "! CLIENT_ERROR invalid exptime argument";
const std::string kBadDelta = "! CLIENT_ERROR invalid numeric delta argument";
const std::string kDeleteUsage = "! CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]";

}  // namespace

TEST_SUITE("protocol retrieval") {
  TEST_CASE("keys") {
    check_rows({
        {"get foo", "get foo"},
        {"gets foo", "gets foo"},
        {"get foo bar", "get foo [bar]"},
        {"gets a b c", "gets a [b c]"},
        {"get  foo   bar  ", "get foo [bar]"},
        {"   get foo", "get foo"},
        {"get k k k", "get k [k k]"},
        {"get foo noreply", "get foo [noreply]"},
        {"get noreply", "get noreply"},
        {"get / HTTP/1.1", "get / [HTTP/1.1]"},
        {"gat 10 foo", "gat foo exptime=10"},
        {"gats -1 foo bar", "gats foo [bar] exptime=-1"},
        {"gat 0 foo noreply", "gat foo [noreply]"},
        {"gat +5 foo", "gat foo exptime=5"},
        {"get " + kLongestKey, "get " + kLongestKey},
        {"get a " + kLongestKey, "get a [" + kLongestKey + "]"},
    });
  }

  TEST_CASE("any byte but space and newline is part of a key") {
    check_rows({
        {"get a\tb", "get a\tb"},
        {"get a\0b"s, "get a\0b"s},
        {"get \0"s, "get \0"s},
        {"get \x80\xff\x01", "get \x80\xff\x01"},
        {"get a\rb", "get a\rb"},
        {"get \t", "get \t"},
    });
    // Only one CR belongs to the line's end.
    check_events("get a\r\r\nversion\r\n", {"get a\r", "version"});
    check_events("get \r\r\nversion\r\n", {"get \r", "version"});
  }

  TEST_CASE("one overlong key refuses the whole line") {
    check_rows({
        {"get " + kOverlongKey, kBad},
        {"gets " + kOverlongKey, kBad},
        {"get a " + kOverlongKey, kBad},
        {"get a b " + kOverlongKey + " c", kBad},
        {"get " + kOverlongKey + " a", kBad},
        {"gat 0 " + kOverlongKey, kBad},
        {"gats 0 a " + kOverlongKey, kBad},
    });
  }

  TEST_CASE("missing keys and bad expiry") {
    check_rows({
        {"get", kBad},
        {"gets", kBad},
        {"get ", kBad},
        {"gets    ", kBad},
        {"gat", kBad},
        {"gats", kBad},
        {"gat 0", kBad},
        {"gats 0 ", kBad},
        {"gat x", kBad},
        {"gat x foo", kBadExptime},
        {"gats 2147483648 foo", kBadExptime},
        {"gat 1.5 foo", kBadExptime},
    });
  }
}

TEST_SUITE("protocol single key") {
  TEST_CASE("delete") {
    check_rows({
        {"delete foo", "delete foo"},
        {"delete foo noreply", "delete foo noreply"},
        {"delete foo 0", "delete foo"},
        {"delete foo 0 noreply", "delete foo noreply"},
        {"delete foo 00", "delete foo"},
        {"delete foo bar", kDeleteUsage},
        {"delete foo b c d e", kDeleteUsage},
        {"delete noreply", "delete noreply"},
        {"delete noreply noreply", "delete noreply noreply"},
        {"delete foo 0 0", kDeleteUsage},
        {"delete noreply 0", "delete noreply"},
        {"delete foo noreply 0", kDeleteUsage},
        {"delete foo 5", kDeleteUsage},
        {"delete foo -5", kDeleteUsage},
        {"delete foo 99999999999999999999999", kDeleteUsage},
        {"delete foo 5 noreply", kDeleteUsage + " noreply"},
        {"delete", kBad},
        {"delete  ", kBad},
        {"delete " + kLongestKey, "delete " + kLongestKey},
        {"delete " + kOverlongKey, kBad},
        {"delete " + kOverlongKey + " noreply", kBad + " noreply"},
    });
  }

  TEST_CASE("incr and decr") {
    for (const std::string command : {"incr", "decr"}) {
      check_rows({
          {command + " n 1", command + " n number=1"},
          {command + " n 0", command + " n"},
          {command + " n 18446744073709551615", command + " n number=18446744073709551615"},
          {command + " n 1 noreply", command + " n number=1 noreply"},
          {command + " n 1 2 3", command + " n number=1"},
          {command + " n 1 2 noreply", command + " n number=1 noreply"},
          {command, kBad},
          {command + " k", kBad},
          {command + " noreply", kBad},
          {command + " n x", kBadDelta},
          {command + " n -1", kBadDelta},
          {command + " n 18446744073709551616", kBadDelta},
          {command + " n 99999999999999999999999999", kBadDelta},
          {command + " n x noreply", kBadDelta + " noreply"},
          {command + " n noreply", kBadDelta + " noreply"},
          {command + " " + kOverlongKey + " 1", kBad},
          {command + " " + kOverlongKey + " x", kBad},
          {command + " " + kOverlongKey + " 1 noreply", kBad + " noreply"},
          {command + " " + kLongestKey + " 1", command + " " + kLongestKey + " number=1"},
      });
    }
  }

  TEST_CASE("touch") {
    check_rows({
        {"touch k 0", "touch k"},
        {"touch k 2592000", "touch k exptime=2592000"},
        {"touch k -1", "touch k exptime=-1"},
        {"touch k 5 noreply", "touch k exptime=5 noreply"},
        {"touch k 0 1 2", "touch k"},
        {"touch", kBad},
        {"touch k", kBad},
        {"touch k x", kBadExptime},
        {"touch k 2147483648", kBadExptime},
        {"touch k x noreply", kBadExptime + " noreply"},
        {"touch k noreply", kBadExptime + " noreply"},
        {"touch " + kOverlongKey + " 0", kBad},
    });
  }
}

TEST_SUITE("protocol administration") {
  TEST_CASE("arguments are handed over") {
    check_rows({
        {"version", "version"},
        {"version x", "version [x]"},
        {"version ", "version"},
        {"version noreply", "version [noreply]"},
        {"quit", "quit"},
        {"quit x", "quit [x]"},
        {"stats", "stats"},
        {"stats   items  ", "stats [items]"},
        {"stats detail on", "stats [detail on]"},
        {"stats settings noreply", "stats [settings noreply]"},
        {"watch", "watch"},
        {"watch fetchers mutations", "watch [fetchers mutations]"},
        {"shutdown", "shutdown"},
        {"shutdown graceful", "shutdown [graceful]"},
        {"shutdown noreply", "shutdown [noreply]"},
        {"slabs reassign -1 5", "slabs [reassign -1 5]"},
        {"slabs automove 1 noreply", "slabs [automove 1] noreply"},
        {"lru mode", "lru [mode]"},
        {"lru", "lru"},
        {"lru temp_ttl", "lru [temp_ttl]"},
        {"lru_crawler metadump all", "lru_crawler [metadump all]"},
        {"extstore max_sleep 5", "extstore [max_sleep 5]"},
        {"refresh_certs", "refresh_certs"},
        {"verbosity", "verbosity"},
        {"verbosity 0 my eyes", "verbosity [0 my eyes]"},
        {"verbosity 1 noreply", "verbosity [1] noreply"},
        {"verbosity noreply", "verbosity noreply"},
        {"flush_all", "flush_all"},
        {"flush_all 5", "flush_all [5]"},
        {"flush_all noreply", "flush_all noreply"},
        {"flush_all  5   noreply ", "flush_all [5] noreply"},
        {"flush_all noreply 5", "flush_all [noreply 5]"},
        {"cache_memlimit", "cache_memlimit"},
        {"cache_memlimit 64 noreply", "cache_memlimit [64] noreply"},
    });
  }

  TEST_CASE("every command with any number of words is one request") {
    for (const std::string command :
         {"stats", "flush_all", "verbosity", "version", "quit", "cache_memlimit", "shutdown", "slabs", "lru",
          "lru_crawler", "watch", "extstore", "refresh_certs"}) {
      std::string arguments;
      for (int words = 1; words <= 30; ++words) {
        arguments += (words == 1 ? "" : " ") + std::to_string(words);
        check_events(command + " " + arguments + "\r\n", {command + " [" + arguments + "]"});
      }
    }
  }
}

TEST_SUITE("protocol unknown") {
  TEST_CASE("unknown words") {
    check_rows({
        {"abc", "! ERROR"},
        {"GET foo", "! ERROR"},
        {"Get foo", "! ERROR"},
        {"bget foo", "! ERROR"},
        {"getx foo", "! ERROR"},
        {"ge foo", "! ERROR"},
        {"get\tfoo", "! ERROR"},
        {"get\0 foo"s, "! ERROR"},
        {"\0get foo"s, "! ERROR"},
        {"flush_al", "! ERROR"},
        {"flush_all2", "! ERROR"},
        {"prependx a 0 0 1", "! ERROR"},
        {"foo noreply", "! ERROR"},
        {"   ", "! ERROR"},
        {"stats\xff", "! ERROR"},
        {"\x81 binary answer", "! ERROR"},
    });
  }

  TEST_CASE("lines of fewer than four bytes") {
    check_events("\r\nversion\r\n", {kBad, "version"});
    check_events("\nversion\r\n", {kBad, "version"});
    check_events("a\r\nversion\r\n", {kBad, "version"});
    check_events("ab\nversion\r\n", {kBad, "version"});
    check_events("ab\r\nversion\r\n", {"! ERROR", "version"});
    check_events("abc\nversion\r\n", {"! ERROR", "version"});
    check_events("\n\n\r\n\n", {kBad, kBad, kBad, kBad});
    // A known word is served however short its line.
    check_events("lru\nget\n", {"lru", kBad});
  }

  TEST_CASE("HTTP ends the connection") {
    check_rows({
        {"GET / HTTP/1.1", "close"},
        {"POST /x HTTP/1.0  ", "close"},
        {"HTTP/1.1", "close"},
        {"foo HTTP/", "close"},
        {"foo HTTP/1.1 x", "! ERROR"},
        {"foo xHTTP/1.1", "! ERROR"},
        {"GET / HTTP", "! ERROR"},
        {"version HTTP/1.1", "version [HTTP/1.1]"},
    });
    check_events("GET / HTTP/1.1\r\nget foo\r\n", {"close"});
  }

  TEST_CASE("pipelines") {
    check_events("get a\nget b\r\nset c 0 0 1\r\n\n\r\ndelete c noreply\nget d\n",
                 {"get a", "get b", "set c bytes=1", "delete c noreply", "get d"});
  }
}

}  // namespace ringcached::protocol
