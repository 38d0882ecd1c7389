// Text clients that have to log in (-Y), as whole conversations.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "support/session_harness.h"
#include "support/temporary_directory.h"

using namespace ringcached;
using ringcached::testing::SessionHarness;
using ringcached::testing::TemporaryDirectory;
using namespace std::string_literals;

namespace {

struct Exchange {
  const char* name;
  std::string sent;
  std::string expected;
  bool closed = false;
};

const std::string kLogin = "set a 0 0 10\r\nbob secret\r\n";

const std::vector<Exchange>& exchanges() {
  static const std::vector<Exchange> table = {
      {"good", kLogin, "STORED\r\n"},
      {"good, and what is pipelined behind it", kLogin + "set k 1 0 1\r\nv\r\nget k a\r\ndelete k\r\n",
       "STORED\r\nSTORED\r\nVALUE k 1 1\r\nv\r\nEND\r\nDELETED\r\n"},
      {"a login once logged in is a set", kLogin + kLogin + "get a\r\n",
       "STORED\r\nSTORED\r\nVALUE a 0 10\r\nbob secret\r\nEND\r\n"},
      {"a password with a space and a colon", "set a 0 0 15\r\nann pass word:x\r\nget a\r\n",
       "STORED\r\nEND\r\n"},
      {"wrong ones, then the right one",
       "set a 0 0 10\r\nbob secreT\r\nset a 0 0 9\r\nbob secre\r\nset a 0 0 4\r\nbob \r\nset a 0 0 1\r\n "
       "\r\n" +
           kLogin,
       "CLIENT_ERROR authentication failure\r\nCLIENT_ERROR authentication failure\r\n"
       "CLIENT_ERROR authentication failure\r\nCLIENT_ERROR authentication failure\r\nSTORED\r\n"},
      {"other commands", "get foo\r\nversion\r\nflush_all\r\nstats\r\n" + kLogin + "get foo\r\n",
       "CLIENT_ERROR unauthenticated\r\nCLIENT_ERROR unauthenticated\r\nCLIENT_ERROR unauthenticated\r\n"
       "CLIENT_ERROR unauthenticated\r\nSTORED\r\nEND\r\n"},
      {"the data of a refused line is a line", "add a 0 0 10\r\nbob secret\r\n",
       "CLIENT_ERROR unauthenticated\r\nCLIENT_ERROR unauthenticated\r\n"},
      {"size not a number", "set a 0 0 x\r\n" + kLogin, "CLIENT_ERROR unauthenticated\r\nSTORED\r\n"},
      {"no space", "set a 0 0 6\r\nbobsec\r\n" + kLogin,
       "CLIENT_ERROR bad authentication token format\r\nSTORED\r\n"},
      {"no end of line", "set a 0 0 10\r\nbob secretXX" + kLogin,
       "CLIENT_ERROR bad command line termination\r\nSTORED\r\n"},
      {"too long a token", "set a 0 0 2147483646\r\n" + kLogin,
       "CLIENT_ERROR auth token too long\r\nSTORED\r\n"},
      {"the longest token", "set a 0 0 16384\r\nbob " + std::string(16380, 'x') + "\r\n" + kLogin,
       "CLIENT_ERROR authentication failure\r\nSTORED\r\n"},
      {"a run of bare line feeds", "\n\n\n\n\n", "", true},
      {"a short line ends the connection, what came before is answered", "get foo\r\nmn\r\n" + kLogin,
       "CLIENT_ERROR unauthenticated\r\n", true},
      {"binary is no way in", "\x80\x0b"s + std::string(22, '\0') + "\n", "CLIENT_ERROR unauthenticated\r\n"},
  };
  return table;
}

}  // namespace

