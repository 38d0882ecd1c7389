// The server's workers after time in which they did not run, and under clocks that are moved.
#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <string_view>

#include "swarm_server.h"

using namespace ringcached::testing;

namespace {

SwarmPlan plain_plan() {
  SwarmPlan plan;
  plan.seed = 1;
  plan.network = tiny_options();
  plan.network.workers = 1;
  plan.store.memory_limit_bytes = std::size_t{8} << 20;
  plan.store.threads = 1;
  return plan;
}

// What the client is answered to `request`.
std::string ask(SwarmServer& server, ClientId client, std::string_view request) {
  server.world.client_write(client, request);
  std::string answer;
  server.run_until([&] {
    answer += server.world.client_take(client);
    return answer.ends_with("END\r\n") || answer.ends_with("STORED\r\n");
  });
  return answer;
}

}  // namespace

TEST_SUITE("standstill_sim") {
  // The first turn after a long sleep took the time of the turn before.
  TEST_CASE("a request is served by the time it is read, however long the worker did not run") {
    SwarmServer server(plain_plan());
    const ClientId client = server.world.connect(server.listeners[0]);
    REQUIRE(ask(server, client, "set key 0 2 1\r\nv\r\n") == "STORED\r\n");
    CHECK(ask(server, client, "get key\r\n") == "VALUE key 0 1\r\nv\r\nEND\r\n");
    server.world.advance(std::chrono::seconds(5));
    server.world.client_write(client, "get key\r\n");
    server.world.settle();
    CHECK(ask(server, client, "") == "END\r\n");
    server.world.client_close(client);
    CHECK(server.verdict() == "");
  }

  TEST_CASE("steps of the wall clock, either way, change no item's life") {
    for (const std::int64_t step : {-86'400, 86'400}) {
      SwarmServer server(plain_plan());
      const ClientId client = server.world.connect(server.listeners[0]);
      const std::string absolute = std::to_string(server.world.clock().wall_seconds() + 100);
      REQUIRE(ask(server, client, "set short 0 10 1\r\nv\r\n") == "STORED\r\n");
      REQUIRE(ask(server, client, "set dated 0 " + absolute + " 1\r\nv\r\n") == "STORED\r\n");
      server.world.step_wall(step);
      server.world.advance(std::chrono::seconds(5));
      CHECK(ask(server, client, "get short dated\r\n") ==
            "VALUE short 0 1\r\nv\r\nVALUE dated 0 1\r\nv\r\nEND\r\n");
      server.world.advance(std::chrono::seconds(10));
      CHECK(ask(server, client, "get short dated\r\n") == "VALUE dated 0 1\r\nv\r\nEND\r\n");
      server.world.advance(std::chrono::seconds(100));
      CHECK(ask(server, client, "get short dated\r\n") == "END\r\n");
      server.world.client_close(client);
      CHECK(server.verdict() == "");
    }
  }
}
