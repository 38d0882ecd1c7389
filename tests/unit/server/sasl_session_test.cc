// Binary clients that have to authenticate (-S), as whole conversations: specification section 8.6.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "support/binary_packet.h"
#include "support/session_harness.h"
#include "support/temporary_directory.h"

using namespace ringcached;
using namespace ringcached::testing;
using namespace std::string_literals;

namespace {

enum Opcode : unsigned char { kGet = 0x00, kNoop = 0x0a, kVersion = 0x0b, kList = 0x20, kAuth, kStep };

std::string request(Opcode opcode, std::string_view key = {}, std::string_view value = {}) {
  return encode({.opcode = opcode, .key = std::string(key), .value = std::string(value)});
}

// As render_answers writes it.
std::string answer(Opcode opcode, unsigned status, std::string_view text = {}) {
  std::string line = hexadecimal(opcode, 2) + " " + hexadecimal(status, 2);
  if (!text.empty()) line.append(" v").append(text);
  return line + "\n";
}

const std::string kGood = "\0bob@h\0secret"s;
const std::string kWrong = "\0bob@h\0other"s;
const std::string kRefused = "Auth failure.";
const std::string kLogin = request(kAuth, "PLAIN", kGood);
const std::string kLoggedIn = answer(kAuth, 0, "Authenticated");
const std::string kNoopAnswer = answer(kNoop, 0);

struct Exchange {
  const char* name;
  std::string sent;
  std::string expected;
  bool closed = false;
};

const std::vector<Exchange>& exchanges() {
  static const std::vector<Exchange> table = {
      {"list and version need no authentication", request(kList) + request(kNoop),
       answer(kList, 0, "PLAIN") + answer(kNoop, 0x20, kRefused), true},
      {"anything else does", request(kGet, "key") + kLogin, answer(kGet, 0x20, kRefused), true},
      {"an unknown opcode does, too", encode({.opcode = 0x99}), "99 20 v" + kRefused + "\n", true},
      {"good, and what is pipelined behind it", kLogin + request(kNoop) + request(kGet, "key"),
       kLoggedIn + kNoopAnswer + answer(kGet, 1, "Not found")},
      {"wrong ones, then the right one",
       request(kAuth, "PLAIN", kWrong) + request(kAuth, "PLAIN", "garbage") + kLogin + request(kNoop),
       answer(kAuth, 0x20, kRefused) + answer(kAuth, 0x20, kRefused) + kLoggedIn + kNoopAnswer},
      {"in two steps", request(kAuth, "PLAIN") + request(kStep, "PLAIN", kGood) + request(kNoop),
       answer(kAuth, 0x21) + answer(kStep, 0, "Authenticated") + kNoopAnswer},
      {"a wrong second step", request(kAuth, "PLAIN") + request(kStep, "PLAIN", kWrong) + request(kNoop),
       answer(kAuth, 0x21) + answer(kStep, 0x20, kRefused) + answer(kNoop, 0x20, kRefused), true},
      {"a step before the start", request(kStep, "PLAIN", kGood) + request(kNoop),
       answer(kStep, 0x20, kRefused) + answer(kNoop, 0x20, kRefused), true},
      {"an unfinished attempt opens nothing", request(kAuth, "PLAIN") + request(kNoop),
       answer(kAuth, 0x21) + answer(kNoop, 0x20, kRefused), true},
      {"an unknown mechanism", request(kAuth, "CRAM-MD5", kGood) + request(kNoop),
       answer(kAuth, 0x20, kRefused) + answer(kNoop, 0x20, kRefused), true},
      {"a mechanism beyond 32 bytes", request(kAuth, std::string(33, 'X'), kGood) + kLogin,
       answer(kAuth, 4, "Invalid arguments"), true},
      {"a list leaves the authentication alone", kLogin + request(kList) + request(kNoop),
       kLoggedIn + answer(kList, 0, "PLAIN") + kNoopAnswer},
      {"a wrong attempt takes it away", kLogin + request(kAuth, "PLAIN", kWrong) + request(kNoop),
       kLoggedIn + answer(kAuth, 0x20, kRefused) + answer(kNoop, 0x20, kRefused), true},
      {"so does one that is not finished", kLogin + request(kAuth, "PLAIN") + request(kNoop),
       kLoggedIn + answer(kAuth, 0x21) + answer(kNoop, 0x20, kRefused), true},
      {"the longest message", request(kAuth, "PLAIN", std::string(1024, 'x')) + kLogin + request(kNoop),
       answer(kAuth, 0x20, kRefused) + kLoggedIn + kNoopAnswer},
      {"longer ones are dropped", request(kAuth, "PLAIN", std::string(5000, 'x')) + kLogin + request(kNoop),
       answer(kAuth, 0x20, kRefused) + kLoggedIn + kNoopAnswer},
      {"text is no way in", "get key\r\n", "", true},
  };
  return table;
}

}  // namespace

TEST_SUITE("sasl sessions") {
  TEST_CASE("every conversation, in every fragmentation") {
    const TemporaryDirectory directory;
    config::Config config;
    config.sasl_password_file = directory.write("users", "bob@h:secret\n");
    for (const Exchange& exchange : exchanges()) {
      for (const std::size_t piece_bytes :
           {~std::size_t{0}, std::size_t{1}, std::size_t{7}, std::size_t{24}}) {
        INFO(exchange.name, ", pieces of ", piece_bytes);
        SessionHarness harness({}, config);
        harness.reconnect(static_cast<unsigned>(config::Protocol::kBinary));
        CHECK(render_answers(harness.feed(exchange.sent, piece_bytes)) == exchange.expected);
        CHECK(harness.closed() == exchange.closed);
      }
    }
  }

  TEST_CASE("each finished attempt is counted") {
    const TemporaryDirectory directory;
    config::Config config;
    config.sasl_password_file = directory.write("users", "bob@h:secret\n");
    SessionHarness harness({}, config);
    harness.reconnect(static_cast<unsigned>(config::Protocol::kBinary));
    harness.feed(request(kList) + request(kAuth, "PLAIN") + request(kStep, "PLAIN", kWrong) + kLogin);
    CHECK(harness.worker().counters.get(server::Count::kAuthCmds) == 2);
    CHECK(harness.worker().counters.get(server::Count::kAuthErrors) == 1);
  }

  TEST_CASE("without -S there is no such command, and nothing to authenticate") {
    SessionHarness harness;
    CHECK(render_answers(harness.feed(request(kList) + kLogin + request(kNoop))) ==
          answer(kList, 0x81, "Unknown command") + answer(kAuth, 0x81, "Unknown command") + kNoopAnswer);
  }

  TEST_CASE("a binary listener closes on text, a text listener answers binary with an error") {
    SessionHarness harness;
    harness.reconnect(static_cast<unsigned>(config::Protocol::kBinary));
    CHECK(render_answers(harness.feed(request(kNoop))) == kNoopAnswer);
    CHECK(harness.feed("get a\r\n" + std::string(24, ' ')).empty());
    CHECK(harness.closed());
    harness.reconnect(static_cast<unsigned>(config::Protocol::kAscii));
    CHECK(harness.feed(request(kVersion) + "\r\nget a\r\n\x81 get a\r\n") == "ERROR\r\nEND\r\nERROR\r\n");
  }
}
