#include "server/text_session.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "server/lookahead.h"
#include "server/retrieval.h"
#include "support/exchange.h"
#include "support/session_harness.h"

using ringcached::testing::Exchange;
using ringcached::testing::SessionHarness;
using ringcached::testing::small_items;
using namespace ringcached;
using namespace std::string_literals;

namespace {

// Each on a fresh server. Rules named by their section in the protocol specification.
const std::vector<Exchange>& exchanges() {
  static const std::vector<Exchange> table = {
      {"set and get", "set a 5 0 3\r\nabc\r\nget a\r\n", "STORED\r\nVALUE a 5 3\r\nabc\r\nEND\r\n"},
      {"a miss", "get nothing\r\n", "END\r\n"},
      {"multiget keeps the order and answers duplicates",
       "set a 0 0 1\r\n1\r\nset b 0 0 1\r\n2\r\nget b x a b\r\n",
       "STORED\r\nSTORED\r\nVALUE b 0 1\r\n2\r\nVALUE a 0 1\r\n1\r\nVALUE b 0 1\r\n2\r\nEND\r\n"},
      {"line endings and blanks in a multiget", "set a 0 0 1\r\n1\r\nget  a  x   a \nget x a\n",
       "STORED\r\nVALUE a 0 1\r\n1\r\nVALUE a 0 1\r\n1\r\nEND\r\nVALUE a 0 1\r\n1\r\nEND\r\n"},
      {"add, replace, append, prepend",
       "replace a 0 0 1\r\nx\r\nadd a 3 0 1\r\nm\r\nadd a 0 0 1\r\nx\r\nappend a 9 9 2\r\nno\r\nprepend a 0 "
       "0 1\r\nl\r\nget a\r\n",
       "NOT_STORED\r\nSTORED\r\nNOT_STORED\r\nSTORED\r\nSTORED\r\nVALUE a 3 4\r\nlmno\r\nEND\r\n"},
      {"a value may hold line ends", "set a 0 0 4\r\n\r\n\r\n\r\nget a\r\n",
       "STORED\r\nVALUE a 0 4\r\n\r\n\r\n\r\nEND\r\n"},
      {"an empty value", "set a 0 0 0\r\n\r\nget a\r\n", "STORED\r\nVALUE a 0 0\r\n\r\nEND\r\n"},
      {"a value longer than announced leaves its tail (1.4)", "set a 0 0 1\r\nabcde\r\nget a\r\n",
       "CLIENT_ERROR bad data chunk\r\nERROR\r\nEND\r\n"},
      {"a bare line feed does not end a value", "set a 0 0 1\r\nx\nZget a\r\n",
       "CLIENT_ERROR bad data chunk\r\nEND\r\n"},
      {"noreply hides success and failure",
       "set a 0 0 1 noreply\r\n1\r\nadd a 0 0 1 noreply\r\n2\r\nset a 0 0 1 noreply\r\nlong\r\nget a\r\n",
       "CLIENT_ERROR bad command line format\r\nVALUE a 0 1\r\n1\r\nEND\r\n"},
      {"a faulty line with noreply is swallowed in silence, behind other replies",
       "get b\r\nset a x 0 3 noreply\r\nnew\r\ntouch a noreply\r\nget a\r\n", "END\r\nEND\r\n"},
      {"incr, decr, padding, wrap (5.4)",
       "set n 0 0 2\r\n10\r\ndecr n 1\r\nget n\r\nincr n 5\r\ndecr n 100\r\nset n 0 0 "
       "20\r\n18446744073709551615\r\nincr n 1\r\n",
       "STORED\r\n9\r\nVALUE n 0 2\r\n9 \r\nEND\r\n14\r\n0\r\nSTORED\r\n0\r\n"},
      {"incr that grows", "set n 7 0 2\r\n99\r\nincr n 1\r\nget n\r\n",
       "STORED\r\n100\r\nVALUE n 7 3\r\n100\r\nEND\r\n"},
      {"incr of text and of nothing",
       "set n 0 0 3\r\nabc\r\nincr n 1\r\nincr m 1\r\ndecr m 1 noreply\r\nincr n x\r\n",
       "STORED\r\nCLIENT_ERROR cannot increment or decrement non-numeric value\r\nNOT_FOUND\r\n"
       "CLIENT_ERROR invalid numeric delta argument\r\n"},
      {"delete", "set a 0 0 1\r\n1\r\ndelete a\r\ndelete a\r\ndelete noreply\r\nget a\r\n",
       "STORED\r\nDELETED\r\nNOT_FOUND\r\nNOT_FOUND\r\nEND\r\n"},
      {"touch", "touch a 0\r\nset a 0 0 1\r\n1\r\ntouch a -1\r\nget a\r\n",
       "NOT_FOUND\r\nSTORED\r\nTOUCHED\r\nEND\r\n"},
      {"gat returns, then expires", "set a 0 0 1\r\n1\r\ngat -1 a\r\nget a\r\n",
       "STORED\r\nVALUE a 0 1\r\n1\r\nEND\r\nEND\r\n"},
      {"a negative expiry hides the old value", "set a 0 0 1\r\n1\r\nset a 0 -1 1\r\n2\r\nget a\r\n",
       "STORED\r\nSTORED\r\nEND\r\n"},
      {"flush_all and a set in the same pipeline",
       "set a 0 0 1\r\n1\r\nflush_all\r\nset b 0 0 1\r\n2\r\nget a b\r\n",
       "STORED\r\nOK\r\nSTORED\r\nVALUE b 0 1\r\n2\r\nEND\r\n"},
      {"cas of a missing key and of the wrong id",
       "cas a 0 0 1 1\r\nx\r\nset a 0 0 1\r\n1\r\ncas a 0 0 1 0\r\nx\r\n",
       "NOT_FOUND\r\nSTORED\r\nEXISTS\r\n"},
      {"verbosity, version, memory limit, shutdown",
       "verbosity 1\r\nversion\r\ncache_memlimit 4\r\ncache_memlimit 100\r\nshutdown\r\n",
       "OK\r\nVERSION 1.6.45-ringcached-0.1.0\r\nMEMLIMIT_TOO_SMALL cannot set maxbytes to less than "
       "8m\r\nOK\r\n"
       "SERVER_ERROR: shutdown not enabled\r\n"},
      {"quit ends the conversation", "set a 0 0 1\r\n1\r\nquit\r\nget a\r\n", "STORED\r\n"},
      {"too large: swallowed, and the old value is gone",
       "set a 0 0 1\r\n1\r\nset a 0 0 2000\r\n"s + std::string(2000, 'x') + "\r\nget a\r\n",
       "STORED\r\nSERVER_ERROR object too large for cache\r\nEND\r\n"},
      {"too large an append is refused for its size; one that grows too large is not stored",
       "set a 0 0 600\r\n"s + std::string(600, 'x') + "\r\nappend a 0 0 2000\r\n" + std::string(2000, 'x') +
           "\r\nprepend a 0 0 600\r\n" + std::string(600, 'x') + "\r\nget b\r\n",
       "STORED\r\nSERVER_ERROR object too large for cache\r\nNOT_STORED\r\nEND\r\n"},
      {"too large an add leaves the old value",
       "set a 0 0 1\r\n1\r\nadd a 0 0 2000\r\n"s + std::string(2000, 'x') + "\r\nget a\r\n",
       "STORED\r\nSERVER_ERROR object too large for cache\r\nVALUE a 0 1\r\n1\r\nEND\r\n"},
  };
  return table;
}

std::string self_describing(std::size_t bytes, unsigned salt) {
  std::string value(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) value[i] = static_cast<char>((i * 31 + salt) % 251);
  return value;
}

}  // namespace

