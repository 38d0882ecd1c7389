#include "server/datagram_service.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "support/binary_packet.h"
#include "support/datagram_oracle.h"

using namespace ringcached;
using namespace ringcached::testing;

namespace {

using Messages = std::vector<std::string>;

config::Config config_with(const std::vector<std::string>& clients) {
  config::Config config;
  for (const std::string& text : clients) {
    config.udp_clients.push_back(config::parse_ip_network(text).value());
  }
  return config;
}

// A server, and what it answers to one datagram after the other.
struct Bench {
  explicit Bench(const std::vector<std::string>& clients = {"127.0.0.0/8"}) : Bench(config_with(clients)) {}
  explicit Bench(const config::Config& config) : harness({}, config), service(harness.worker()) {}

  Messages ask(std::string_view payload, const DatagramPeer& peer = local_peer(),
               std::size_t room = DatagramReplies::kInFlightMax) {
    CollectedReplies replies(room);
    whole = service.on_datagram(peer, framed(0x1234, payload), replies);
    dropped = replies.dropped();
    std::string fault;
    Messages messages = replies.messages(0x1234, fault);
    CHECK(fault == "");
    return messages;
  }

  SessionHarness harness;
  server::DatagramService service;
  bool whole = false;
  unsigned dropped = 0;
};

}  // namespace

