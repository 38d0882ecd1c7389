// What one seed means: sizes, options, faults and habits of one swarm run. The seed is the only input.
#pragma once

#include <cstdint>
#include <string>

#include "config/config.h"
#include "ringcached/network.h"
#include "store/store.h"
#include "support/sim_ring.h"

namespace ringcached::testing {

struct SwarmPlan {
  std::uint64_t seed = 0;
  NetworkOptions network;
  config::Config config;
  store::Options store;
  SimFaults faults;
  SimOptions sim;
  unsigned completions_per_submission = 8;

  // The clients.
  unsigned clients_max = 8;
  unsigned acts = 300;
  unsigned requests_per_client = 40;
  unsigned value_bytes_max = 1500;
  unsigned misbehaviour = 8;  // one act in so many times 8 is a stop of reading, a close, a reset
  // What happens beside them.
  bool flushes = false;      // some client says flush_all
  bool clock_jumps = false;  // forward by seconds to hours; the wall clock either way
  bool freezes = false;      // threads that are not scheduled for long
  bool stops_midway = false;

  static SwarmPlan draw(std::uint64_t seed);
  // Stores may be refused, and items evicted.
  bool memory_is_tight() const;
  // One line each of options and of faults that are on.
  std::string describe() const;
};

}  // namespace ringcached::testing
