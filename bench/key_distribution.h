// Which key comes next: numbers in [0, keys).
#pragma once

#include <cstdint>

#include "bench/random.h"

namespace ringcached::bench {

enum class Distribution { kUniform, kZipf, kSequential };

// Zipf: number k is drawn with a probability proportional to 1 / (k + 1)^theta, for any theta > 0, exactly
// and without tables: rejection-inversion (W. Hoermann, G. Derflinger, "Rejection-inversion to generate
// variates from monotone discrete distributions", 1996).
class ZipfDistribution {
 public:
  ZipfDistribution(std::uint64_t keys, double theta);
  std::uint64_t next(Random& random) const;

 private:
  double integral(double x) const;  // of the density, up to a constant
  double integral_inverse(double y) const;
  double density(double x) const;

  double keys_;
  double theta_;
  double integral_first_;
  double integral_last_;
  double always_accepted_;
};

class KeyDistribution {
 public:
  // 0 < keys <= 2^32. `theta` is used by kZipf alone. kSequential goes 0, 1, ... and begins again.
  KeyDistribution(Distribution kind, std::uint64_t keys, double theta, std::uint64_t seed);
  std::uint64_t next();

 private:
  Distribution kind_;
  std::uint64_t keys_;
  std::uint64_t sequence_ = 0;
  Random random_;
  ZipfDistribution zipf_;
};

}  // namespace ringcached::bench
