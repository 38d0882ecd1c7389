// Small fast generator (splitmix64): good enough to draw keys, 1 ns per draw, the same sequence for the same
// seed.
#pragma once

#include <cstdint>

namespace ringcached::bench {

// A bijection of 64 bits that leaves no pattern: also the hash of a key's number.
constexpr std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(mix(seed)) {}
  std::uint64_t next() { return mix(state_ += 0x9e3779b97f4a7c15ULL); }
  // Uniform in [0, bound); 0 < bound <= 2^32, so that the bias stays below 2^-32 of a draw's probability.
  std::uint64_t below(std::uint64_t bound) { return ((next() >> 32) * bound) >> 32; }
  // Uniform in (0, 1].
  double unit() { return static_cast<double>((next() >> 11) + 1) * 0x1.0p-53; }

 private:
  std::uint64_t state_;
};

}  // namespace ringcached::bench
