// One swarm run: a server with the options of the plan, clients with its habits, its faults; then calm, in
// which everything owed must come; then an end, after which nothing may be left.
#pragma once

#include <string>

#include "swarm_plan.h"

namespace ringcached::testing {

// What a run has come across, to show that a swarm is not too kind.
struct SwarmTally {
  std::uint64_t runs = 0, clients = 0, ended_by_fault = 0, events = 0;
  std::uint64_t evictions = 0, refused = 0, idle_kicks = 0, stopped_midway = 0, bytes_read = 0;
};

// Empty, or what is wrong, with the plan and the last events.
std::string run_swarm(const SwarmPlan& plan, SwarmTally& tally);

}  // namespace ringcached::testing
