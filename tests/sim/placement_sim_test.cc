// Which worker gets a connection, over whole acceptors and workers on the simulated kernel.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "sim_engine.h"

using namespace ringcached;
using namespace ringcached::testing;

namespace {

constexpr unsigned kWorkers = 4;

NetworkOptions four_workers(Placement placement, Handoff handoff) {
  NetworkOptions options = tiny_options();
  options.workers = kWorkers;
  options.connections_max = 2000;
  options.placement = placement;
  options.handoff = handoff;
  options.ring_entries = 64;
  return options;
}

std::vector<std::uint64_t> spread(const SimEngine& engine) {
  std::vector<std::uint64_t> connections;
  for (const auto& worker : engine.threads) {
    connections.push_back(worker->counters().connections_opened.get() -
                          worker->counters().connections_closed.get());
  }
  return connections;
}

std::vector<ClientId> connect(SimEngine& engine, unsigned count) {
  std::vector<ClientId> clients;
  for (unsigned i = 0; i < count; ++i) clients.push_back(engine.world.connect(engine.listeners[0]));
  return clients;
}

bool all_open(SimEngine& engine, unsigned count) {
  return engine.run_until([&] {
    std::uint64_t sum = 0;
    for (const std::uint64_t connections : spread(engine)) sum += connections;
    return sum == count;
  });
}

// A client of each open connection of this worker leaves.
void leave(SimEngine& engine, const std::vector<ClientId>& clients, net::Worker& worker, std::size_t most) {
  std::vector<int> descriptors;
  worker.for_each_connection(
      [&](net::ClientConnection& connection) { descriptors.push_back(connection.descriptor()); });
  descriptors.resize(std::min(most, descriptors.size()));
  for (const ClientId client : clients) {
    if (std::ranges::count(descriptors, engine.world.client_descriptor(client)) != 0)
      engine.world.client_half_close(client);
  }
}

void check_clean_end(SimEngine& engine) {
  const std::string report = engine.verdict();
  CHECK_MESSAGE(report.empty(), report);
}

using Spread = std::vector<std::uint64_t>;

}  // namespace

TEST_SUITE("placement_sim") {
  TEST_CASE("a burst of accepts spreads evenly, though no worker has had a turn yet") {
    for (const Placement placement : {Placement::kLeastConnections, Placement::kRoundRobin}) {
      for (const Handoff handoff : {Handoff::kMessageRing, Handoff::kEventfd}) {
        SimEngine engine(21, SimFaults{}, four_workers(placement, handoff), Protocol::kEcho);
        connect(engine, 1000);
        for (int i = 0; i < 4000; ++i) engine.acceptor->run_once();
        CHECK(spread(engine) == Spread{0, 0, 0, 0});
        REQUIRE(all_open(engine, 1000));
        CHECK(spread(engine) == Spread{250, 250, 250, 250});
        check_clean_end(engine);
      }
    }
  }

  TEST_CASE("after one worker's clients have left, new ones go there") {
    for (const Handoff handoff : {Handoff::kMessageRing, Handoff::kEventfd}) {
      SimEngine engine(22, SimFaults{}, four_workers(Placement::kLeastConnections, handoff), Protocol::kEcho);
      const std::vector<ClientId> clients = connect(engine, 400);
      REQUIRE(all_open(engine, 400));
      leave(engine, clients, *engine.threads[2], 100);
      REQUIRE(all_open(engine, 300));
      CHECK(spread(engine) == Spread{100, 100, 0, 100});
      connect(engine, 60);
      REQUIRE(all_open(engine, 360));
      CHECK(spread(engine) == Spread{100, 100, 60, 100});
      connect(engine, 80);
      REQUIRE(all_open(engine, 440));
      CHECK(spread(engine) == Spread{110, 110, 110, 110});
      check_clean_end(engine);
    }
  }

  TEST_CASE("round_robin keeps rotating, whoever has left") {
    SimEngine engine(23, SimFaults{}, four_workers(Placement::kRoundRobin, Handoff::kMessageRing),
                     Protocol::kEcho);
    const std::vector<ClientId> clients = connect(engine, 40);
    REQUIRE(all_open(engine, 40));
    leave(engine, clients, *engine.threads[1], 10);
    REQUIRE(all_open(engine, 30));
    connect(engine, 8);
    REQUIRE(all_open(engine, 38));
    CHECK(spread(engine) == Spread{12, 2, 12, 12});
    check_clean_end(engine);
  }

  TEST_CASE("posts that fail leave no trace in the load") {
    SimFaults faults;
    faults.post_overflow = 0.5;
    faults.post_bad = 0.2;
    SimEngine engine(24, faults, four_workers(Placement::kLeastConnections, Handoff::kMessageRing),
                     Protocol::kEcho);
    std::vector<ClientId> clients = connect(engine, 100);
    REQUIRE(all_open(engine, 100));
    CHECK(engine.acceptor->handoff_retries() > 0);
    engine.world.faults() = SimFaults{};
    // Enough to fill every gap: what was counted twice or not at all would show as a difference that stays.
    connect(engine, 900);
    REQUIRE(all_open(engine, 1000));
    CHECK(spread(engine) == Spread{250, 250, 250, 250});
    check_clean_end(engine);
  }
}
