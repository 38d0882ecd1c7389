#include "sim_network.h"

#include <algorithm>
#include <utility>

namespace ringcached::testing {

NetworkOptions tiny_options() {
  NetworkOptions options;
  options.workers = 2;
  options.connections_max = 12;
  options.refusal_line = "ERROR too many\r\n";
  options.output_high_water = 3000;
  options.output_low_water = 1000;
  options.ring_entries = 8;
  options.receive_buffers = 4;
  options.receive_buffer_bytes = 256;
  options.tick = std::chrono::milliseconds(20);
  options.stop_deadline = std::chrono::milliseconds(2000);
  return options;
}

SimNetwork::SimNetwork(std::uint64_t seed, const SimFaults& faults, const SimOptions& sim,
                       const NetworkOptions& options_in, unsigned completions_per_submission)
    : world(seed, faults, sim),
      options(options_in),
      completions_per_submission_(completions_per_submission) {}

SimNetwork::~SimNetwork() {
  destroy_threads();
}

void SimNetwork::destroy_threads() {
  acceptor.reset();
  threads.clear();
}

net::RingOptions SimNetwork::ring_options(unsigned receive_buffers) const {
  return {options.ring_entries, options.ring_entries * completions_per_submission_, receive_buffers,
          options.receive_buffer_bytes};
}

void SimNetwork::begin(const std::function<std::unique_ptr<WorkerHandler>(unsigned)>& make_worker,
                       bool first_listener_fails, const WrapRing& wrap_ring,
                       const WrapRing& wrap_acceptor_ring) {
  listeners = {first_listener_fails ? world.create_pollable() : world.listen(true), world.listen(false)};
  std::vector<net::Listener> owned;
  owned.emplace_back(listeners[0],
                     ListenAddress{.kind = ListenAddress::Kind::kTcp, .host = "127.0.0.1", .port = 1});
  owned.emplace_back(listeners[1], ListenAddress{.kind = ListenAddress::Kind::kUnix, .path = "/simulated"});
  for (const net::Listener& listener : owned) infos_.push_back(listener.info());
  std::vector<net::Worker*> pointers;
  for (unsigned i = 0; i < options.workers; ++i) {
    auto ring = world.create_ring(ring_options(options.receive_buffers));
    if (wrap_ring) ring = wrap_ring(std::move(ring));
    threads.push_back(std::make_unique<net::Worker>(i, options, world.clock(), infos_, connection_count_,
                                                    std::move(ring), make_worker(i)));
    pointers.push_back(threads.back().get());
    if (!threads.back()->begin()) failures.push_back("worker did not begin");
  }
  ended_.resize(options.workers + 1);
  frozen_.resize(options.workers + 1);
  auto acceptor_ring = world.create_ring(ring_options(0));
  if (wrap_acceptor_ring) acceptor_ring = wrap_acceptor_ring(std::move(acceptor_ring));
  acceptor = std::make_unique<net::Acceptor>(
      options, world.clock(), std::move(owned), std::move(pointers), connection_count_,
      std::move(acceptor_ring), [this](const Status& status) { failures.push_back(status.message()); });
  if (!acceptor->begin()) failures.push_back("acceptor did not begin");
}

void SimNetwork::turn(Dice& dice) {
  const unsigned who = dice.below(options.workers + 1);
  if (!ended_[who] && !frozen_[who]) {
    ended_[who] = who == options.workers ? !acceptor->run_once() : !threads[who]->run_once();
  }
  if (dice.one_in(8)) world.advance(std::chrono::milliseconds(dice.below(15)));
  watch_memory();
}

void SimNetwork::round() {
  acceptor_turn();
  for (std::size_t i = 0; i < threads.size(); ++i) worker_turn(i);
  end_round();
}

void SimNetwork::acceptor_turn() {
  if (!ended_.back()) ended_.back() = !acceptor->run_once();
}

void SimNetwork::worker_turn(std::size_t worker) {
  if (!ended_[worker]) ended_[worker] = !threads[worker]->run_once();
}

void SimNetwork::end_round() {
  stopped_ = std::ranges::all_of(ended_, [](bool ended) { return ended; });
  world.advance(std::chrono::milliseconds(3));
  watch_memory();
}

void SimNetwork::watch_memory() {
  for (const auto& worker : threads) {
    worker->for_each_connection([this](net::ClientConnection& connection) {
      output_max_ = std::max(output_max_, connection.unsent());
      input_max_ = std::max(input_max_, connection.input_tail_bytes());
    });
  }
}

void SimNetwork::request_stop() {
  acceptor->request_stop();
}

NetworkStats SimNetwork::stats() const {
  NetworkStats stats;
  for (const auto& worker : threads) {
    const net::WorkerCounters& counters = worker->counters();
    WorkerStats share;
    share.total_connections = counters.connections_opened.get();
    share.current_connections = share.total_connections - counters.connections_closed.get();
    stats.workers.push_back(share);
    stats.bytes_read += counters.bytes_read.get();
    stats.bytes_written += counters.bytes_written.get();
    stats.idle_kicks += counters.idle_kicks.get();
    stats.receives_renewed += counters.receives_renewed.get();
  }
  stats.current_connections = connection_count_.load();
  stats.total_connections = acceptor->counters().total_connections.get();
  stats.rejected_connections = acceptor->counters().rejected_connections.get();
  stats.accept_errors = acceptor->counters().accept_errors.get();
  return stats;
}

// What the counters say of a network without connections.
void SimNetwork::check_counters() {
  const NetworkStats counted = stats();
  if (counted.current_connections != 0)
    failures.push_back(std::to_string(counted.current_connections) + " connections counted at the end");
  std::uint64_t opened = 0;
  for (std::size_t i = 0; i < counted.workers.size(); ++i) {
    opened += counted.workers[i].total_connections;
    if (counted.workers[i].current_connections != 0)
      failures.push_back("worker " + std::to_string(i) + " counts connections at the end");
    if (threads[i]->output_blocks_in_use() != 0)
      failures.push_back("worker " + std::to_string(i) + " has output blocks in use at the end");
  }
  // The difference was given up for want of a worker.
  if (opened > counted.total_connections || opened + counted.accept_errors < counted.total_connections) {
    failures.push_back("workers opened " + std::to_string(opened) + " connections of " +
                       std::to_string(counted.total_connections));
  }
}

std::string SimNetwork::verdict() {
  if (!stopped_) {
    request_stop();
    if (!run_until([this] { return stopped_; })) failures.push_back("the orderly end did not come");
  }
  check_counters();
  if (stopped_) destroy_threads();
  std::string report = world.check_clean();
  for (const std::string& failure : failures) {
    report += "seed " + std::to_string(world.seed()) + ": " + failure + "\n";
  }
  return report;
}

}  // namespace ringcached::testing
