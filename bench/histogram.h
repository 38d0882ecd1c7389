// Log-linear histogram of durations: relative error below 1/128 (0.8 %) from 1 ns to 2^40 ns (18 minutes),
// fixed size, one add per value. Larger values are counted in the last bucket; max() stays exact.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "base/log_linear.h"

namespace ringcached::bench {

class Histogram {
 public:
  using Buckets = LogLinearBuckets<7, 40>;

  void record(std::uint64_t value) {
    ++counts_[Buckets::of(value)];
    ++count_;
    sum_ += value;
    max_ = std::max(max_, value);
  }

  void merge(const Histogram& other) {
    for (std::size_t i = 0; i < Buckets::kCount; ++i) counts_[i] += other.counts_[i];
    count_ += other.count_;
    sum_ += other.sum_;
    max_ = std::max(max_, other.max_);
  }

  std::uint64_t count() const { return count_; }
  std::uint64_t max() const { return max_; }
  double mean() const { return count_ == 0 ? 0.0 : static_cast<double>(sum_) / static_cast<double>(count_); }

  // The smallest recorded value (to the bucket's upper end) that at least `fraction` of all values do not
  // exceed; 0 when empty. `fraction` in [0, 1].
  std::uint64_t quantile(double fraction) const {
    const auto rank = static_cast<std::uint64_t>(fraction * static_cast<double>(count_) + 0.999999);
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < Buckets::kCount; ++i) {
      seen += counts_[i];
      if (counts_[i] != 0 && seen >= rank) return std::min(Buckets::upper_end(i), max_);
    }
    return max_;
  }

 private:
  std::array<std::uint64_t, Buckets::kCount> counts_{};
  std::uint64_t count_ = 0;
  std::uint64_t sum_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace ringcached::bench
