// The whole engine over real sockets and threads: what clients see.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "test_client.h"

using namespace ringcached;
using namespace ringcached::testing;

namespace {

std::string repeated(const std::string& text, unsigned count) {
  std::string all;
  for (unsigned i = 0; i < count; ++i) all += text;
  return all;
}

void serve_many(Handoff handoff) {
  NetworkOptions options = loopback_options();
  options.handoff = handoff;
  LineServer server(options);
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 40; ++i) {
        TestClient client = TestClient::tcp(server.port());
        const std::string text = "hello " + std::to_string(t * 1000 + i);
        if (client.send("e" + text + "\n") && client.receive(text.size() + 1) == text + "\n") ++good;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(good == 160);
  CHECK(server.wait_for([](const NetworkStats& stats) { return stats.current_connections == 0; }));
  const NetworkStats stats = server.network().stats();
  CHECK(stats.total_connections == 160);
  CHECK(stats.bytes_read == stats.bytes_written + 160);
  server.stop_and_join();
  CHECK(server.opened == 160);
  CHECK(server.closed == 160);
  CHECK(server.started == 2);
  CHECK(server.stopped == 2);
}

}  // namespace

TEST_SUITE("engine_threads") {
  TEST_CASE("many connections by MSG_RING") {
    serve_many(Handoff::kMessageRing);
  }
  TEST_CASE("many connections by eventfd") {
    serve_many(Handoff::kEventfd);
  }

  TEST_CASE("both workers get connections, and they can be listed while they live") {
    LineServer server(loopback_options());
    std::vector<TestClient> clients;
    for (int i = 0; i < 6; ++i) {
      clients.push_back(TestClient::tcp(server.port()));
      REQUIRE(clients.back().send("ex\n"));
      CHECK(clients.back().receive(2) == "x\n");
    }
    const std::vector<ConnectionInfo> infos = server.network().connections();
    CHECK(infos.size() == 7);
    int per_worker[2] = {};
    for (const ConnectionInfo& info : infos) {
      CHECK(info.descriptor >= 0);
      CHECK(info.listener == "tcp:127.0.0.1:" + std::to_string(server.port()));
      if (info.is_listener) {
        CHECK(std::string(info.state) == "conn_listening");
        continue;
      }
      CHECK(info.peer.starts_with("tcp:127.0.0.1:"));
      REQUIRE(info.worker < 2);
      ++per_worker[info.worker];
    }
    CHECK(per_worker[0] == 3);
    CHECK(per_worker[1] == 3);
  }

  TEST_CASE("a pipeline longer than any buffer is answered whole and in order") {
    LineServer server(loopback_options());
    std::string requests, expected;
    for (int i = 0; i < 50'000; ++i) {
      requests += "e" + std::to_string(i) + "\n";
      expected += std::to_string(i) + "\n";
    }
    TestClient client = TestClient::tcp(server.port());
    std::thread writer([&] { client.send(requests); });
    CHECK(client.receive(expected.size()) == expected);
    writer.join();
  }

  TEST_CASE("a line longer than all buffers together arrives whole") {
    LineServer server(loopback_options());
    const std::string text(1'000'000, 'y');
    TestClient client = TestClient::tcp(server.port());
    std::thread writer([&] { client.send("e" + text + "\n"); });
    CHECK(client.receive(text.size() + 1) == text + "\n");
    writer.join();
  }

  TEST_CASE("a half-closed client gets every answer, then the end") {
    LineServer server(loopback_options());
    for (int i = 0; i < 20; ++i) {
      TestClient client = TestClient::tcp(server.port());
      REQUIRE(client.send(repeated("ehello\n", 1000) + "b300000\n" + "eincomplete"));
      client.half_close();
      bool reset = false;
      CHECK(client.receive_all(&reset) == repeated("hello\n", 1000) + std::string(300'000, 'x'));
      CHECK(!reset);
    }
    CHECK(server.wait_for([&](const NetworkStats&) { return server.closed == 20; }));
    CHECK(server.ends == 20);
    CHECK(server.reasons[static_cast<int>(CloseReason::kPeer)] == 20);
    CHECK(server.released == server.pinned);
  }

  TEST_CASE(
      "a close asked for by the handler delivers what was pending, whatever the client sends after it") {
    LineServer server(loopback_options());
    for (int i = 0; i < 20; ++i) {
      TestClient client = TestClient::tcp(server.port());
      REQUIRE(client.send("b200000\nq\n" + repeated("enot answered\n", 2000)));
      bool reset = false;
      CHECK(client.receive_all(&reset) == std::string(200'000, 'x'));
      CHECK(!reset);
    }
    CHECK(server.wait_for([&](const NetworkStats&) { return server.closed == 20; }));
    CHECK(server.reasons[static_cast<int>(CloseReason::kHandler)] == 20);
  }

  TEST_CASE("a client that resets in the middle of replies leaves nothing behind") {
    LineServer server(loopback_options());
    for (int i = 0; i < 30; ++i) {
      TestClient client = TestClient::tcp(server.port());
      REQUIRE(client.send("b3000000\n" + repeated("b100000\n", 20)));
      client.receive(1000);
      client.reset();
    }
    CHECK(server.wait_for([&](const NetworkStats& stats) { return stats.current_connections == 0; }));
    server.stop_and_join();
    CHECK(server.opened == server.closed);
    CHECK(server.released == server.pinned);
  }

  TEST_CASE("a client that never reads costs bounded memory and does not disturb others") {
    NetworkOptions options = loopback_options(1);
    options.output_high_water = 200'000;
    options.output_low_water = 50'000;
    LineServer server(options);
    TestClient greedy = TestClient::tcp(server.port());
    std::size_t sent = 0;
    const std::string request = "e" + std::string(1000, 'z') + "\n";
    const std::string requests = repeated(request, 100);
    for (int quiet = 0; quiet < 50;) {
      const std::size_t part = greedy.send_some(requests.substr(sent % request.size()));
      sent += part;
      quiet = part == 0 ? quiet + 1 : 0;
      if (part == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    const NetworkStats stats = server.network().stats();
    CHECK(stats.receives_paused > 0);
    // Unsent output: the mark, one more reply, and blocks that are not full.
    CHECK(stats.output_block_bytes <= 2 * options.output_high_water);
    CHECK(stats.bytes_read < sent);
    TestClient other = TestClient::tcp(server.port());
    REQUIRE(other.send("eprompt\n"));
    CHECK(other.receive(7) == "prompt\n");
    // It reads after all, and gets everything.
    greedy.half_close();
    const std::string got = greedy.receive_all();
    CHECK(got.size() >= sent / 1002 * 1001 - 1001);
    CHECK(std::count(got.begin(), got.end(), '\n') == static_cast<long>(sent / 1002));
  }

  TEST_CASE("an orderly end under load answers everything that had arrived") {
    // More per worker than some kernels report in one call that does not wait.
    constexpr int kClients = 200;
    for (int round = 0; round < 5; ++round) {
      LineServer server(loopback_options());
      std::vector<TestClient> clients;
      for (int i = 0; i < kClients; ++i) {
        clients.push_back(TestClient::tcp(server.port()));
        REQUIRE(clients.back().send("ehere\n"));
        REQUIRE(clients.back().receive(5) == "here\n");
      }
      // In the sockets before the end is asked for.
      for (TestClient& client : clients) REQUIRE(client.send(repeated("ehello\n", 500) + "b100000\n"));
      server.network().stop();
      for (TestClient& client : clients) {
        bool reset = false;
        CHECK(client.receive_all(&reset) == repeated("hello\n", 500) + std::string(100'000, 'x'));
        CHECK(!reset);
      }
      server.network().join();
      CHECK(server.opened == kClients);
      CHECK(server.closed == kClients);
      CHECK(server.released == server.pinned);
      CHECK(!TestClient::tcp(server.port()).connected());
    }
  }

  TEST_CASE("the end comes by its deadline even if a client takes nothing") {
    NetworkOptions options = loopback_options();
    options.stop_deadline = std::chrono::milliseconds(200);
    LineServer server(options);
    TestClient client = TestClient::tcp(server.port());
    REQUIRE(client.send("b50000000\n"));
    CHECK(server.wait_for([](const NetworkStats& stats) { return stats.bytes_written > 0; }));
    const auto begin = std::chrono::steady_clock::now();
    server.stop_and_join();
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(5));
    CHECK(server.reasons[static_cast<int>(CloseReason::kShutdown)] == 1);
    CHECK(server.released == server.pinned);
  }

  TEST_CASE("stop before start, and a network that never starts") {
    LineServer unused(loopback_options());
    NetworkOptions options = loopback_options();
    auto network = Network::create(options, unused);
    REQUIRE(network.is_ok());
    network.value()->stop();
    REQUIRE(network.value()->start().is_ok());
    network.value()->join();
    auto never = Network::create(options, unused);
    CHECK(never.is_ok());
  }

  TEST_CASE("workers tick while they are idle, and turn only when something happens") {
    LineServer server(loopback_options(1));
    CHECK(server.wait_for([&](const NetworkStats&) { return server.ticks >= 10; }));
    CHECK(server.turns < 20 * server.ticks);
  }
}
