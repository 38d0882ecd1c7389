// The options of the load generator and its command line.
#pragma once

#include <cstdint>
#include <string>

#include "bench/key_distribution.h"

namespace ringcached::bench {

struct LoadOptions {
  std::string host = "127.0.0.1";  // IPv4 address
  std::uint16_t port = 11211;
  std::string unix_path;  // if not empty, instead of TCP
  std::string dialect = "classic";

  unsigned connections = 50;
  unsigned pipeline = 1;  // requests of a connection in flight, written as one batch
  unsigned keys_per_get = 1;
  unsigned sets = 0;  // shares of the ratio set:get
  unsigned gets = 1;
  std::uint32_t keys = 100000;
  std::size_t key_bytes = 16;
  std::size_t value_bytes_min = 32;
  std::size_t value_bytes_max = 32;
  Distribution distribution = Distribution::kUniform;
  double zipf_theta = 0.99;
  std::uint64_t seed = 1;

  bool preload = false;  // set every key once before measuring
  bool preload_only = false;
  bool line_round_trip = false;
  bool verify = false;       // check each value a get returns
  bool fill_misses = false;  // a miss is followed by a set of that key, as a cache's user does

  double warmup_seconds = 0.3;
  double seconds = 3;
  std::uint64_t operations = 0;  // if not 0, ends the run instead of `seconds`, and there is no warm-up
  double rate = 0;               // operations per second, open loop; 0: closed loop
  bool poisson = false;          // open loop: exponential instead of equal gaps

  unsigned idle_connections = 0;  // if not 0: open these, one get each, hold them until stdin ends
  int core = -1;                  // to be pinned to; -1: any
  bool busy = false;      // poll instead of sleeping, so that the server never has to wake this process
  int server_pid = 0;     // whose CPU time to take over the measured span
  std::string json_path;  // "-": to stdout instead of the table
};

// True when the run shall go on; false with the exit status when all has been said (help, bad option).
bool parse_load_options(int argc, char** argv, LoadOptions& options, int& exit_status);

}  // namespace ringcached::bench
