// The n-th allocation of the acceptor fails, while it accepts more than there may be, and workers do not take
// what it gives them: whoever it was for is closed and counted.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "session_server.h"
#include "sim_network.h"
#include "support/environment.h"
#include "support/wrapped_ring.h"

using namespace ringcached;
using namespace ringcached::testing;

namespace {

NetworkOptions waiting_options() {
  NetworkOptions options = tiny_options();
  options.workers = 1;
  options.connections_max = 6;
  options.refuse_fast = false;
  options.handoff = Handoff::kMessageRing;
  options.receive_buffer_bytes = 4096;
  return options;
}

// True if an allocation failed.
bool day(std::uint64_t nth, FailingHeap::Mode mode, std::uint64_t seed) {
  CAPTURE(nth);
  CAPTURE(static_cast<int>(mode));
  CAPTURE(seed);
  SessionServer sessions;
  SimFaults faults;
  faults.post_overflow = 0.6;
  SimNetwork engine(seed, faults, {}, waiting_options());
  engine.begin([&](unsigned) { return sessions.make_worker(); }, false, {},
               [](std::unique_ptr<net::Ring> ring) { return std::make_unique<ExemptRing>(std::move(ring)); });
  FailingHeap heap(nth, mode);
  SimWorld& world = engine.world;
  struct Client {
    ClientId id;
    std::string received{};
    bool gone = false;
  };
  std::vector<Client> clients;
  for (unsigned i = 0; i < 60; ++i) {
    clients.push_back({world.connect(engine.listeners[i % 2])});
    world.client_write(clients.back().id, "mn\r\n");
  }
  unsigned open = 60, lost = 0;
  for (unsigned round = 0; round < 4000 && open > 0; ++round) {
    heap.run([&] { engine.acceptor_turn(); });
    engine.worker_turn(0);
    engine.end_round();
    for (Client& client : clients) {
      if (client.gone) continue;
      client.received += world.client_take(client.id);
      const bool served = client.received == "MN\r\n";
      const bool ended = world.client_saw_end(client.id) || world.client_saw_reset(client.id);
      if (!served && !ended) continue;
      if (!served) ++lost;
      world.client_close(client.id);
      client.gone = true;
      --open;
    }
  }
  CHECK(open == 0);
  CHECK(lost == engine.acceptor->counters().accept_errors.get());
  const std::string verdict = engine.verdict();
  CHECK_MESSAGE(verdict.empty(), verdict);
  return heap.has_failed();
}

}  // namespace

TEST_SUITE("memory_sim") {
  TEST_CASE("the n-th allocation of the acceptor fails, or all from it on") {
    for (const FailingHeap::Mode mode : {FailingHeap::Mode::kOnce, FailingHeap::Mode::kFromThenOn}) {
      std::uint64_t most = 0;
      for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        std::uint64_t nth = number_from_environment("RINGCACHED_MEMORY_NTH", 1);
        while (day(nth, mode, seed)) ++nth;
        most = std::max(most, nth);
      }
      CHECK(most > 3);
    }
  }
}