TEST_SUITE("session") {
  TEST_CASE("every exchange, whole and cut everywhere") {
    for (const Exchange& exchange : exchanges()) {
      ringcached::testing::check_everywhere(exchange, small_items());
    }
  }

  TEST_CASE("gets shows an id that cas takes once") {
    SessionHarness harness;
    harness.feed("set a 0 0 1\r\n1\r\n");
    const std::string line = harness.feed("gets a\r\n");
    const std::string id = line.substr(12, line.find('\r') - 12);
    CHECK(harness.feed("cas a 0 0 1 " + id + "\r\n2\r\n") == "STORED\r\n");
    CHECK(harness.feed("cas a 0 0 1 " + id + "\r\n3\r\n") == "EXISTS\r\n");
    CHECK(harness.feed("get a\r\n") == "VALUE a 0 1\r\n2\r\nEND\r\n");
  }

  TEST_CASE("values of every size come back whole") {
    for (const std::size_t bytes : {1UL, 100UL, 4095UL, 4096UL, 4097UL, 32768UL, 100000UL, 1000000UL}) {
      for (const std::size_t piece : {~std::size_t{0}, std::size_t{4099}, std::size_t{16384}}) {
        SessionHarness harness;
        const std::string value = self_describing(bytes, 7);
        const std::string block = "set big 1 0 " + std::to_string(bytes) + "\r\n" + value + "\r\n";
        CHECK(harness.feed(block, piece) == "STORED\r\n");
        CHECK(harness.feed("get big\r\n") ==
              "VALUE big 1 " + std::to_string(bytes) + "\r\n" + value + "\r\nEND\r\n");
      }
    }
  }

  TEST_CASE("a pinned value survives being overwritten, deleted and evicted before it is sent") {
    SessionHarness harness;
    const std::string value = self_describing(50000, 1);
    harness.feed("set big 0 0 50000\r\n" + value + "\r\n");
    ringcached::server::WorkerContext& worker = harness.worker();
    ringcached::server::retrieve(worker, harness.connection().output(), harness.store().key("big"), {});
    harness.store().flush(worker.thread);
    for (unsigned i = 0; i < 2000; ++i) {
      const std::string key = "filler" + std::to_string(i);
      const std::string filler(50000, 'f');
      CHECK(harness.store().put(worker.thread, {.key = harness.store().key(key)}, filler, worker.now()) ==
            ringcached::store::StoreResult::kStored);
    }
    CHECK(harness.connection().take_output() == "VALUE big 0 50000\r\n" + value + "\r\n");
  }

  TEST_CASE("a multiget of 20000 keys is answered piece by piece with bounded output") {
    SessionHarness harness;
    harness.connection().high_water_ = 64 << 10;
    harness.feed("set k 0 0 1000\r\n" + std::string(1000, 'v') + "\r\n");
    std::string line = "get";
    std::string expected;
    for (unsigned i = 0; i < 20000; ++i) {
      line += " k";
      expected += "VALUE k 0 1000\r\n" + std::string(1000, 'v') + "\r\n";
    }
    CHECK(harness.feed(line + "\r\n", 16384) == expected + "END\r\n");
    CHECK(harness.connection().unsent_most < (64U << 10) + 17 * 1100);
  }

  TEST_CASE("a pipeline yields to others after its share of requests, and loses nothing") {
    SessionHarness harness;
    harness.connection().others_waiting_ = true;
    std::string sent;
    std::string expected;
    for (unsigned i = 0; i < 100; ++i) {
      sent += "get nothing\r\n";
      expected += "END\r\n";
    }
    CHECK(harness.feed(sent) == expected);
    CHECK(harness.yields() == 5);
  }

  TEST_CASE("input looked at ahead is answered as if it had not been, whatever comes between") {
    SessionHarness harness;
    harness.feed("set a 0 0 1\r\nA\r\nset b 0 0 1\r\nB\r\n");
    server::WorkerContext& worker = harness.worker();
    testing::FakeConnection connections[3];
    std::unique_ptr<server::TextSession> sessions[3];
    for (auto& session : sessions) session = std::make_unique<server::TextSession>(worker);
    const std::string gets = "get a-key-that-is-long\r\nget a\r\nget b\r\nget nothing-of-the-name\r\n";
    const std::string answer = "END\r\nVALUE a 0 1\r\nA\r\nEND\r\nVALUE b 0 1\r\nB\r\nEND\r\nEND\r\n";
    const auto serve = [&](std::size_t i, const std::string& input) {
      const Consumed consumed = sessions[i]->on_data(connections[i], input);
      CHECK(consumed.bytes == input.size());
      return connections[i].take_output();
    };
    SUBCASE("in order, out of order, and twice") {
      const std::string inputs[] = {gets, gets, gets};
      for (std::size_t i = 0; i < 3; ++i) CHECK(sessions[i]->on_lookahead(inputs[i]));
      worker.lookahead->end(worker);
      for (const std::size_t i : {std::size_t{2}, std::size_t{0}, std::size_t{1}, std::size_t{0}}) {
        CHECK(serve(i, inputs[i]) == answer);
      }
    }
    SUBCASE("a store between look and answer is seen") {
      CHECK(sessions[0]->on_lookahead(gets));
      worker.lookahead->end(worker);
      CHECK(serve(1, "set b 0 0 2\r\nBB\r\ndelete a\r\n") == "STORED\r\nDELETED\r\n");
      CHECK(serve(0, gets) == "END\r\nEND\r\nVALUE b 0 2\r\nBB\r\nEND\r\nEND\r\n");
    }
    SUBCASE("a plan is for its input and its session alone") {
      CHECK(sessions[0]->on_lookahead(gets));
      worker.lookahead->end(worker);
      const std::string other = "get b\r\n";
      CHECK(serve(0, other) == "VALUE b 0 1\r\nB\r\nEND\r\n");
      CHECK(serve(1, gets) == answer);
    }
    SUBCASE("more than there is room for") {
      std::string many;
      std::string answers;
      for (int i = 0; i < 30; ++i) {
        many += "get a\r\n";
        answers += "VALUE a 0 1\r\nA\r\nEND\r\n";
      }
      const std::string inputs[] = {many, many, many};
      bool more = true;
      for (std::size_t i = 0; i < 3; ++i) more = sessions[i]->on_lookahead(inputs[i]);
      CHECK_FALSE(more);
      worker.lookahead->end(worker);
      for (std::size_t i = 0; i < 3; ++i) CHECK(serve(i, inputs[i]) == answers);
    }
    SUBCASE("requests that cannot be planned, and half of one") {
      const std::string mixed = "stats nothing\r\nget a\r\n";
      CHECK(sessions[0]->on_lookahead(mixed));
      const std::string half = "get a\r\nget a-key-that";
      CHECK(sessions[1]->on_lookahead(half));
      worker.lookahead->end(worker);
      CHECK(serve(0, mixed) == "ERROR\r\nVALUE a 0 1\r\nA\r\nEND\r\n");
      CHECK(sessions[1]->on_data(connections[1], half).bytes == 7);
      CHECK(connections[1].take_output() == "VALUE a 0 1\r\nA\r\nEND\r\n");
      const std::string rest = half.substr(7) + "-is-long\r\n";
      CHECK(sessions[1]->on_lookahead(rest));
      worker.lookahead->end(worker);
      CHECK(serve(1, rest) == "END\r\n");
    }
  }

  TEST_CASE("expiry follows the clock") {
    SessionHarness harness;
    harness.feed("set a 0 10 1\r\n1\r\n");
    harness.clock().advance_seconds(9);
    harness.cache_clock().tick();
    CHECK(harness.feed("get a\r\n") == "VALUE a 0 1\r\n1\r\nEND\r\n");
    harness.clock().advance_seconds(1);
    harness.cache_clock().tick();
    CHECK(harness.feed("get a\r\n") == "END\r\n");
  }

  TEST_CASE("a delayed flush waits for its second and takes items stored before it") {
    SessionHarness harness;
    harness.feed("flush_all 2\r\nset a 0 0 1\r\n1\r\n");
    CHECK(harness.feed("get a\r\n") == "VALUE a 0 1\r\n1\r\nEND\r\n");
    harness.clock().advance_seconds(2);
    harness.cache_clock().tick();
    ringcached::server::flush_if_due(harness.worker());
    CHECK(harness.feed("set b 0 0 1\r\n2\r\nget a b\r\n") == "STORED\r\nVALUE b 0 1\r\n2\r\nEND\r\n");
  }

  TEST_CASE("an endless line closes the connection, an endless get does not") {
    SessionHarness harness;
    harness.feed("incr" + std::string(3000, ' '), 100);
    CHECK(harness.closed());
    harness.reconnect();
    harness.feed("get" + std::string(3000, ' '), 100);
    CHECK_FALSE(harness.closed());
    CHECK(harness.feed("nothing\r\n") == "END\r\n");
  }

  TEST_CASE("shutdown where allowed closes and asks the process to end") {
    ringcached::config::Config config;
    config.commands.shutdown_enabled = true;
    SessionHarness harness({}, config);
    CHECK(harness.feed("shutdown soon\r\n") == "CLIENT_ERROR invalid shutdown mode\r\n");
    CHECK_FALSE(harness.stop_requested);
    CHECK(harness.feed("shutdown\r\n").empty());
    CHECK(harness.closed());
    CHECK(harness.stop_requested);
  }
}
