// A whole engine (acceptor and workers) over the simulated kernel. Who handles the connections is the user's
// choice: sim_engine.h has handlers whose replies can be predicted, swarm_server.h the real sessions.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/acceptor.h"
#include "net/worker.h"
#include "ringcached/network.h"
#include "support/sim_ring.h"

namespace ringcached::testing {

// Small random numbers for the test's own choices, apart from those of the world.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15ULL + 1) {}
  std::uint64_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_;
  }
  // 0 .. bound - 1
  unsigned below(unsigned bound) { return static_cast<unsigned>((next() >> 20) % bound); }
  bool one_in(unsigned n) { return below(n) == 0; }
  template <typename T, std::size_t kCount>
  const T& pick(const T (&from)[kCount]) {
    return from[below(kCount)];
  }

 private:
  std::uint64_t state_;
};

// Options small enough that every limit is reached.
NetworkOptions tiny_options();

class SimNetwork : public Network {
 public:
  // `completions_per_submission`: the length of the completion queues.
  SimNetwork(std::uint64_t seed, const SimFaults& faults, const SimOptions& sim,
             const NetworkOptions& options, unsigned completions_per_submission = 8);
  ~SimNetwork() override;

  // Puts something before a worker's ring. Such a ring can be no target of post().
  using WrapRing = std::function<std::unique_ptr<net::Ring>(std::unique_ptr<net::Ring>)>;
  // Builds workers and acceptor. With `first_listener_fails`, listeners[0] is no listening socket.
  void begin(const std::function<std::unique_ptr<WorkerHandler>(unsigned)>& make_worker,
             bool first_listener_fails = false, const WrapRing& wrap_ring = {},
             const WrapRing& wrap_acceptor_ring = {});
  // One turn of the acceptor or of a worker, drawn from the seed.
  void turn(Dice& dice);
  // This thread is not scheduled by turn() until told again; workers.size() is the acceptor.
  void freeze(std::size_t thread, bool frozen) { frozen_[thread] = frozen; }
  // Turns of all in order, with time passing, until `done()` or the patience is over.
  template <typename Done>
  bool run_until(Done done, unsigned rounds_max = 4000) {
    for (unsigned i = 0; i < rounds_max; ++i) {
      if (done()) return true;
      round();
    }
    return done();
  }
  void round();
  // The parts of a round, for a test that does something around them.
  void acceptor_turn();
  void worker_turn(std::size_t worker);
  void end_round();
  void request_stop();
  bool stopped() const { return stopped_; }
  // Ends everything and says what is wrong; empty when all is well.
  std::string verdict();
  std::uint32_t current_connections() const { return connection_count_.load(); }
  // The most bytes any connection holds, unsent output and kept input apart.
  std::size_t output_max() const { return output_max_; }
  std::size_t input_max() const { return input_max_; }

  // --- Network, for what `stats` asks of it.
  Status start() override { return Status::ok(); }
  void stop() override { request_stop(); }
  void join() override {}
  unsigned workers() const override { return options.workers; }
  Status io_fallback() const override { return Status::ok(); }
  Status min_wait_fallback() const override { return Status::ok(); }
  NetworkStats stats() const override;
  std::vector<ConnectionInfo> connections() const override { return {}; }
  std::vector<ListenAddress> bound() const override { return {}; }

  SimWorld world;
  NetworkOptions options;
  std::vector<int> listeners;  // TCP, UNIX
  std::vector<std::unique_ptr<net::Worker>> threads;
  std::unique_ptr<net::Acceptor> acceptor;
  std::vector<std::string> failures;

 protected:
  // The threads end, and with them every handler; to be called before what handlers refer to goes.
  void destroy_threads();

 private:
  void watch_memory();
  void check_counters();
  net::RingOptions ring_options(unsigned receive_buffers) const;

  const unsigned completions_per_submission_;
  std::vector<net::ListenerInfo> infos_;
  std::atomic<std::uint32_t> connection_count_{0};
  std::vector<bool> ended_, frozen_;  // the acceptor is the last
  bool stopped_ = false;
  std::size_t output_max_ = 0, input_max_ = 0;
};

}  // namespace ringcached::testing
