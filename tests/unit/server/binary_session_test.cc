#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "support/binary_packet.h"
#include "support/fragment.h"
#include "support/session_harness.h"

using namespace ringcached::testing;
using namespace std::string_literals;

namespace {

struct Exchange {
  const char* name;
  std::vector<Packet> sent;
  std::string expected;  // as render_answers writes it; "closed" at the end when the connection ended
};

const std::string kStored = stored_extras();
constexpr std::uint32_t kPast = 2592001;  // an absolute time of 1970

Packet set(std::string key, std::string value, std::uint64_t cas = 0) {
  return {0x01, std::move(key), std::move(value), kStored, cas};
}
Packet get(std::string key) {
  return {0x00, std::move(key)};
}
const Packet kNoop{.opcode = 0x0a, .opaque = 0x77};
const std::string kNoopAnswer = "0a 00 o77\n";
const std::string kLong(2000, 'x');

// Each on a fresh server with items of at most 1 KiB. Rules named by their section in the protocol
// specification.
std::vector<Exchange> reading() {
  return {
      {"get, a hit and a miss (8.3, 8.4)",
       {{0x01, "a", "abc", stored_extras(0xdeadbeef)}, get("a"), get("b"), kNoop},
       "01 00 #\n00 00 xdeadbeef vabc #\n00 01 vNot found\n" + kNoopAnswer},
      {"get with key; its miss is the key",
       {set("a", "1"), {0x0c, "a"}, {0x0c, "b", "", "", 0, 5}},
       "01 00 #\n0c 00 x00000000 ka v1 #\n0c 01 kb o05\n"},
      {"quiet reads hide misses only",
       {set("a", "1"), {0x09, "b"}, {0x0d, "b"}, {0x09, "a"}, {0x0d, "a"}, kNoop},
       "01 00 #\n09 00 x00000000 v1 #\n0d 00 x00000000 ka v1 #\n" + kNoopAnswer},
      {"an id in a read is ignored",
       {set("a", "1"), {0x00, "a", "", "", 99}},
       "01 00 #\n00 00 x00000000 v1 #\n"},
      {"an empty value, a value of any bytes, a key of any bytes",
       {set("a", ""), get("a"), set("k \r\n\0z"s, "\r\n\0\x80"s), get("k \r\n\0z"s)},
       "01 00 #\n00 00 x00000000 #\n01 00 #\n00 00 x00000000 v\r\n\0\x80 #\n"s},
      {"keys of 250 bytes",
       {set(std::string(250, 'k'), "1"), get(std::string(250, 'k'))},
       "01 00 #\n00 00 x00000000 v1 #\n"},
      {"touch answers flags (17.7), and its miss",
       {{0x01, "a", "1", stored_extras(7)},
        {0x1c, "a", "", timed_extras(100)},
        {0x1c, "b", "", timed_extras(0)}},
       "01 00 #\n1c 00 x00000007 #\n1c 01 vNot found\n"},
      {"touch sets the time",
       {set("a", "1"), {0x1c, "a", "", timed_extras(kPast)}, get("a")},
       "01 00 #\n1c 00 x00000000 #\n00 01 vNot found\n"},
      {"get and touch, with key, quiet, and their misses",
       {set("a", "1"),
        {0x1d, "a", "", timed_extras(100)},
        {0x1e, "a", "", timed_extras(100)},
        {0x23, "a", "", timed_extras(100)},
        {0x24, "a", "", timed_extras(kPast)},
        {0x1d, "a", "", timed_extras(0)},
        {0x1e, "a", "", timed_extras(0)},
        {0x23, "a", "", timed_extras(0)},
        {0x24, "a", "", timed_extras(0)}},
       "01 00 #\n1d 00 x00000000 v1 #\n1e 00 x00000000 v1 #\n23 00 x00000000 ka v1 #\n"
       "24 00 x00000000 ka v1 #\n1d 01 vNot found\n23 01 ka\n"},
  };
}

std::vector<Exchange> storing() {
  const std::string exists = " 02 vData exists for key.\n";
  return {
      {"add and replace",
       {{0x03, "a", "0", kStored},
        {0x02, "a", "1", kStored},
        {0x02, "a", "2", kStored},
        {0x03, "a", "3", kStored},
        get("a")},
       "03 01 vNot found\n02 00 #\n02" + exists + "03 00 #\n00 00 x00000000 v3 #\n"},
      {"append and prepend keep flags",
       {{0x0e, "a", "z"},
        {0x0f, "a", "z"},
        {0x01, "a", "m", stored_extras(9)},
        {0x0e, "a", "n"},
        {0x0f, "a", "l"},
        {0x0e, "a", ""},
        get("a")},
       "0e 05 vNot stored.\n0f 05 vNot stored.\n01 00 #\n0e 00 #\n0f 00 #\n0e 00 #\n00 00 x00000009 vlmn "
       "#\n"},
      {"quiet writes hide success",
       {{0x11, "a", "1", kStored},
        {0x12, "b", "2", kStored},
        {0x13, "a", "3", kStored},
        {0x19, "a", "4"},
        {0x1a, "a", "5"},
        {0x14, "b"},
        {0x11, "n", "1", kStored},
        {0x15, "n", "", counted_extras(4)},
        {0x16, "n", "", counted_extras(1)},
        get("a"),
        get("b"),
        get("n")},
       "00 00 x00000000 v534 #\n00 01 vNot found\n00 00 x00000000 v4 #\n"},
      {"quiet writes show errors with their own opcode (17.5)",
       {set("a", "x"),
        {0x11, "a", "1", kStored, 99},
        {0x12, "a", "1", kStored},
        {0x13, "b", "1", kStored},
        {0x14, "b"},
        {0x15, "b", "", counted_extras(1)},
        {0x16, "a", "", counted_extras(1)},
        {0x19, "b", "1"},
        {0x1a, "b", "1"},
        {0x11, "a", kLong, kStored},
        kNoop},
       "01 00 #\n11" + exists + "12" + exists +
           "13 01 vNot found\n14 01 vNot found\n15 01 vNot found\n"
           "16 06 vNon-numeric server-side value for incr or decr\n19 05 vNot stored.\n1a 05 vNot stored.\n"
           "11 03 vToo large.\n" +
           kNoopAnswer},
      {"an id makes a compare-and-swap of set, add and replace; missing is not found (17.8)",
       {set("a", "1", 5),
        {0x02, "a", "1", kStored, 5},
        {0x03, "a", "1", kStored, 5},
        set("a", "1"),
        set("a", "1", 5),
        {0x02, "a", "1", kStored, 5},
        {0x03, "a", "1", kStored, 5}},
       "01 01 vNot found\n02 01 vNot found\n03 01 vNot found\n01 00 #\n01" + exists + "02" + exists + "03" +
           exists},
      {"an id of append, prepend and delete",
       {{0x0e, "a", "1", "", 5},
        {0x04, "a", "", "", 5},
        set("a", "1"),
        {0x0e, "a", "1", "", 5},
        {0x0f, "a", "1", "", 5},
        {0x04, "a", "", "", 5},
        {0x04, "a"},
        {0x04, "a"}},
       "0e 05 vNot stored.\n04 01 vNot found\n01 00 #\n0e" + exists + "0f" + exists + "04" + exists +
           "04 00\n04 01 vNot found\n"},
      {"too large: swallowed, and the old value of a set is gone",
       {set("a", "1"), set("a", kLong), get("a"), set("a", "1"), set("a", kLong, 5), get("a")},
       "01 00 #\n01 03 vToo large.\n00 01 vNot found\n01 00 #\n01 03 vToo large.\n00 01 vNot found\n"},
      {"too large: add, replace, append leave the old value",
       {set("a", "1"),
        {0x02, "a", kLong, kStored},
        {0x03, "a", kLong, kStored},
        {0x0e, "a", kLong},
        get("a")},
       "01 00 #\n02 03 vToo large.\n03 03 vToo large.\n0e 03 vToo large.\n00 00 x00000000 v1 #\n"},
      {"an append that would grow too large is not stored",
       {set("a", std::string(600, 'a')), {0x0e, "a", std::string(600, 'b')}, kNoop},
       "01 00 #\n0e 05 vNot stored.\n" + kNoopAnswer},
      {"times are unsigned: the largest is far away (4)",
       {{0x01, "a", "1", stored_extras(0, 0xffffffff)},
        get("a"),
        {0x01, "a", "1", stored_extras(0, kPast)},
        get("a")},
       "01 00 #\n00 00 x00000000 v1 #\n01 00 #\n00 01 vNot found\n"},
  };
}

std::vector<Exchange> counting() {
  const std::string number = "\0\0\0\0\0\0\0"s;
  return {
      {"increment and decrement of nothing (8.4)",
       {{0x05, "n", "", counted_extras(1, 5)}, {0x06, "n", "", counted_extras(1, 5)}, get("n")},
       "05 01 vNot found\n06 01 vNot found\n00 01 vNot found\n"},
      {"they create with the initial value; the delta is not applied",
       {{0x05, "n", "", counted_extras(3, 65, 0)},
        get("n"),
        {0x05, "n", "", counted_extras(1, 9, 0)},
        {0x06, "m", "", counted_extras(3, 66, 100)}},
       "05 00 v" + number + "A #\n00 00 x00000000 v65 #\n05 00 v" + number + "B #\n06 00 v" + number +
           "B #\n"},
      {"they create with a time",
       {{0x05, "n", "", counted_extras(3, 65, kPast)}, get("n")},
       "05 00 v" + number + "A #\n00 01 vNot found\n"},
      {"the largest initial value",
       {{0x15, "n", "", counted_extras(3, 0xffffffffffffffff, 0)},
        get("n"),
        {0x05, "n", "", counted_extras(66)}},
       "00 00 x00000000 v18446744073709551615 #\n05 00 v" + number + "A #\n"},
      {"padding and the floor (5.4)",
       {set("n", "10"),
        {0x06, "n", "", counted_extras(1)},
        get("n"),
        {0x06, "n", "", counted_extras(100)},
        get("n")},
       "01 00 #\n06 00 v" + number + "\t #\n00 00 x00000000 v9  #\n06 00 v" + number +
           "\0 #\n00 00 x00000000 v0  #\n"s},
      {"ids",
       {set("n", "1"), {0x05, "n", "", counted_extras(1), 5}, {0x05, "m", "", counted_extras(1, 65, 0), 5}},
       "01 00 #\n05 02 vData exists for key.\n05 00 v" + number + "A #\n"},
      {"text is no number",
       {set("n", "x1"), {0x05, "n", "", counted_extras(1, 0, 0)}},
       "01 00 #\n05 06 vNon-numeric server-side value for incr or decr\n"},
  };
}

std::vector<Exchange> administering() {
  return {
      {"no-op and version", {kNoop, {0x0b}}, kNoopAnswer + "0b 00 v1.6.45-ringcached-0.1.0\n"},
      {"quit answers and closes; what follows is not processed",
       {set("a", "1"), {0x07}, kNoop},
       "01 00 #\n07 00\nclosed"},
      {"quiet quit", {set("a", "1"), {0x17}, kNoop}, "01 00 #\nclosed"},
      {"flush, and a set behind it (17.12)",
       {set("a", "1"),
        {0x08},
        get("a"),
        set("b", "2"),
        {0x18},
        get("b"),
        set("c", "3"),
        {0x08, "", "", timed_extras(0)},
        get("c"),
        set("d", "4"),
        get("d")},
       "01 00 #\n08 00\n00 01 vNot found\n01 00 #\n00 01 vNot found\n01 00 #\n08 00\n00 01 vNot found\n01 00 "
       "#\n"
       "00 00 x00000000 v4 #\n"},
      {"a flush to come, and one of the past",
       {set("a", "1"), {0x08, "", "", timed_extras(100)}, {0x18, "", "", timed_extras(kPast)}, get("a")},
       "01 00 #\n08 00\n00 00 x00000000 v1 #\n"},
      {"SASL that is not switched on",
       {{0x20}, {0x21, "PLAIN", "\0a\0b"s}, {0x22, "PLAIN", ""}, kNoop},
       "20 81 vUnknown command\n21 81 vUnknown command\n22 81 vUnknown command\n" + kNoopAnswer},
      {"an unknown opcode drops its body once (16.6)",
       {{0x1b}, {0x30, "key", "value", "extra"}, {0xff, "", kLong}, kNoop},
       "1b 81 vUnknown command\n30 81 vUnknown command\nff 81 vUnknown command\n" + kNoopAnswer},
      {"groups of statistics that are none (8.5)",
       {{0x10, "conns"},
        {0x10, "cachedump 1 1"},
        {0x10, "detail"},
        {0x10, "detail up"},
        {0x10, "itemsx"},
        {0x10, "set"}},
       "10 01 vNot found\n10 01 vNot found\n10 01 vNot found\n10 01 vNot found\n10 01 vNot found\n10 01 vNot "
       "found\n"},
      {"statistics without figures",
       {{0x10, "reset"},
        {0x10, "detail on"},
        {0x10, "detail off"},
        {0x10, "items"},
        {0x10, "sizes", "", "", 0, 3}},
       "10 00\n10 00\n10 00\n10 00\n10 00 ksizes_status vdisabled o03\n10 00 o03\n"},
      {"the dump of prefixes is one pair", {{0x10, "detail dump"}}, "10 00 kdetailed vEND\r\n\n10 00\n"},
  };
}

// Section 8.2, and the shapes of 8.3: answer, close, and nothing of what follows.
std::vector<Exchange> refusing() {
  std::vector<Exchange> table = {
      {"a wrong magic byte closes without an answer",
       {kNoop, {.opcode = 0x0a, .magic = 0x81}, kNoop},
       kNoopAnswer + "closed"},
      {"text on a binary connection", {kNoop, {.opcode = 'e', .magic = 'g'}, kNoop}, kNoopAnswer + "closed"},
      {"a key longer than the body", {{0x01, "a", "", "", 0, 0, 0}, kNoop}, "01 81 vUnknown command\nclosed"},
      {"key and extras longer than the body",
       {{0x01, "a", "", kStored, 0, 0, 8}, kNoop},
       "01 81 vUnknown command\nclosed"},
      {"a body of more than 1 GiB",
       {{0x01, "a", "", kStored, 0, 0, (1 << 30) + 1}, kNoop},
       "01 04 vInvalid arguments\nclosed"},
      {"a body near 4 GiB",
       {{0x0e, "a", "", "", 0, 9, 0xffffffe8}, kNoop},
       "0e 04 vInvalid arguments o09\nclosed"},
      {"a key of 251 bytes", {{0x00, std::string(251, 'k')}, kNoop}, "00 04 vInvalid arguments\nclosed"},
      {"a key of 251 bytes for an unknown opcode",
       {{0x70, std::string(251, 'k')}, kNoop},
       "70 04 vInvalid arguments\nclosed"},
  };
  const auto refuse = [&table](Packet packet) {
    const std::string opcode = hexadecimal(packet.opcode, 2);
    table.push_back(
        {"a wrong shape", {kNoop, packet, kNoop}, kNoopAnswer + opcode + " 04 vInvalid arguments\nclosed"});
  };
  for (const int opcode : {0x00, 0x09, 0x0c, 0x0d, 0x04, 0x14}) {
    const auto op = static_cast<std::uint8_t>(opcode);
    for (const Packet& bad : {Packet{op}, Packet{op, "k", "v"}, Packet{op, "k", "", "1234"}}) refuse(bad);
  }
  for (const int opcode : {0x01, 0x02, 0x03, 0x11, 0x12, 0x13}) {
    const auto op = static_cast<std::uint8_t>(opcode);
    for (const Packet& bad :
         {Packet{op, "", "v", kStored}, Packet{op, "k", "v"}, Packet{op, "k", "v", "1234"}}) {
      refuse(bad);
    }
  }
  for (const int opcode : {0x0e, 0x0f, 0x19, 0x1a}) {
    const auto op = static_cast<std::uint8_t>(opcode);
    for (const Packet& bad : {Packet{op, "", "v"}, Packet{op, "k", "v", kStored}}) refuse(bad);
  }
  for (const int opcode : {0x05, 0x06, 0x15, 0x16}) {
    const auto op = static_cast<std::uint8_t>(opcode);
    for (const Packet& bad : {Packet{op, "", "", counted_extras(1)}, Packet{op, "k", "v", counted_extras(1)},
                              Packet{op, "k"}, Packet{op, "k", "", kStored}}) {
      refuse(bad);
    }
  }
  for (const int opcode : {0x1c, 0x1d, 0x1e, 0x23, 0x24}) {
    const auto op = static_cast<std::uint8_t>(opcode);
    for (const Packet& bad :
         {Packet{op, "", "", timed_extras(0)}, Packet{op, "k"}, Packet{op, "k", "v", timed_extras(0)}}) {
      refuse(bad);
    }
  }
  for (const int opcode : {0x07, 0x17, 0x08, 0x18, 0x0a, 0x0b, 0x20}) {
    const auto op = static_cast<std::uint8_t>(opcode);
    for (const Packet& bad : {Packet{op, "k"}, Packet{op, "", "v"}, Packet{op, "", "", "12345678"}})
      refuse(bad);
  }
  for (const Packet& bad :
       {Packet{0x10, "items", "v"}, Packet{0x10, "items", "", "1234"}, Packet{0x10, "", "", "1"},
        Packet{0x21, "", "x"}, Packet{0x22, "", "x"}, Packet{0x21, "PLAIN", "x", "1"}}) {
    refuse(bad);
  }
  return table;
}

std::string encode_all(const std::vector<Packet>& packets) {
  std::string bytes;
  for (const Packet& packet : packets) bytes += encode(packet);
  return bytes;
}

std::string converse(SessionHarness& harness, const Pieces& pieces) {
  std::string bytes;
  for (const std::string_view piece : pieces) bytes += harness.feed(piece);
  return render_answers(bytes) + (harness.closed() ? "closed" : "");
}

std::string converse(SessionHarness& harness, const std::vector<Packet>& packets) {
  const std::string bytes = encode_all(packets);
  return converse(harness, Pieces{bytes});
}

std::string self_describing(std::size_t bytes) {
  std::string value(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) value[i] = static_cast<char>((i * 31 + bytes) % 251);
  return value;
}

}  // namespace

