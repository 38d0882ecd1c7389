// Threads that stand still and clients that take all there is, over whole acceptors and workers on the
// simulated kernel: who is not to blame is served, within a bounded number of turns.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "sim_engine.h"

using namespace ringcached;
using namespace ringcached::testing;

namespace {

constexpr std::uint64_t kSeeds = 40;

void check_clean_end(SimEngine& engine) {
  const std::string report = engine.verdict();
  CHECK_MESSAGE(report.empty(), report);
}

NetworkOptions one_worker() {
  NetworkOptions options = tiny_options();
  options.workers = 1;
  return options;
}

std::uint64_t opened(const SimEngine& engine, std::size_t worker) {
  return engine.threads[worker]->counters().connections_opened.get();
}

}  // namespace

TEST_SUITE("abuse_sim") {
  // The queue of the eventfd way is bounded. What it did not take was tried again with the same worker, which
  // had the fewest connections, until it was given up.
  TEST_CASE("a worker stands still while hand-offs arrive: the other serves, and no connection is lost") {
    constexpr unsigned kClients = 3000;
    for (const Handoff handoff : {Handoff::kMessageRing, Handoff::kEventfd}) {
      NetworkOptions options = tiny_options();
      options.connections_max = kClients;
      options.ring_entries = 2048;
      options.handoff = handoff;
      SimEngine engine(31, SimFaults{}, options, Protocol::kEcho);
      engine.world.options().descriptors_max = kClients + 10;
      for (unsigned i = 0; i < kClients; ++i) engine.world.connect(engine.listeners[0]);
      // Three seconds and more.
      for (unsigned i = 0; i < 1200; ++i) {
        engine.acceptor_turn();
        engine.worker_turn(1);
        engine.end_round();
      }
      CHECK(opened(engine, 0) == 0);
      CHECK(engine.stats().accept_errors == 0);
      if (handoff == Handoff::kEventfd) {
        CHECK(opened(engine, 1) == kClients - net::HandoffQueue::kCapacity);
        CHECK(engine.acceptor->handoff_retries() > 0);
      } else {
        CHECK(opened(engine, 1) == kClients / 2);
      }
      CHECK(engine.run_until([&] { return opened(engine, 0) + opened(engine, 1) == kClients; }));
      CHECK(engine.current_connections() == kClients);
      check_clean_end(engine);
    }
  }

  TEST_CASE("time in which a worker did not run makes nobody idle") {
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
      INFO("seed ", seed);
      NetworkOptions options = one_worker();
      options.idle_timeout = std::chrono::seconds(1);
      SimEngine engine(seed, SimFaults{}, options, Protocol::kEcho);
      std::vector<ClientId> clients;
      for (unsigned i = 0; i < 8; ++i) clients.push_back(engine.world.connect(engine.listeners[0]));
      for (unsigned i = 0; i < 30; ++i) engine.round();
      engine.world.advance(std::chrono::seconds(5));
      engine.world.settle();  // the timer has gone off before anything comes
      for (const ClientId client : clients) engine.world.client_write(client, "hello");
      for (unsigned i = 0; i < 30; ++i) engine.round();
      for (const ClientId client : clients) CHECK(engine.world.client_take(client) == "hello");
      CHECK(engine.stats().idle_kicks == 0);
      // From here on time counts again.
      CHECK(engine.run_until([&] { return engine.current_connections() == 0; }));
      CHECK(engine.stats().idle_kicks == clients.size());
      check_clean_end(engine);
    }
  }

  TEST_CASE("a client that fills all receive buffers does not starve another") {
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
      INFO("seed ", seed);
      SimEngine engine(seed, SimFaults{}, one_worker(), Protocol::kEcho);
      const ClientId greedy = engine.world.connect(engine.listeners[0]);
      const ClientId quiet = engine.world.connect(engine.listeners[0]);
      REQUIRE(engine.run_until([&] { return opened(engine, 0) == 2; }));
      const std::string flood(4096, 'f');
      unsigned longest = 0;
      for (unsigned i = 0; i < 50; ++i) {
        engine.world.client_write(quiet, "q");
        unsigned turns = 0;
        for (; turns < 1000 && engine.world.client_take(quiet) != "q"; ++turns) {
          engine.world.client_write(greedy, flood);
          engine.world.client_take(greedy);
          engine.world.settle();
          engine.worker_turn(0);
        }
        longest = std::max(longest, turns);
      }
      CHECK(longest <= 20);
      CHECK(engine.threads[0]->counters().receive_buffers_exhausted.get() > 0);
      engine.world.client_reset(greedy);
      check_clean_end(engine);
    }
  }

  TEST_CASE("more clients wait for a buffer than there are: all are served without a timer") {
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
      INFO("seed ", seed);
      SimEngine engine(seed, SimFaults{}, one_worker(), Protocol::kEcho);
      std::vector<ClientId> clients;
      for (unsigned i = 0; i < 12; ++i) clients.push_back(engine.world.connect(engine.listeners[0]));
      REQUIRE(engine.run_until([&] { return opened(engine, 0) == clients.size(); }));
      engine.acceptor_turn();
      // Everybody's receive ends for want of a buffer.
      engine.world.faults().buffers_exhausted = 1;
      for (const ClientId client : clients) engine.world.client_write(client, "a");
      for (unsigned i = 0; i < 20; ++i) engine.worker_turn(0);
      engine.world.faults() = SimFaults{};
      engine.world.options().waits_advance_clock = true;
      const std::uint64_t since = engine.world.clock().monotonic_ns();
      const Counter& received = engine.threads[0]->counters().bytes_read;
      for (unsigned turns = 0; turns < 500 && received.get() < clients.size(); ++turns) engine.worker_turn(0);
      CHECK(received.get() == clients.size());
      // Far from the next timer: what passed is what the events took.
      CHECK(engine.world.clock().monotonic_ns() - since < 500'000);
      engine.world.options().waits_advance_clock = false;
      check_clean_end(engine);
    }
  }
}
