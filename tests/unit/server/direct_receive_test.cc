// Values received into the store's memory: the client must not be able to tell.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "support/binary_packet.h"
#include "support/session_harness.h"

using namespace ringcached::testing;

namespace {

std::string value_of(std::size_t bytes, char first) {
  std::string value(bytes, ' ');
  for (std::size_t i = 0; i < bytes; ++i) value[i] = static_cast<char>(first + i % 23);
  return value;
}

std::string block(std::string_view line, const std::string& value) {
  return std::string(line) + std::to_string(value.size()) + "\r\n" + value + "\r\n";
}

// A conversation around values of `bytes`: in every way of storing, followed by small requests at once.
std::string text_conversation(std::size_t bytes) {
  const std::string value = value_of(bytes, 'a');
  const std::string number = std::to_string(bytes);
  std::string sent = block("set k 5 0 ", value) + "get k\r\n";
  sent += block("append k 0 0 ", value_of(bytes, 'A')) + "mg k s t\r\n";
  sent += block("add k 0 0 ", value) + block("replace k 1 0 ", value_of(bytes, 'B')) + "get k nothing\r\n";
  sent += "ms m " + number + " T0\r\n" + value + "\r\nmg m s\r\n";
  // Not ended as it must be, and announced too small: the tail is a line of its own.
  sent += "set k 0 0 " + number + "\r\n" + value + "x\nget k\r\n";
  sent += "set n 0 0 " + number + " noreply\r\n" + value + "\r\nget n\r\ndelete n\r\n";
  return sent + "set z 0 0 1\r\nz\r\nversion\r\n";
}

std::string binary_conversation(std::size_t bytes) {
  const std::string value = value_of(bytes, 'a');
  std::string sent = encode({0x01, "k", value, stored_extras(7)}) + encode({0x0c, "k"});
  sent += encode({0x11, "q", value, stored_extras()}) + encode({0x0c, "q"});
  sent += encode({0x0e, "k", value_of(bytes, 'A')}) + encode({0x0c, "k"});
  return sent + encode({0x0a});
}

struct Heard {
  std::string text;
  unsigned direct = 0;
};

Heard hear(const std::string& sent, std::size_t piece_bytes, bool direct) {
  SessionHarness harness;
  harness.receives_direct = direct;
  std::string text = harness.feed(sent, piece_bytes);
  return {std::move(text), harness.received_direct};
}

}  // namespace

TEST_SUITE("direct_receive") {
  TEST_CASE("answers are those of values that came by buffers, whatever the pieces") {
    for (const bool binary : {false, true}) {
      for (const std::size_t bytes : {4000UL, 4300UL, 32'700UL, 33'000UL, 300'000UL}) {
        const std::string sent = binary ? binary_conversation(bytes) : text_conversation(bytes);
        const Heard whole = hear(sent, ~std::size_t{0}, false);
        CHECK(whole.direct == 0);
        REQUIRE(whole.text.size() > 3 * bytes);
        for (const std::size_t piece : {97UL, 1000UL, 4095UL, 16'384UL, 100'003UL}) {
          if (piece < 1000 && bytes > 40'000) continue;
          CAPTURE(binary);
          CAPTURE(bytes);
          CAPTURE(piece);
          const Heard heard = hear(sent, piece, true);
          const bool same = heard.text == whole.text;
          CHECK(same);
          if (bytes < 4096) CHECK(heard.direct == 0);
          if (bytes > 2 * piece + 4096) CHECK(heard.direct > 0);
        }
      }
    }
  }

  TEST_CASE("every cut of a block around its end") {
    const std::string value = value_of(9000, 'a');
    const std::string sent = block("set k 0 0 ", value) + "get k\r\n";
    const std::string expected = "STORED\r\nVALUE k 0 9000\r\n" + value + "\r\nEND\r\n";
    const std::size_t end = sent.size() - std::string_view("get k\r\n").size();
    for (std::size_t cut = end - 8; cut < sent.size(); ++cut) {
      SessionHarness harness;
      // The line and some of the value, the rest up to the cut, what is behind it.
      std::string heard = harness.feed(std::string_view(sent).substr(0, 300));
      heard += harness.feed(std::string_view(sent).substr(300, cut - 300));
      heard += harness.feed(std::string_view(sent).substr(cut));
      const bool same = heard == expected;
      CHECK_MESSAGE(same, "cut at " << cut << " of " << sent.size());
      CHECK(harness.received_direct >= 1);
    }
  }

  TEST_CASE("memory that runs out in the middle of a value is answered, and the rest dropped") {
    ringcached::store::Options options;
    options.memory_limit_bytes = std::size_t{2} << 20;
    options.evict = false;
    options.item_bytes_max = std::size_t{2} << 20;
    SessionHarness harness(options);
    const std::string filler = value_of(200'000, 'f');
    for (unsigned i = 0; i < 5; ++i) {
      CHECK(harness.feed(block("set filler" + std::to_string(i) + " 0 0 ", filler)) == "STORED\r\n");
    }
    const std::string value = value_of(1'500'000, 'a');
    const std::string heard = harness.feed(block("set k 0 0 ", value) + "get k\r\nversion\r\n", 16'384);
    CHECK(harness.received_direct > 0);
    CHECK(heard.starts_with("SERVER_ERROR Out of memory during read\r\nEND\r\nVERSION "));
    CHECK(harness.feed("get filler0\r\n").size() > filler.size());
  }

  TEST_CASE("a client that leaves in the middle of a value leaves nothing") {
    SessionHarness harness;
    const std::uint64_t used = harness.store().stats().items;
    const std::string sent = block("set k 0 0 ", value_of(500'000, 'a'));
    CHECK(harness.feed(std::string_view(sent).substr(0, 200'000), 10'000).empty());
    CHECK(harness.received_direct > 0);
    harness.reconnect();
    CHECK(harness.feed("get k\r\n") == "END\r\n");
    CHECK(harness.store().stats().items == used);
  }
}
