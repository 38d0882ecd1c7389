// A whole engine (acceptor and workers) over the simulated kernel, with handlers whose every reply can be
// predicted, and clients that check each byte they get.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <set>
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

 private:
  std::uint64_t state_;
};

// What handlers do beyond echoing, and what they have seen.
struct HandlerLog {
  bool corrupt = false;    // a canary: every 100th echoed byte is wrong
  bool leak_pins = false;  // a canary: a pin's release forgets its item
  std::set<void*> pinned;  // items referenced and not yet released
  unsigned opened = 0, closed = 0, ended = 0, handed_over = 0;
  unsigned frames_per_call = 3;
  unsigned looked_ahead = 0, looked_wrong = 0;  // input announced, and not shown as announced
  std::uint64_t bytes_echoed = 0;
};

// Frames of two length bytes (big endian) and as many bytes; the reply is the frame. A frame of the single
// byte 'q' is answered by the end of the connection, one of 'r' by kProducedPieces times kProducedPiece bytes
// 'z', by a handler that takes over for them.
std::string frame(const std::string& payload);
inline constexpr std::size_t kProducedPiece = 150;
inline constexpr unsigned kProducedPieces = 40;

enum class Protocol { kEcho, kFrames };

class SimEngine {
 public:
  // With `first_listener_fails`, listeners[0] is no listening socket.
  SimEngine(std::uint64_t seed, const SimFaults& faults, const NetworkOptions& options, Protocol protocol,
            bool first_listener_fails = false);
  ~SimEngine();

  // One turn of the acceptor or of a worker, drawn from the seed.
  void turn(Dice& dice);
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
  void stop();
  bool stopped() const { return stopped_; }
  // Ends everything and says what is wrong; empty when all is well.
  std::string verdict();
  std::uint32_t connections() const { return connection_count_.load(); }
  // The most bytes any connection holds, unsent output and kept input apart.
  std::size_t output_max() const { return output_max_; }
  std::size_t input_max() const { return input_max_; }

  SimWorld world;
  HandlerLog log;
  NetworkOptions options;
  std::vector<int> listeners;
  std::vector<std::unique_ptr<net::Worker>> workers;
  std::unique_ptr<net::Acceptor> acceptor;
  std::vector<std::string> failures;

 private:
  void watch_memory();

  std::vector<net::ListenerInfo> infos_;
  std::atomic<std::uint32_t> connection_count_{0};
  std::vector<bool> worker_ended_;
  bool acceptor_ended_ = false;
  bool stopped_ = false;
  std::size_t output_max_ = 0, input_max_ = 0;
};

// Options small enough that every limit is reached.
NetworkOptions tiny_options();

}  // namespace ringcached::testing