TEST_SUITE("binary session") {
  TEST_CASE("every exchange, whole and cut everywhere") {
    for (const auto& table : {reading(), storing(), counting(), administering(), refusing()}) {
      for (const Exchange& exchange : table) {
        const std::string bytes = encode_all(exchange.sent);
        for_each_fragmentation(bytes, [&](const std::string& how, const Pieces& pieces) {
          SessionHarness harness(small_items());
          const std::string received = converse(harness, pieces);
          CHECK_MESSAGE(received == exchange.expected,
                        exchange.name << ", opcode " << int{exchange.sent[0].opcode} << ", " << how);
        });
      }
    }
  }

  TEST_CASE("the id of an answer is the item's, and swaps once") {
    SessionHarness harness;
    const auto id_of = [&](const Packet& packet) { return number_at(harness.feed(encode(packet)), 16, 8); };
    const std::uint64_t first = id_of(set("a", "1"));
    CHECK(first != 0);
    CHECK(id_of(get("a")) == first);
    CHECK(id_of({0x1c, "a", "", timed_extras(0)}) == first);
    const std::uint64_t second = id_of({0x02, "a", "2", kStored, first});  // add with an id swaps
    CHECK(second != first);
    CHECK(id_of(get("a")) == second);
    CHECK(converse(harness, {set("a", "3", first)}) == "01 02 vData exists for key.\n");
    const std::uint64_t third = id_of({0x0e, "a", "0", "", second});
    const std::uint64_t fourth = id_of({0x05, "a", "", counted_extras(1), third});
    CHECK(id_of(get("a")) == fourth);
    CHECK(converse(harness, {get("a")}) == "00 00 x00000000 v21 #\n");
    CHECK(converse(harness, {{0x04, "a", "", "", id_of(get("a"))}}) == "04 00\n");
  }

  TEST_CASE("values of every size come back whole") {
    for (const std::size_t bytes : {1UL, 100UL, 4095UL, 4096UL, 4097UL, 32768UL, 100000UL, 1000000UL}) {
      for (const std::size_t piece : {~std::size_t{0}, std::size_t{4099}, std::size_t{16384}}) {
        SessionHarness harness;
        const std::string value = self_describing(bytes);
        CHECK(render_answers(harness.feed(encode(set("big", value)), piece)) == "01 00 #\n");
        const bool hit =
            render_answers(harness.feed(encode({0x0c, "big"}))) == "0c 00 x00000000 kbig v" + value + " #\n";
        CHECK(hit);
        CHECK(harness.feed(encode({0x11, "big", value, kStored}), piece).empty());
        const std::string text = "VALUE big 0 " + std::to_string(bytes) + "\r\n" + value + "\r\nEND\r\n";
        harness.reconnect();
        CHECK((harness.feed("get big\r\n") == text));
      }
    }
  }

  TEST_CASE("a value too large is refused before it comes, and dropped as it comes") {
    SessionHarness harness(small_items());
    const std::string packet = encode(set("a", kLong));
    const std::size_t cut = packet.size() - kLong.size();
    CHECK(render_answers(harness.feed(packet.substr(0, cut))) == "01 03 vToo large.\n");
    CHECK(harness.feed(packet.substr(cut, 1000)).empty());
    CHECK(render_answers(harness.feed(packet.substr(cut + 1000) + encode(kNoop))) == kNoopAnswer);
  }

  TEST_CASE("out of memory") {
    ringcached::store::Options options;
    options.memory_limit_bytes = std::size_t{2} << 20;
    options.evict = false;
    SessionHarness harness(options);
    const std::string value(100000, 'v');
    std::string answer;
    for (int i = 0; i < 100 && answer.find("82") == std::string::npos; ++i) {
      answer = converse(harness, {{0x11, "key" + std::to_string(i), value, kStored}});
    }
    CHECK((answer == "11 82 vOut of memory allocating item\n" ||
           answer == "11 82 vOut of memory during read\n"));
    CHECK(converse(harness, {kNoop}) == kNoopAnswer);
  }

  TEST_CASE("a connection that ends inside a value leaves the old one") {
    SessionHarness harness;
    converse(harness, {set("a", "old")});
    const std::string packet = encode(set("a", std::string(50000, 'n')));
    harness.feed(packet.substr(0, packet.size() / 2));
    harness.reconnect();
    CHECK(converse(harness, {get("a")}) == "00 00 x00000000 vold #\n");
  }

  TEST_CASE("without ids (-C) none is sent and none matches") {
    ringcached::store::Options options;
    options.cas = false;
    SessionHarness harness(options);
    CHECK(converse(harness, {set("a", "1"), get("a"), set("a", "2", 1), {0x04, "a", "", "", 1}}) ==
          "01 00\n00 00 x00000000 v1\n01 02 vData exists for key.\n04 02 vData exists for key.\n");
  }

  TEST_CASE("flush_all not allowed (-F) is an authentication failure") {
    ringcached::config::Config config;
    config.commands.flush_enabled = false;
    SessionHarness harness({}, config);
    CHECK(converse(harness, {set("a", "1"), {0x08}, {0x18}, get("a")}) ==
          "01 00 #\n08 20 vAuth failure.\n18 20 vAuth failure.\n00 00 x00000000 v1 #\n");
  }

  TEST_CASE("statistics are those of text") {
    SessionHarness harness;
    converse(harness, {set("a", "1"), get("a"), get("b")});
    for (const std::string group : {"", "settings", "slabs", "items", "numa"}) {
      const std::string packets = render_answers(harness.feed(encode({0x10, group})));
      harness.reconnect();
      std::string lines = harness.feed("stats" + (group.empty() ? "" : " " + group) + "\r\n");
      harness.reconnect();
      CHECK(packets.ends_with("\n10 00\n"));
      CHECK(std::count(packets.begin(), packets.end(), '\n') == std::count(lines.begin(), lines.end(), '\n'));
      for (std::size_t at = 0; (at = lines.find("STAT ", at)) != std::string::npos;) {
        const std::size_t end = lines.find('\r', at);
        std::string line = lines.substr(at, end - at);
        at = end;
        if (line.starts_with("STAT rusage")) continue;
        line.replace(0, 5, "10 00 k");
        line.replace(line.find(' ', 7), 1, " v");
        CHECK_MESSAGE(packets.find(line + "\n") != std::string::npos, line);
      }
    }
    CHECK(render_answers(harness.feed(encode({0x10}))).find("10 00 kget_misses v1\n") != std::string::npos);
    converse(harness, {{0x10, "reset"}});
    CHECK(render_answers(harness.feed(encode({0x10}))).find("10 00 kget_misses v0\n") != std::string::npos);
  }

  TEST_CASE("commands are counted as those of text") {
    SessionHarness harness(small_items());
    const auto count = [&](ringcached::server::Count counter) {
      return harness.worker().counters.get(counter);
    };
    using ringcached::server::Count;
    converse(harness, {set("a", "1"),
                       set("a", "1", 99),
                       set("b", "1", 99),
                       {0x02, "a", "1", kStored},
                       {0x0e, "a", "1"},
                       set("c", kLong),
                       get("a"),
                       get("b"),
                       {0x0d, "b"}});
    CHECK(count(Count::kCmdSet) == 5);
    CHECK(count(Count::kCasBadval) == 1);
    CHECK(count(Count::kCasMisses) == 1);
    CHECK(count(Count::kStoreTooLarge) == 1);
    CHECK(count(Count::kCmdGet) == 3);
    CHECK(count(Count::kGetHits) == 1);
    CHECK(count(Count::kGetMisses) == 2);
    converse(harness, {{0x1c, "a", "", timed_extras(0)},
                       {0x1d, "a", "", timed_extras(0)},
                       {0x1c, "b", "", timed_extras(0)},
                       {0x1e, "b", "", timed_extras(0)}});
    CHECK(count(Count::kCmdGet) == 3);
    CHECK(count(Count::kCmdTouch) == 4);
    CHECK(count(Count::kTouchHits) == 2);
    CHECK(count(Count::kTouchMisses) == 2);
    converse(harness, {{0x05, "n", "", counted_extras(1, 5, 0)},
                       {0x05, "n", "", counted_extras(1)},
                       {0x06, "m", "", counted_extras(1)},
                       {0x06, "n", "", counted_extras(1)},
                       {0x04, "n"},
                       {0x04, "n"}});
    CHECK(count(Count::kIncrHits) == 1);
    CHECK(count(Count::kIncrMisses) == 0);  // one that creates is none
    CHECK(count(Count::kDecrMisses) == 1);
    CHECK(count(Count::kDecrHits) == 1);
    CHECK(count(Count::kDeleteHits) == 1);
    CHECK(count(Count::kDeleteMisses) == 1);
    converse(harness, {{0x08}, {0x18}});
    CHECK(count(Count::kCmdFlush) == 2);
  }

  TEST_CASE("a pipeline yields to others, and stops while the output is full") {
    std::vector<Packet> packets{set("a", std::string(900, 'v'))};
    std::string expected = "01 00 #\n";
    for (int i = 0; i < 200; ++i) {
      packets.push_back(get("a"));
      expected += "00 00 x00000000 v" + std::string(900, 'v') + " #\n";
    }
    SessionHarness yielding;
    yielding.connection().others_waiting_ = true;
    CHECK((converse(yielding, packets) == expected));
    CHECK(yielding.yields() > 0);
    SessionHarness slow;
    slow.connection().high_water_ = 4096;
    CHECK((converse(slow, packets) == expected));
    CHECK(slow.connection().unsent_most < 32768);
  }
}
