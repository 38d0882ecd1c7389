// The n-th allocation fails, of a worker or of the acceptor, on epoll rings over real sockets: what the ring
// itself allocates, too. Whoever is hit loses the connection or the datagram; everybody else is served,
// nothing leaks, and afterwards all works.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "net/acceptor.h"
#include "net/worker.h"
#include "ring_support.h"
#include "support/failing_heap.h"
#include "support/wrapped_ring.h"

using namespace ringcached;
using namespace ringcached::net;
using namespace ringcached::net::testing;
using ringcached::testing::FailingHeap;
using ringcached::testing::WrappedRing;

namespace {

struct Plainly {
  template <typename Step>
  static auto call(Step step) {
    return step();
  }
};

// Never waits: whose turn it is, the test decides.
class ImpatientRing final : public WrappedRing<Plainly> {
 public:
  using WrappedRing::WrappedRing;
  int submit_and_wait(unsigned, std::chrono::nanoseconds) override {
    return WrappedRing::submit_and_wait(0, std::chrono::nanoseconds::zero());
  }
};

std::unique_ptr<Ring> impatient_ring(const RingOptions& options) {
  auto ring = create_epoll_ring(options);
  REQUIRE(ring.is_ok());
  return std::make_unique<ImpatientRing>(std::move(ring.value()));
}

// A line is answered by itself, one of "b" by a megabyte.
constexpr std::size_t kLargeBytes = std::size_t{1} << 20;

class EchoHandler final : public ConnectionHandler {
 public:
  Consumed on_data(Connection& connection, std::span<const char> input) override {
    const std::string_view all(input.data(), input.size());
    const std::size_t end = all.find('\n');
    if (end == std::string_view::npos) return {0, Next::kReceive};
    const std::string_view line = all.substr(0, end + 1);
    if (line == "b\n") {
      static const std::string bytes(kLargeBytes, 'b');
      connection.output().reference(bytes, {[](void*, void*) {}, nullptr, nullptr});
    } else {
      connection.output().append(line);
    }
    return {end + 1, end + 1 < all.size() ? Next::kYield : Next::kReceive};
  }
};

class EchoDatagrams final : public DatagramHandler {
 public:
  bool on_datagram(const DatagramPeer&, std::span<const char> payload, DatagramReplies& replies) override {
    // Twice, and with memory of its own.
    const std::string bytes(payload.begin(), payload.end());
    for (int i = 0; i < 2; ++i) std::ranges::copy(bytes, replies.append(bytes.size()).begin());
    return true;
  }
};

class EchoWorker final : public WorkerHandler {
 public:
  std::unique_ptr<ConnectionHandler> on_open(Connection&) override { return std::make_unique<EchoHandler>(); }
  std::unique_ptr<DatagramHandler> make_datagram_handler() override {
    return std::make_unique<EchoDatagrams>();
  }
};

NetworkOptions small_options() {
  NetworkOptions options;
  options.workers = 1;
  options.connections_max = 300;
  options.handoff = Handoff::kEventfd;
  options.ring_entries = 4;
  options.receive_buffers = 4;
  options.receive_buffer_bytes = 2048;
  options.tick = std::chrono::milliseconds(5);
  return options;
}

// One worker and the acceptor, without threads.
class Engine {
 public:
  Engine() : options_(small_options()) {
    auto listeners = open_listeners({{.kind = ListenAddress::Kind::kTcp, .host = "127.0.0.1"}}, {});
    auto sockets = open_datagram_sockets({{.kind = ListenAddress::Kind::kUdp, .host = "127.0.0.1"}}, 1);
    REQUIRE(listeners.is_ok());
    REQUIRE(sockets.is_ok());
    tcp_port = listeners.value()[0].bound().port;
    udp_port = sockets.value()[0].bound().port;
    infos_.push_back(listeners.value()[0].info());
    worker = std::make_unique<Worker>(
        0, options_, system_clock(), infos_, connections,
        impatient_ring({options_.ring_entries, 8, options_.receive_buffers, options_.receive_buffer_bytes}),
        std::make_unique<EchoWorker>(), std::move(sockets.value()));
    REQUIRE(worker->begin().is_ok());
    acceptor = std::make_unique<Acceptor>(
        options_, system_clock(), std::move(listeners.value()), std::vector<Worker*>{worker.get()},
        connections, impatient_ring({options_.ring_entries, 8, 0, 0}), [](const Status&) {});
    REQUIRE(acceptor->begin().is_ok());
  }

  enum class Hit { kWorker, kAcceptor };
  void round(FailingHeap& heap, Hit who) {
    if (!acceptor_ended_) {
      const auto turn = [&] { acceptor_ended_ = !acceptor->run_once(); };
      who == Hit::kAcceptor ? heap.run(turn) : turn();
    }
    if (worker_ended_) return;
    const auto turn = [&] { worker_ended_ = !worker->run_once(); };
    who == Hit::kWorker ? heap.run(turn) : turn();
  }
  bool ended() const { return acceptor_ended_ && worker_ended_; }

  std::uint16_t tcp_port = 0, udp_port = 0;
  std::atomic<std::uint32_t> connections{0};

 private:
  NetworkOptions options_;
  std::vector<ListenerInfo> infos_;
  bool acceptor_ended_ = false, worker_ended_ = false;

