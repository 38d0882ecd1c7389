// The cores that a benchmark may use, and how far two of them are from each other.
#pragma once

#include <sched.h>

#include <cstddef>

namespace ringcached::bench {

class Cores {
 public:
  Cores();  // those of the calling thread
  // The calling thread to the `number`-th of them, counted in a circle. A wish: without it the figures are
  // noisier.
  void pin_to(std::size_t number) const;

 private:
  cpu_set_t set_;
};

// What it takes for a cache line to go to the other one of the first two cores and back, by two threads that
// answer each other. Virtual cores change their places on the host, and so this figure.
double line_round_trip_ns();

}  // namespace ringcached::bench
