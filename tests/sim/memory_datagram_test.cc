// The n-th allocation of a worker fails while it serves datagrams: a message comes whole or is counted as
// dropped, and the datagrams that follow are served.
#include <doctest/doctest.h>

#include <map>
#include <string>
#include <vector>

#include "net/worker.h"
#include "session_server.h"
#include "sim_network.h"
#include "support/environment.h"
#include "support/wrapped_ring.h"

using namespace ringcached;
using namespace ringcached::testing;

namespace {

constexpr std::uint16_t kPort = 1000;

NetworkOptions datagram_options() {
  NetworkOptions options = tiny_options();
  options.workers = 1;
  options.receive_buffer_bytes = 2048;
  return options;
}

class DatagramServer {
 public:
  DatagramServer() : world_(1), options_(datagram_options()), socket_(world_.open_datagram()) {
    std::vector<net::Listener> owned;
    owned.emplace_back(socket_, ListenAddress{.kind = ListenAddress::Kind::kUdp, .host = "127.0.0.1"});
    auto ring = world_.create_ring({options_.ring_entries, options_.ring_entries * 8,
                                    options_.receive_buffers, options_.receive_buffer_bytes});
    worker_ = std::make_unique<net::Worker>(0, options_, world_.clock(), std::span<const net::ListenerInfo>(),
                                            connections_, std::make_unique<ExemptRing>(std::move(ring)),
                                            sessions_.make_worker(), std::move(owned));
    CHECK(worker_->begin().is_ok());
  }
  void ask(std::uint16_t id, const std::string& request) {
    const char header[] = {static_cast<char>(id >> 8), static_cast<char>(id), 0, 0, 0, 1, 0, 0};
    world_.datagram_arrives(socket_, kPort, std::string(header, sizeof header) + request);
  }
  void turns(unsigned count, FailingHeap& heap) {
    for (unsigned i = 0; i < count && !ended_; ++i) {
      heap.run([&] { ended_ = !worker_->run_once(); });
      world_.advance(std::chrono::milliseconds(3));
    }
    for (const SimWorld::Datagram& reply : world_.datagrams_take(socket_)) {
      const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(reply.payload[at]); };
      Message& message = messages_[static_cast<std::uint16_t>(byte(0) << 8 | byte(1))];
      message.datagrams = byte(4) << 8 | byte(5);
      ++message.come;
      message.text += reply.payload.substr(8);
    }
  }
  // Of the messages that have come, those that are not whole.
  unsigned torn() const {
    unsigned count = 0;
    for (const auto& [id, message] : messages_) count += message.come % message.datagrams != 0 ? 1 : 0;
    return count;
  }
  bool answered(std::uint16_t id) const { return messages_.contains(id); }
  std::string text(std::uint16_t id) { return messages_[id].text; }
  const net::WorkerCounters& counters() const { return worker_->counters(); }
  // What is wrong behind the end.
  std::string end(FailingHeap& ample) {
    worker_->request_stop(0);
    turns(4000, ample);
    CHECK(ended_);
    CHECK(worker_->output_blocks_in_use() == 0);
    worker_.reset();
    return world_.check_clean();
  }

 private:
  struct Message {
    unsigned datagrams = 1, come = 0;
    std::string text;
  };

  SessionServer sessions_;
  SimWorld world_;
  NetworkOptions options_;
  std::atomic<std::uint32_t> connections_{0};
  int socket_;
  std::unique_ptr<net::Worker> worker_;
  std::map<std::uint16_t, Message> messages_;
  bool ended_ = false;
};

std::string set_of(const std::string& key, std::size_t bytes) {
  return "set " + key + " 0 0 " + std::to_string(bytes) + "\r\n" + std::string(bytes, 'v') + "\r\n";
}

// One request each, every one of which has an answer when there is memory.
std::vector<std::string> requests() {
  std::vector<std::string> all = {set_of("small", 10),  "get small\r\n",
                                  "mg small v c\r\n",   "incr small 1\r\n",
                                  set_of("grows", 900), "stats\r\n",
                                  "stats settings\r\n", "stats slabs\r\n",
                                  "watch\r\n",          "lru_crawler metadump all\r\n"};
  // Values that are sent from where they lie, and in several datagrams.
  for (unsigned i = 0; i < 12; ++i)
    all.push_back("append grows 0 0 900\r\n" + std::string(900, 'a') + "\r\n");
  all.insert(all.end(),
             {"get grows\r\n", "get grows grows small grows\r\n", "gets missing\r\n", "delete grows\r\n"});
  all.push_back(std::string("\x80\x0a", 2) + std::string(22, '\0'));
  return all;
}

// True if an allocation failed.
bool day(std::uint64_t nth, FailingHeap::Mode mode) {
  CAPTURE(nth);
  CAPTURE(static_cast<int>(mode));
  DatagramServer server;
  FailingHeap heap(nth, mode), ample(0, FailingHeap::Mode::kOnce);
  std::uint16_t id = 0;
  unsigned answered = 0;
  for (const std::string& request : requests()) {
    server.ask(++id, request);
    server.turns(8, heap);
  }
  server.turns(40, heap);
  for (std::uint16_t i = 1; i <= id; ++i) answered += server.answered(i) ? 1 : 0;
  CHECK(server.torn() == 0);
  CHECK(server.counters().datagrams_received.get() == id);
  CHECK(server.counters().datagrams_malformed.get() == 0);
  CHECK(server.counters().datagram_replies_dropped.get() == id - answered);
  if (mode == FailingHeap::Mode::kOnce) CHECK(answered + 1 >= id);
  server.ask(1001, set_of("later", 5000 - 4000));
  server.turns(20, ample);
  CHECK(server.text(1001) == "STORED\r\n");
  server.ask(1002, "get later\r\n");
  server.turns(20, ample);
  CHECK(server.text(1002) == "VALUE later 0 1000\r\n" + std::string(1000, 'v') + "\r\nEND\r\n");
  CHECK(server.end(ample) == "");
  return heap.has_failed();
}

}  // namespace

TEST_SUITE("memory_sim") {
  TEST_CASE("the n-th allocation of a worker that serves datagrams fails, or all from it on") {
    for (const FailingHeap::Mode mode : {FailingHeap::Mode::kOnce, FailingHeap::Mode::kFromThenOn}) {
      std::uint64_t nth = number_from_environment("RINGCACHED_MEMORY_NTH", 1);
      while (day(nth, mode)) ++nth;
      CHECK(nth > 50);
    }
  }
}
