#include "bench/store_load.h"

namespace ringcached::bench {

RequestStream draw_requests(Distribution distribution, std::uint32_t items, unsigned set_percent,
                            std::size_t count, std::uint64_t seed) {
  constexpr double kZipfTheta = 1.0;
  KeyDistribution keys(distribution, items, kZipfTheta, seed);
  Random sets(seed + 1);
  RequestStream stream(count);
  for (std::uint32_t& request : stream) {
    request = static_cast<std::uint32_t>(keys.next());
    if (sets.below(100) < set_percent) request |= kSetBit;
  }
  return stream;
}

}  // namespace ringcached::bench