TEST_SUITE("datagram_service") {
  TEST_CASE("each request is answered by a message of its own; one that is not whole by none") {
    struct Row {
      std::string payload;
      Messages replies;
      bool whole = true;
    };
    const Row rows[] = {
        {"get a\r\n", {"END\r\n"}},
        {"get a\nget b\r\n", {"END\r\n", "END\r\n"}},
        {"get a b c\r\n", {"END\r\n"}},
        {"set a 0 0 1\r\nx\r\nget a\r\n", {"STORED\r\n", "VALUE a 0 1\r\nx\r\nEND\r\n"}},
        {"get a a\r\n", {"VALUE a 0 1\r\nx\r\nVALUE a 0 1\r\nx\r\nEND\r\n"}},
        {"set b 0 0 1 noreply\r\nx\r\n", {}},
        {"set b 0 0 1 noreply\r\nx\r\nget b\r\n", {"VALUE b 0 1\r\nx\r\nEND\r\n"}},
        {"quit\r\n", {}},
        {"get a\r\nquit\r\nget a\r\n", {"VALUE a 0 1\r\nx\r\nEND\r\n"}},
        {"bogus\r\n", {"ERROR\r\n"}},
        {"get a", {}, false},
        {"get a\r\nget a", {"VALUE a 0 1\r\nx\r\nEND\r\n"}, false},
        {"set c 0 0 9\r\n", {}, false},
        {"set c 0 0 9\r\nabc\r\n", {}, false},
        {"set c 0 0 3\r\nabc\r", {}, false},
        {"set c 0 0 9000000\r\nabc\r\n", {}, false},
        {"set c 0 0 3\r\nabcdeget c\r\n", {"CLIENT_ERROR bad data chunk\r\n", "END\r\n"}},
        {"get c\r\n", {"END\r\n"}},
    };
    Bench bench;
    for (const Row& row : rows) {
      CAPTURE(row.payload);
      CHECK(bench.ask(row.payload) == row.replies);
      CHECK(bench.whole == row.whole);
      CHECK(bench.dropped == 0);
    }
  }

  TEST_CASE("what is made in pieces is refused in text, and dropped in binary") {
    config::Config config = config_with({"127.0.0.0/8"});
    config.stats.track_sizes = true;
    Bench bench(config);
    CHECK(bench.ask("stats sizes\r\n") == Messages{"ERROR\r\n"});
    CHECK(bench.dropped == 0);
    CHECK(bench.ask(encode({.opcode = 0x10, .key = "sizes"})).empty());
    CHECK(bench.dropped == 1);
    CHECK(bench.ask("get a\r\n") == Messages{"END\r\n"});
  }

  TEST_CASE("a long retrieval line is one message, however many requests share a turn") {
    Bench bench;
    std::string line = "get", hits;
    for (int i = 0; i < 100; ++i) {
      const std::string key = "key" + std::to_string(i);
      bench.ask("set " + key + " 0 0 100\r\n" + std::string(100, 'v') + "\r\n");
      line += " " + key + " missing";
      hits += "VALUE " + key + " 0 100\r\n" + std::string(100, 'v') + "\r\n";
    }
    for (const unsigned share : {1U, 3U, 20U}) {
      bench.harness.worker().requests_per_turn = share;
      CHECK(bench.ask("get missing\r\n" + line + "\r\nget missing\r\n") ==
            Messages{"END\r\n", hits + "END\r\n", "END\r\n"});
      CHECK(bench.harness.worker().requests_per_turn == share);
    }
  }

  TEST_CASE("a reply without room is dropped whole, and the next one is not") {
    Bench bench;
    const std::string value(20'000, 'v');
    bench.ask("set a 0 0 20000\r\n" + value + "\r\n");
    CHECK(bench.ask("get a\r\n", local_peer(), 15) ==
          Messages{"VALUE a 0 20000\r\n" + value + "\r\nEND\r\n"});
    CHECK(bench.ask("get a\r\nget b\r\n", local_peer(), 14) == Messages{"END\r\n"});
    CHECK(bench.dropped == 1);
    CHECK(bench.ask("get a\r\nget a\r\nget a\r\n", local_peer(), 30).size() == 2);
    CHECK(bench.dropped == 1);
  }

  TEST_CASE("what can never be sent stops the datagram") {
    Bench bench;
    const std::string value(1'000'000, 'v');
    bench.harness.feed("set a 0 0 1000000\r\n" + value + "\r\n");
    CHECK(bench.ask("get b\r\nget a a a\r\nget b\r\n") == Messages{"END\r\n"});
    CHECK(bench.dropped == 1);
    CHECK(bench.ask("get a\r\n").size() == 1);
    CHECK(bench.ask("get b\r\n") == Messages{"END\r\n"});
  }

  TEST_CASE("a flush that cannot be done in a moment is lost as a whole: not answered, and not done") {
    struct Row {
      std::string flush;
      bool answered;
    };
    const Row rows[] = {{"flush_all\r\n", true},
                        {"flush_all noreply\r\n", false},
                        {encode({.opcode = 0x08}), true},
                        {encode({.opcode = 0x18}), false}};
    for (const Row& row : rows) {
      CAPTURE(row.flush);
      Bench bench;
      unsigned lost = 0;
      for (unsigned i = 0; i < 100; ++i) {
        REQUIRE(bench.ask("set a 0 0 1\r\nx\r\n") == Messages{"STORED\r\n"});
        const bool answered = !bench.ask(row.flush).empty();
        const bool dropped = bench.dropped != 0;
        CHECK(bench.whole);
        CHECK(answered == (row.answered && !dropped));
        CHECK(bench.ask("get a\r\n") == Messages{dropped ? "VALUE a 0 1\r\nx\r\nEND\r\n" : "END\r\n"});
        lost += dropped ? 1 : 0;
      }
      CHECK(lost > 50);
      // Upkeep catches up, and the next one is done.
      while (bench.harness.worker().thread.maintain(bench.harness.worker().now(), 10000)) {
      }
      CHECK(bench.ask(row.flush).empty() != row.answered);
      CHECK(bench.dropped == 0);
      CHECK(bench.ask("get a\r\n") == Messages{"END\r\n"});
    }
  }

  TEST_CASE("a source that is not trusted gets at most what it sent") {
    Bench bench({"127.0.0.0/8", "fd00::/8"});
    bench.ask("set a 0 0 1\r\nx\r\n");
    DatagramPeer own;
    own.v6 = true;
    own.ip = {0xfd, 1};
    DatagramPeer other = own;
    other.ip[0] = 0xfe;
    const Messages hit = {"VALUE a 0 1\r\nx\r\nEND\r\n"};
    CHECK(bench.ask("get a\r\n", own) == hit);
    for (const DatagramPeer& stranger : {foreign_peer(), other}) {
      CHECK(bench.ask("get a\r\n", stranger).empty());
      CHECK(bench.dropped == 1);
      CHECK(bench.ask("get b\r\n", stranger) == Messages{"END\r\n"});
      // 29 bytes are the whole reply with its frame.
      CHECK(bench.ask("get a" + std::string(14, ' ') + "\r\n", stranger) == hit);
      CHECK(bench.ask("get a" + std::string(13, ' ') + "\r\n", stranger).empty());
      CHECK(bench.ask("get a" + std::string(30, ' ') + "\r\nget a\r\n", stranger) == hit);
      CHECK(bench.dropped == 1);
    }
  }

  TEST_CASE("datagrams of the corpus and parts of them") {
    std::size_t files = 0;
    const auto directory = std::filesystem::path(RINGCACHED_CORPUS_DIR) / "datagram";
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
      CAPTURE(entry.path().filename().string());
      std::ifstream file(entry.path(), std::ios::binary);
      const std::string input{std::istreambuf_iterator<char>(file), {}};
      for (std::size_t bytes = input.size() > 64 ? input.size() - 64 : 0; bytes <= input.size(); ++bytes) {
        const std::string fault = check_datagram(std::string_view(input).substr(0, bytes));
        CHECK_MESSAGE(fault.empty(), fault, " with ", bytes, " bytes");
      }
      ++files;
    }
    CHECK(files >= 8);
  }
}