 public:
  std::unique_ptr<Worker> worker;
  std::unique_ptr<Acceptor> acceptor;
};

// A client's end, connected and never waiting.
class Client {
 public:
  Client(int type, std::uint16_t port) : socket_(::socket(AF_INET, type | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  }
  void ask(const std::string& bytes, std::size_t answer_bytes) {
    ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    awaited_ += answer_bytes;
  }
  void take() {
    static char buffer[65536];
    for (;;) {
      const ssize_t count = ::recv(socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
      if (count > 0) received_ += static_cast<std::size_t>(count);
      lost_ = lost_ || count == 0 || (count < 0 && errno != EAGAIN);
      if (count <= 0) return;
    }
  }
  bool lost() const { return lost_; }
  bool satisfied() const { return received_ >= awaited_; }
  std::size_t received() const { return received_; }

 private:
  Descriptor socket_;
  std::size_t awaited_ = 0, received_ = 0;
  bool lost_ = false;
};

unsigned open_descriptors() {
  unsigned count = 0;
  for (int i = 0; i < 512; ++i) count += fcntl(i, F_GETFD) >= 0 ? 1 : 0;
  return count;
}

struct Day {
  std::uint64_t nth;
  FailingHeap::Mode mode;
  Engine::Hit hit;

  Engine engine{};
  FailingHeap heap{nth, mode};
  std::vector<Client> clients{};

  void rounds(unsigned count) {
    for (unsigned i = 0; i < count; ++i) engine.round(heap, hit);
  }
  // More than one block of connections; most only ask, some take a lot, and late.
  void come() {
    for (unsigned i = 0; i < 80; ++i) {
      Client& client = clients.emplace_back(SOCK_STREAM, engine.tcp_port);
      if (i % 30 == 3) {
        for (int j = 0; j < 4; ++j) client.ask("b\n", kLargeBytes);
      } else if (i % 2 == 0) {
        client.ask(std::string(i * 40, 'x') + "\n", i * 40 + 1);
        client.ask("and again\n", 10);
      }
      if (i % 7 == 0) rounds(3);
    }
    rounds(20);
  }
  bool all_settled() {
    bool settled = true;
    for (Client& client : clients) {
      client.take();
      settled = settled && (client.lost() || client.satisfied());
    }
    return settled;
  }
  unsigned lost() const {
    unsigned count = 0;
    for (const Client& client : clients) count += client.lost() ? 1 : 0;
    return count;
  }
};

// What came of `count` datagrams with two replies each: whole, or counted as dropped.
void check_datagrams(Day& day, Client& client, unsigned count) {
  const WorkerCounters& counters = day.engine.worker->counters();
  const auto accounted = [&] {
    return counters.datagrams_sent.get() / 2 + counters.datagram_replies_dropped.get();
  };
  for (unsigned i = 0; i < 1000 && accounted() < count; ++i) day.rounds(1);
  client.take();
  CHECK(counters.datagrams_received.get() == count);
  CHECK(accounted() == count);
  CHECK(client.received() == counters.datagrams_sent.get() * 10);
}

void check_goes_on(Day& day) {
  FailingHeap ample(0, FailingHeap::Mode::kOnce);
  Client later(SOCK_STREAM, day.engine.tcp_port);
  later.ask("later\n", 6);
  for (unsigned i = 0; i < 1000 && !later.satisfied(); ++i, later.take()) day.engine.round(ample, day.hit);
  CHECK(later.satisfied());
  day.clients.clear();
}

void check_ends(Day& day) {
  FailingHeap ample(0, FailingHeap::Mode::kOnce);
  day.engine.acceptor->request_stop();
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!day.engine.ended() && std::chrono::steady_clock::now() < end) day.engine.round(ample, day.hit);
  CHECK(day.engine.ended());
  CHECK(day.engine.connections == 0);
  CHECK(day.engine.worker->open_connections() == 0);
  CHECK(day.engine.worker->output_blocks_in_use() == 0);
}

// True if an allocation failed.
bool live(std::uint64_t nth, FailingHeap::Mode mode, Engine::Hit hit) {
  const unsigned descriptors = open_descriptors();
  bool failed = false;
  {
    Day day{nth, mode, hit};
    CAPTURE(nth);
    CAPTURE(static_cast<int>(mode));
    CAPTURE(static_cast<int>(hit));
    Client datagrams(SOCK_DGRAM, day.engine.udp_port);
    for (int i = 0; i < 6; ++i) datagrams.ask("0123456789", 20);
    day.come();
    for (unsigned i = 0; i < 1000 && !day.all_settled(); ++i) day.rounds(1);
    CHECK(day.all_settled());
    const std::uint64_t counted = day.engine.worker->counters().out_of_memory.get() +
                                  day.engine.acceptor->counters().accept_errors.get();
    CHECK(day.lost() == counted);
    check_datagrams(day, datagrams, 6);
    check_goes_on(day);
    check_ends(day);
    failed = day.heap.has_failed();
  }
  CHECK(open_descriptors() == descriptors);
  return failed;
}

std::uint64_t live_until_nothing_fails(FailingHeap::Mode mode, Engine::Hit hit) {
  std::uint64_t nth = 1;
  // What fails from an n on is much the same for the next one.
  while (live(nth, mode, hit)) nth += mode == FailingHeap::Mode::kOnce ? 1 : 1 + nth / 16;
  return nth;
}

}  // namespace

TEST_SUITE("epoll_memory") {
  TEST_CASE("the n-th allocation of a worker on an epoll ring fails") {
    CHECK(live_until_nothing_fails(FailingHeap::Mode::kOnce, Engine::Hit::kWorker) > 50);
  }
  TEST_CASE("from the n-th on every allocation of a worker on an epoll ring fails") {
    CHECK(live_until_nothing_fails(FailingHeap::Mode::kFromThenOn, Engine::Hit::kWorker) > 50);
  }
  TEST_CASE("the n-th allocation of the acceptor on an epoll ring fails, or all from it on") {
    for (const auto mode : {FailingHeap::Mode::kOnce, FailingHeap::Mode::kFromThenOn}) {
      CHECK(live_until_nothing_fails(mode, Engine::Hit::kAcceptor) >= 1);
    }
  }
}
