// Seeded runs of a worker with a UDP socket over the simulated kernel. Replay as engine_sim_test.cc says.
#include <doctest/doctest.h>

#include <map>
#include <string>

#include "net/worker.h"
#include "sim_engine.h"

using namespace ringcached;
using namespace ringcached::testing;

namespace {

constexpr std::uint64_t kRuns = 120;

// The first byte of a datagram says how many replies it gets; 'x' is malformed, and 'd' is answered by a
// dropped reply. A reply is its number, then the datagram.
class RepeatHandler final : public DatagramHandler {
 public:
  explicit RepeatHandler(unsigned& living) : living_(living) { ++living_; }
  ~RepeatHandler() override { --living_; }
  bool on_datagram(const DatagramPeer& peer, std::span<const char> payload,
                   DatagramReplies& replies) override {
    CHECK_FALSE(peer.v6);
    if (payload.empty() || payload[0] == 'x') return false;
    if (payload[0] == 'd') {
      replies.count_dropped();
      return true;
    }
    const auto count = static_cast<std::size_t>(payload[0] - '0');
    if (replies.room() < count) {
      replies.count_dropped();
      return true;
    }
    for (std::size_t i = 0; i < count; ++i) {
      const std::span<char> reply = replies.append(payload.size() + 1);
      reply[0] = static_cast<char>('0' + i);
      std::copy(payload.begin(), payload.end(), reply.begin() + 1);
    }
    return true;
  }

 private:
  unsigned& living_;
};

class DatagramWorkerHandler final : public WorkerHandler {
 public:
  explicit DatagramWorkerHandler(unsigned& living) : living_(living) {}
  void on_stop() override { CHECK(living_ == 0); }
  std::unique_ptr<ConnectionHandler> on_open(Connection&) override { return nullptr; }
  std::unique_ptr<DatagramHandler> make_datagram_handler() override {
    return std::make_unique<RepeatHandler>(living_);
  }

 private:
  unsigned& living_;
};

struct DatagramWorker {
  DatagramWorker(std::uint64_t seed, const SimFaults& faults, unsigned buffers = 4)
      : world(seed, faults), options(tiny_options()) {
    options.receive_buffers = buffers;
    std::vector<net::Listener> owned;
    for (int i = 0; i < 2; ++i) {
      sockets.push_back(world.open_datagram());
      owned.emplace_back(sockets.back(),
                         ListenAddress{.kind = ListenAddress::Kind::kUdp, .host = "127.0.0.1"});
    }
    worker = std::make_unique<net::Worker>(0, options, world.clock(), std::span<const net::ListenerInfo>(),
                                           connections,
                                           world.create_ring({options.ring_entries, options.ring_entries * 8,
                                                              buffers, options.receive_buffer_bytes}),
                                           std::make_unique<DatagramWorkerHandler>(living), std::move(owned));
    CHECK(worker->begin().is_ok());
  }
  void turns(int count) {
    for (int i = 0; i < count && !ended; ++i) {
      ended = !worker->run_once();
      world.advance(std::chrono::milliseconds(3));
    }
  }
  void stop() {
    worker->request_stop(0);
    turns(4000);
    CHECK(ended);
    worker.reset();
    CHECK(world.check_clean() == "");
  }
  // Each reply must be one of a datagram sent, and come at most once.
  void take() {
    for (const int socket : sockets) {
      for (const SimWorld::Datagram& reply : world.datagrams_take(socket)) {
        const std::string asked = reply.payload.substr(1);
        const auto found = sent.find(asked);
        REQUIRE(found != sent.end());
        CHECK(found->second == reply.port);
        CHECK(reply.payload[0] - '0' < asked[0] - '0');
        CHECK(taken.insert(reply.payload).second);
      }
    }
  }
  void send(int socket, std::uint16_t port, const std::string& payload) {
    sent[payload] = port;
    world.datagram_arrives(socket, port, payload);
  }

  SimWorld world;
  NetworkOptions options;
  unsigned living = 0;
  std::atomic<std::uint32_t> connections{0};
  std::vector<int> sockets;
  std::map<std::string, std::uint16_t> sent;
  std::set<std::string> taken;
  std::unique_ptr<net::Worker> worker;
  bool ended = false;
};

}  // namespace

TEST_SUITE("datagram_sim") {
  TEST_CASE("a perfect kernel: every reply comes, and everything is counted") {
    DatagramWorker bench(1, {});
    bench.send(bench.sockets[0], 1001, "3 one");
    bench.send(bench.sockets[1], 1002, "1 two");
    bench.send(bench.sockets[0], 1003, "x malformed");
    bench.send(bench.sockets[0], 1003, "d dropped");
    bench.send(bench.sockets[0], 1003, "");
    bench.send(bench.sockets[0], 1004, "2 after the empty one");
    bench.send(bench.sockets[0], 1004, "1" + std::string(1000, 'y'));  // longer than a buffer
    bench.turns(60);
    bench.take();
    CHECK(bench.taken == std::set<std::string>{"03 one", "13 one", "23 one", "01 two",
                                               "02 after the empty one", "12 after the empty one"});
    const net::WorkerCounters& counters = bench.worker->counters();
    CHECK(counters.datagrams_received.get() == 7);
    CHECK(counters.datagrams_sent.get() == 6);
    CHECK(counters.datagrams_malformed.get() == 3);
    CHECK(counters.datagram_replies_dropped.get() == 1);
    CHECK(counters.datagram_send_errors.get() == 0);
    bench.stop();
  }

  TEST_CASE("replies nobody takes are bounded and dropped; a stop waits no longer than its deadline") {
    DatagramWorker bench(2, {});
    for (const int socket : bench.sockets) bench.world.datagrams_block(socket, true);
    for (int i = 0; i < 400; ++i) {
      bench.send(bench.sockets[0], 1001, "9 number " + std::to_string(i));
      bench.turns(3);
    }
    const net::WorkerCounters& counters = bench.worker->counters();
    CHECK(counters.datagrams_received.get() == 400);
    CHECK(counters.datagrams_sent.get() == 0);
    CHECK(counters.datagram_replies_dropped.get() == 400 - DatagramReplies::kInFlightMax / 9);
    CHECK(bench.world.operations() < DatagramReplies::kInFlightMax + 10);
    bench.stop();
  }

  TEST_CASE("any faults, any order, an end in the middle: nothing wrong is sent, nothing leaks") {
    for (std::uint64_t seed = 1; seed <= kRuns; ++seed) {
      INFO("seed ", seed);
      Dice dice(seed);
      DatagramWorker bench(seed, SimFaults::swarm(seed), 2U << dice.below(3));
      for (unsigned i = 0, acts = dice.below(300); i < acts; ++i) {
        const int socket = bench.sockets[dice.below(2)];
        switch (dice.below(5)) {
          case 0:
            bench.send(socket, static_cast<std::uint16_t>(1 + dice.below(60000)),
                       std::string(1, "0123x"[dice.below(5)]) + " " + std::to_string(i) +
                           std::string(dice.below(300), 'z'));
            break;
          case 1:
            bench.world.datagrams_block(socket, dice.one_in(2));
            break;
          case 2:
            bench.take();
            break;
          default:
            bench.turns(1);
        }
      }
      if (dice.one_in(2)) {
        bench.world.faults() = {};
        for (const int socket : bench.sockets) bench.world.datagrams_block(socket, false);
        bench.turns(200);
        bench.take();
        bench.send(bench.sockets[0], 7, "1 last");
        bench.turns(60);
        bench.take();
        CHECK(bench.taken.count("01 last") == 1);
      }
      bench.world.faults() = {};
      bench.stop();
    }
  }
}
