// Rounds of a test that goes on for a while, each with a seed of its own.
#pragma once

#include <chrono>
#include <cstdint>

#include "support/environment.h"

namespace ringcached::testing {

// Calls round(seed), at least once, until RINGCACHED_LINEAR_MS (1000) milliseconds have passed or it returns
// false. Seeds count from RINGCACHED_LINEAR_SEED (1). How threads meet is not the seed's to decide, but what
// they try is.
template <typename Round>
void for_a_while(Round round) {
  const auto end = std::chrono::steady_clock::now() +
                   std::chrono::milliseconds(number_from_environment("RINGCACHED_LINEAR_MS", 1000));
  std::uint64_t seed = number_from_environment("RINGCACHED_LINEAR_SEED", 1);
  while (round(seed++) && std::chrono::steady_clock::now() < end) {
  }
}

}  // namespace ringcached::testing
