#include "bench/key_distribution.h"

#include <algorithm>
#include <cmath>

namespace ringcached::bench {
namespace {

// (exp(x) - 1) / x and log(1 + x) / x, steady around 0, where theta = 1 lies.
double expm1_over(double x) {
  return std::fabs(x) > 1e-8 ? std::expm1(x) / x : 1 + x / 2 * (1 + x / 3);
}
double log1p_over(double x) {
  return std::fabs(x) > 1e-8 ? std::log1p(x) / x : 1 - x * (0.5 - x / 3);
}

}  // namespace

ZipfDistribution::ZipfDistribution(std::uint64_t keys, double theta)
    : keys_(static_cast<double>(keys)),
      theta_(theta),
      integral_first_(integral(1.5) - 1),
      integral_last_(integral(keys_ + 0.5)),
      always_accepted_(2 - integral_inverse(integral(2.5) - density(2))) {}

double ZipfDistribution::density(double x) const {
  return std::exp(-theta_ * std::log(x));
}

double ZipfDistribution::integral(double x) const {
  const double log_x = std::log(x);
  return expm1_over((1 - theta_) * log_x) * log_x;
}

double ZipfDistribution::integral_inverse(double y) const {
  const double t = std::max(y * (1 - theta_), -1.0);  // rounding may step over the edge
  return std::exp(log1p_over(t) * y);
}

std::uint64_t ZipfDistribution::next(Random& random) const {
  for (;;) {
    const double u = integral_last_ + random.unit() * (integral_first_ - integral_last_);
    const double x = integral_inverse(u);
    const double k = std::clamp(std::floor(x + 0.5), 1.0, keys_);
    if (k - x <= always_accepted_ || u >= integral(k + 0.5) - density(k)) {
      return static_cast<std::uint64_t>(k) - 1;
    }
  }
}

KeyDistribution::KeyDistribution(Distribution kind, std::uint64_t keys, double theta, std::uint64_t seed)
    : kind_(kind), keys_(keys), random_(seed), zipf_(keys, theta) {}

std::uint64_t KeyDistribution::next() {
  switch (kind_) {
    case Distribution::kUniform:
      return random_.below(keys_);
    case Distribution::kZipf:
      return zipf_.next(random_);
    case Distribution::kSequential:
      break;
  }
  return sequence_++ % keys_;
}

}  // namespace ringcached::bench
