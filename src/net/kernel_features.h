// What this kernel's io_uring can do, found by feature bits, the opcode probe and trial, never by version.
//
// Three tiers: 6.1 (the floor: everything the rings rely on), 6.12 and 6.18 (each adds what the rings may
// use). The tier in force is the highest one found, or a lower one if forced, so that every path runs on one
// kernel.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "net/min_wait.h"
#include "ringcached/network.h"
#include "ringcached/status.h"

namespace ringcached::net {

struct Features {
  bool available = false;  // everything of the tier 6.1 is there
  Status reason;           // why not: cause by name and remedy
  IoLevel level = IoLevel::k6_1;

  // What the rings switch on; false too when the tier in force is lower than the one that brought it.
  bool registered_ring = false;  // 6.1: enter by registered ring descriptor
  bool no_iowait = false;        // 6.18: sleeping rings do not count as iowait
  // Found, for use by the engine. The same rule.
  bool bundles = false;              // 6.12: several buffers per receive or send
  bool incremental_buffers = false;  // 6.12: several receives per buffer
  bool min_wait = false;             // 6.12: gather completions for a while before waking up

  std::vector<IoFeatures::Entry> entries;  // for --features, tier by tier
};

// Tries a small ring; a few milliseconds. kAuto: the highest tier found. A forced tier that the kernel does
// not reach yields the highest one it reaches.
Features probe_features(IoLevel highest = IoLevel::kAuto);

// The feature bit of the minimum wait tells nothing of whether it works (net/min_wait.h): tries it by
// `trial`, and where it is wrong switches it off in `features`, its entry included. Returns why it is off, or
// ok. Only for who wants to use it: it takes a while.
using MinWaitTrial = Result<MinWaitFindings> (*)();
Status verify_min_wait(Features& features, MinWaitTrial trial = try_min_wait);

// The surroundings that decide what a refusal of io_uring_setup(2) means.
struct SetupEnvironment {
  int io_uring_disabled = -1;  // sysctl kernel.io_uring_disabled; -1: kernel without it (before 6.6)
  bool seccomp_filter = false;
  std::uint64_t memlock_limit_bytes = UINT64_MAX;
  std::string kernel_release;
};
SetupEnvironment read_setup_environment();

// `error` is a positive errno of io_uring_setup(2) or of a registration. The message names cause and remedy.
Status explain_setup_failure(int error, const SetupEnvironment& environment);

const char* level_name(IoLevel level);

}  // namespace ringcached::net
