// Log-linear histogram of durations: relative error below 1/128 (0.8 %) from 1 ns to 2^40 ns (18 minutes),
// fixed size, one add per value. Larger values are counted in the last bucket; max() stays exact.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace ringcached::bench {

class Histogram {
 public:
  static constexpr unsigned kSubBits = 7;  // 128 buckets for each doubling
  static constexpr unsigned kValueBits = 40;
  static constexpr std::size_t kBuckets = std::size_t{kValueBits - kSubBits + 1} << kSubBits;

  void record(std::uint64_t value) {
    ++counts_[std::min(bucket_of(value), kBuckets - 1)];
    ++count_;
    sum_ += value;
    max_ = std::max(max_, value);
  }

  void merge(const Histogram& other) {
    for (std::size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
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
    for (std::size_t i = 0; i < kBuckets; ++i) {
      seen += counts_[i];
      if (counts_[i] != 0 && seen >= rank) return std::min(upper_end(i), max_);
    }
    return max_;
  }

  // Exact below 2^kSubBits; above, the kSubBits bits after the leading one choose the bucket.
  static constexpr std::size_t bucket_of(std::uint64_t value) {
    if (value < (std::uint64_t{1} << kSubBits)) return value;
    const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kSubBits;
    return (std::size_t{shift + 1} << kSubBits) + ((value >> shift) & ((1U << kSubBits) - 1));
  }
  // The largest value that falls into bucket `i`.
  static constexpr std::uint64_t upper_end(std::size_t i) {
    if (i < (std::size_t{1} << kSubBits)) return i;
    const std::size_t shift = (i >> kSubBits) - 1;
    const std::uint64_t sub = i & ((std::size_t{1} << kSubBits) - 1);
    return (((std::uint64_t{1} << kSubBits) + sub + 1) << shift) - 1;
  }

 private:
  std::array<std::uint64_t, kBuckets> counts_{};
  std::uint64_t count_ = 0;
  std::uint64_t sum_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace ringcached::bench
