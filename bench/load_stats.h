// What a run counts.
#pragma once

#include <cstdint>

#include "bench/histogram.h"

namespace ringcached::bench {

struct LoadStats {
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t stored = 0;
  std::uint64_t not_stored = 0;
  std::uint64_t errors = 0;   // error lines
  std::uint64_t corrupt = 0;  // hits whose value was not the one set
  Histogram get_latency_ns;
  Histogram set_latency_ns;

  // Of the measured span.
  double seconds = 0;
  std::uint64_t server_cpu_ns = 0;
  std::uint64_t client_cpu_ns = 0;

  std::uint64_t operations() const { return get_latency_ns.count() + set_latency_ns.count(); }
};

}  // namespace ringcached::bench
