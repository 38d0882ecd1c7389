#include <doctest/doctest.h>

#include <string>

#include "protocol/limits.h"
#include "unit/protocol/parser_rows.h"

namespace ringcached::protocol {
namespace {

const std::string kLongestKey(kKeyBytesMax, 'k');
const std::string kOverlongKey(kKeyBytesMax + 1, 'k');
const std::string kBad = kBadFormatText;

}  // namespace

TEST_SUITE("protocol storage") {
  TEST_CASE("well-formed lines") {
    check_rows({
        {"set a 0 0 1", "set a bytes=1"},
        {"set a 1 2 3", "set a flags=1 exptime=2 bytes=3"},
        {"set a 0 0 0", "set a bytes=0"},
        {"set a 4294967295 -1 10", "set a flags=4294967295 exptime=-1 bytes=10"},
        {"set a 0 2592001 1", "set a exptime=2592001 bytes=1"},
        {"add a 5 0 1", "add a flags=5 bytes=1"},
        {"replace a 5 0 1", "replace a flags=5 bytes=1"},
        {"append a 5 0 1", "append a flags=5 bytes=1"},
        {"prepend a 5 0 1", "prepend a flags=5 bytes=1"},
        {"cas a 5 0 1 7", "cas a flags=5 bytes=1 number=7"},
        {"cas a 0 0 1 0", "cas a bytes=1"},
        {"cas a 0 0 1 18446744073709551615", "cas a bytes=1 number=18446744073709551615"},
        {"set a 0 0 1 noreply", "set a bytes=1 noreply"},
        {"add a 0 0 1 noreply", "add a bytes=1 noreply"},
        {"replace a 0 0 1 noreply", "replace a bytes=1 noreply"},
        {"append a 0 0 1 noreply", "append a bytes=1 noreply"},
        {"prepend a 0 0 1 noreply", "prepend a bytes=1 noreply"},
        {"cas a 0 0 1 7 noreply", "cas a bytes=1 number=7 noreply"},
        {"set " + kLongestKey + " 0 0 1", "set " + kLongestKey + " bytes=1"},
        {"cas " + kLongestKey + " 0 0 1 2", "cas " + kLongestKey + " bytes=1 number=2"},
    });
  }

  TEST_CASE("spaces, extra words and the place of noreply") {
    check_rows({
        {"set   a  0   0  1  ", "set a bytes=1"},
        {"  set a 0 0 1", "set a bytes=1"},
        {"set a 0 0 1 noreply   ", "set a bytes=1 noreply"},
        {"set a 0 0 1 foo", "set a bytes=1"},
        {"set a 0 0 1 noreply foo", "set a bytes=1"},
        {"set a 0 0 1 foo noreply", "set a bytes=1 noreply"},
        {"set a 0 0 1 Noreply", "set a bytes=1"},
        {"set a 0 0 1 noreplyy", "set a bytes=1"},
        {"set a 0 0 1 noreply\t", "set a bytes=1"},
        {"set noreply 0 0 1", "set noreply bytes=1"},
        {"cas a 0 0 1 7 8 9", "cas a bytes=1 number=7"},
        {"cas a 0 0 1 7 8 noreply", "cas a bytes=1 number=7 noreply"},
    });
  }

  TEST_CASE("too few words: reported, nothing swallowed") {
    for (const std::string command : {"set", "add", "replace", "append", "prepend", "cas"}) {
      check_rows({
          {command, kBad},
          {command + " a", kBad},
          {command + " a 0", kBad},
          {command + " a 0 0", kBad},
          {command + " a 0 noreply", kBad},
          {command + " a 0 0 noreply", kBad},
      });
    }
  }

  TEST_CASE("bad length: reported even with noreply, nothing swallowed") {
    for (const std::string length : {"x", "-1", "+1", "1x", "0x1", "2147483646", "2147483647", "2147483648",
                                     "4294967295", "4294967297", "18446744073709551616", "000000000001"}) {
      check_rows({
          {"set a 0 0 " + length, kBad},
          {"set a 0 0 " + length + " noreply", kBad},
          {"cas a 0 0 " + length + " 1", kBad},
          {"set " + kOverlongKey + " 0 0 " + length, kBad},
      });
    }
  }

  TEST_CASE("the largest length") {
    check_rows({
        {"set a 0 0 2147483645", "set a bytes=2147483645"},
        {"append a 0 0 2147483645 noreply", "append a bytes=2147483645 noreply"},
        {"set a x 0 2147483645", kBad + " swallow=2147483647"},
    });
  }

  TEST_CASE("bad flags, exptime, key: the data block is swallowed") {
    for (const std::string command : {"set", "add", "replace", "append", "prepend"}) {
      for (const std::string flags : {"-1", "0x5", "x", "4294967296", "+", "99999999999999999999"}) {
        check_rows({{command + " a " + flags + " 0 3", kBad + " swallow=5"}});
      }
      check_rows({
          {command + " a 0 x 3", kBad + " swallow=5"},
          {command + " a 0 2147483648 3", kBad + " swallow=5"},
          {command + " a 0 4294967296 3", kBad + " swallow=5"},
          {command + " a 0 9223372036854775808 0", kBad + " swallow=2"},
          {command + " a 0 -2147483649 3", kBad + " swallow=5"},
          {command + " a x 0 3 noreply", kBad + " swallow=5 noreply"},
          {command + " " + kOverlongKey + " 0 0 3", kBad + " swallow=5"},
          {command + " " + kOverlongKey + " 0 0 3 noreply", kBad + " swallow=5 noreply"},
          {command + " a +5 +6 1", command + " a flags=5 exptime=6 bytes=1"},
          {command + " a 007 008 1", command + " a flags=7 exptime=8 bytes=1"},
      });
    }
  }

  TEST_CASE("bad or missing cas id") {
    check_rows({
        {"cas a 0 0 3", kBad + " swallow=5"},
        {"cas a 0 0 3 noreply", kBad + " swallow=5 noreply"},
        {"cas a 0 0 3 x", kBad + " swallow=5"},
        {"cas a 0 0 3 -1", kBad + " swallow=5"},
        {"cas a 0 0 3 18446744073709551616", kBad + " swallow=5"},
        {"cas a 0 0 3 x noreply", kBad + " swallow=5 noreply"},
        {"cas " + kOverlongKey + " 0 0 3 1", kBad + " swallow=5"},
    });
  }

  TEST_CASE("data blocks are not looked at") {
    check_events("set a 0 0 6\r\n\nget \r\r\nget b\r\n", {"set a bytes=6", "get b"});
    check_events("set a 0 0 0\r\n\r\nget b\r\n", {"set a bytes=0", "get b"});
    check_events("set a x 0 9\r\nversion\r\n\r\nversion\r\n", {kBad + " swallow=11", "version"});
    // A value longer than announced leaves its tail as a line.
    check_events("set a 0 0 1\r\nabcde\r\n", {"set a bytes=1", "! ERROR"});
    check_events("set a 0 0 5\r\nabcdefgh\r\n", {"set a bytes=5", kBad});
    // A shorter one eats what follows.
    check_events("set a 0 0 5\r\nab\r\nversion\r\n", {"set a bytes=5", "! ERROR"});
    // Lines whose length is unknown do not swallow, so their data runs as commands.
    check_events("set a 0 0 x\r\nget b\r\n", {kBad, "get b"});
    check_events("foo a 0 0 3\r\nabc\r\n", {"! ERROR", "! ERROR"});
  }
}

}  // namespace ringcached::protocol
