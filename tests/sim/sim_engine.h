// A whole engine over the simulated kernel with handlers whose every reply can be predicted.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "sim_network.h"

namespace ringcached::testing {

// What handlers do beyond echoing, and what they have seen.
struct HandlerLog {
  bool corrupt = false;    // a canary: every 100th echoed byte is wrong
  bool leak_pins = false;  // a canary: a pin's release forgets its item
  std::set<void*> pinned;  // items referenced and not yet released
  unsigned opened = 0, closed = 0, ended = 0, handed_over = 0;
  unsigned frames_per_call = 3;
  bool direct = false;  // frames that come in parts are received into the handler's memory
  unsigned received_direct = 0;
  unsigned looked_ahead = 0, looked_wrong = 0;  // input announced, and not shown as announced
  std::uint64_t bytes_echoed = 0;
};

// Frames of two length bytes (big endian) and as many bytes; the reply is the frame. A frame of the single
// byte 'q' is answered by the end of the connection, one of 'r' by kProducedPieces times kProducedPiece bytes
// 'z', by a handler that takes over for them.
std::string frame(const std::string& payload);
inline constexpr std::size_t kProducedPiece = 150;
inline constexpr unsigned kProducedPieces = 100;  // more than are asked for in a turn

enum class Protocol { kEcho, kFrames };

class SimEngine : public SimNetwork {
 public:
  SimEngine(std::uint64_t seed, const SimFaults& faults, const NetworkOptions& options, Protocol protocol,
            bool first_listener_fails = false);
  ~SimEngine() override;

  // As of the network, and every handler closed, every pin released.
  std::string verdict();

  HandlerLog log;
};

}  // namespace ringcached::testing