TEST_SUITE("login") {
  TEST_CASE("every conversation, in every fragmentation") {
    const TemporaryDirectory directory;
    config::Config config;
    config.text_password_file = directory.write("users", "bob:secret\nann:pass word:x\n");
    for (const Exchange& exchange : exchanges()) {
      for (const std::size_t piece_bytes :
           {~std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{7}}) {
        for (const config::Protocol protocol :
             {config::Protocol::kAuto, config::Protocol::kAscii, config::Protocol::kBinary}) {
          INFO(exchange.name, ", pieces of ", piece_bytes);
          SessionHarness harness({}, config);
          harness.reconnect(static_cast<unsigned>(protocol));
          CHECK(harness.feed(exchange.sent, piece_bytes) == exchange.expected);
          CHECK(harness.closed() == exchange.closed);
          if (exchange.sent.size() > 1000) break;
        }
      }
    }
  }

  TEST_CASE("attempts with a token are counted, failed ones too") {
    const TemporaryDirectory directory;
    config::Config config;
    config.text_password_file = directory.write("users", "bob:secret\n");
    SessionHarness harness({}, config);
    harness.feed("get foo\r\nset a 0 0 6\r\nbobsec\r\nset a 0 0 20000\r\nset a 0 0 6\r\nb bsecXX");
    CHECK(harness.worker().counters.get(server::Count::kAuthCmds) == 0);
    harness.feed("set a 0 0 3\r\nx y\r\nset a 0 0 3\r\nx y\r\n" + kLogin);
    CHECK(harness.worker().counters.get(server::Count::kAuthCmds) == 3);
    CHECK(harness.worker().counters.get(server::Count::kAuthErrors) == 2);
    CHECK(harness.worker().counters.get(server::Count::kCmdSet) == 0);
  }

  TEST_CASE("a stream of failures yields to others and stops at the high-water mark") {
    const TemporaryDirectory directory;
    config::Config config;
    config.text_password_file = directory.write("users", "bob:secret\n");
    SessionHarness harness({}, config);
    harness.connection().others_waiting_ = true;
    harness.connection().high_water_ = 4096;
    std::string flood;
    for (int i = 0; i < 5000; ++i) flood += "get something\r\n";
    CHECK(harness.feed(flood).size() == 5000 * std::string("CLIENT_ERROR unauthenticated\r\n").size());
    CHECK(harness.yields() > 0);
    CHECK(harness.connection().unsent_most < 4096 + 8192);
  }

  TEST_CASE("nothing but a right login opens a connection, whatever is sent and however it is cut") {
    const TemporaryDirectory directory;
    config::Config config;
    config.text_password_file = directory.write("users", "bob:secret\n");
    SessionHarness harness({}, config);
    const std::vector<std::string> pieces = {"set a 0 0 10\r\n",
                                             "bob secret\r\n",
                                             "bob secre",
                                             "t",
                                             "\r\n",
                                             "\n",
                                             " ",
                                             "set ",
                                             "0 ",
                                             "10",
                                             "bob ",
                                             "get a\r\n",
                                             "\x80",
                                             "\0"s,
                                             "add ",
                                             "quit ",
                                             "-1\r\n",
                                             "16384\r\nx",
                                             "bob secreT\r\n"};
    std::mt19937_64 random(20261129);
    int logins = 0;
    for (int round = 0; round < 3000; ++round) {
      std::string stream;
      for (auto count = random() % 12; count > 0; --count) stream += pieces[random() % pieces.size()];
      const bool has_login = stream.find("bob secret\r\n") != std::string::npos;
      CAPTURE(round);
      harness.reconnect();
      const std::string whole = harness.feed(stream);
      const bool closed = harness.closed();
      std::size_t at = whole.find("STORED\r\n");
      if (!has_login) CHECK(at == std::string::npos);
      logins += at != std::string::npos;
      at = std::min(at, whole.size());
      for (std::size_t from = 0; from < at;) {
        const std::size_t end = whole.find("\r\n", from) + 2;
        const std::string line = whole.substr(from, end - from);
        CHECK(line.starts_with("CLIENT_ERROR "));
        from = end;
      }
      harness.reconnect();
      CHECK(harness.feed(stream, 1 + random() % 5) == whole);
      CHECK(harness.closed() == closed);
    }
    CHECK(logins > 0);
  }
}
