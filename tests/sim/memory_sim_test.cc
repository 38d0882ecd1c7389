// The n-th allocation of a worker fails, for every n until its day goes by without a failure: an engine with
// the server's own sessions over the simulated kernel. Whoever is hit loses the connection, or is told that
// there is no memory; everybody else is served, and nothing leaks. RINGCACHED_MEMORY_NTH is where to begin.
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "net/connection.h"
#include "session_server.h"
#include "sim_network.h"
#include "support/environment.h"
#include "support/wrapped_ring.h"

using namespace ringcached;
using namespace ringcached::testing;

namespace {

NetworkOptions one_worker() {
  NetworkOptions options = tiny_options();
  options.workers = 1;
  options.connections_max = 100;  // more than one block of slots
  options.handoff = Handoff::kEventfd;
  options.receive_buffer_bytes = 4096;
  options.output_high_water = std::size_t{1} << 20;
  options.output_low_water = std::size_t{1} << 18;
  return options;
}

// A server without sockets: store, sessions, and one simulated worker.
class Served {
 public:
  Served() {
    engine =
        std::make_unique<SimNetwork>(1, SimFaults{}, SimOptions{.socket_buffer_bytes = 4096}, one_worker());
    engine->begin(
        [this](unsigned) { return sessions_.make_worker(); }, false,
        [](std::unique_ptr<net::Ring> ring) { return std::make_unique<ExemptRing>(std::move(ring)); });
  }

  ClientId connect(const std::string& requests) {
    const ClientId client = engine->world.connect(engine->listeners[0]);
    engine->world.client_write(client, requests);
    return client;
  }
  // Only the worker's turns are short of memory.
  void rounds(unsigned count, FailingHeap& heap) {
    for (unsigned i = 0; i < count; ++i) {
      engine->acceptor_turn();
      heap.run([&] { engine->worker_turn(0); });
      engine->end_round();
    }
  }
  std::uint64_t ended_for_memory() const { return engine->threads[0]->counters().out_of_memory.get(); }

 private:
  SessionServer sessions_;

 public:
  std::unique_ptr<SimNetwork> engine;  // last: its connections hold pins into the store
};

std::string set_of(const std::string& key, std::size_t bytes) {
  return "set " + key + " 0 0 " + std::to_string(bytes) + "\r\n" + std::string(bytes, 'v') + "\r\n";
}

// Requests that take every way through the sessions; each group ends with a marker.
std::vector<std::string> scripts() {
  std::string texts = set_of("small", 10) + set_of("pinned", 5000) + set_of("chain", 34000);
  texts += "get small pinned chain missing\r\ngets pinned\r\nappend chain 0 0 5\r\n12345\r\n";
  texts +=
      "set number 0 0 1\r\n9\r\nincr number 1\r\ndelete small\r\nmg chain v c k\r\nms meta 2 c\r\nhi\r\n";
  texts += "stats\r\nstats settings\r\nstats items\r\nstats slabs\r\nverbosity 0\r\nmn\r\n";
  std::string dump = set_of("a", 100) + set_of("b", 100) + "lru_crawler metadump all\r\nmn\r\n";
  std::string many;
  for (unsigned i = 0; i < 40; ++i) many += set_of("k" + std::to_string(i), i * 7 % 900);
  return {texts, dump, "watch mutations connevents\r\n", many + "mn\r\n",
          std::string("\x80\x0a", 2) + std::string(22, '\0')};
}

// One day: clients come with all scripts, some twice, and an empty one. True if an allocation failed.
bool day(std::uint64_t nth, FailingHeap::Mode mode) {
  Served served;
  FailingHeap heap(nth, mode);
  std::vector<ClientId> clients;
  for (const std::string& script : scripts()) {
    clients.push_back(served.connect(script));
    served.rounds(30, heap);
  }
  for (unsigned i = 0; i < 70; ++i) clients.push_back(served.connect(i % 8 == 0 ? "mn\r\n" : ""));
  served.rounds(60, heap);

  CAPTURE(nth);
  CAPTURE(static_cast<int>(mode));
  SimWorld& world = served.engine->world;
  unsigned lost = 0;
  for (const ClientId client : clients) {
    world.client_take(client);
    lost += world.client_saw_end(client) || world.client_saw_reset(client) ? 1 : 0;
  }
  CHECK(lost == served.ended_for_memory());
  for (const ClientId client : clients) world.client_close(client);
  // With memory again everything works.
  const ClientId later = served.connect("set later 0 0 2\r\nok\r\nget later\r\n");
  std::string received;
  const bool answered = served.engine->run_until([&] {
    received += world.client_take(later);
    return received.ends_with("END\r\n");
  });
  CHECK(answered);
  CHECK(received == "STORED\r\nVALUE later 0 2\r\nok\r\nEND\r\n");
  world.client_close(later);
  const std::string verdict = served.engine->verdict();
  CHECK_MESSAGE(verdict.empty(), verdict);
  return heap.has_failed();
}

}  // namespace

TEST_SUITE("memory_sim") {
  TEST_CASE("the n-th allocation of a worker fails") {
    std::uint64_t nth = number_from_environment("RINGCACHED_MEMORY_NTH", 1);
    while (day(nth, FailingHeap::Mode::kOnce)) ++nth;
    CHECK(nth > 50);
  }

  TEST_CASE("from the n-th on every allocation of a worker fails") {
    std::uint64_t nth = number_from_environment("RINGCACHED_MEMORY_NTH", 1);
    while (day(nth, FailingHeap::Mode::kFromThenOn)) ++nth;
    CHECK(nth > 50);
  }
}
